//! Finished jobs go, and the number of the last that went stays.

pub(crate) const DROP: &str = "DELETE FROM queue_jobs WHERE id = $1";
pub(crate) const DROP_RESULT: &str = "DELETE FROM queue_results WHERE id = $1 RETURNING file";
pub(crate) const DROP_TAGS: &str = "DELETE FROM queue_tags WHERE id = $1";
pub(crate) const DROPPED: &str = "UPDATE queues SET last = $1 WHERE id = $2 AND last < $1";

/// The newest of those in the state `$2` that are settled at `$3`, but for so many as `$4`.
pub(crate) const NEWEST_BUT: &str = "SELECT settled, id FROM queue_jobs WHERE queue = $1 AND state = $2 AND settled <= $3 \
    ORDER BY settled DESC, id DESC LIMIT 1 OFFSET $4";
/// Some of those up to that one.
pub(crate) const SETTLED: &str = "SELECT id, file, tags IS NOT NULL FROM queue_jobs WHERE queue IN ($1) AND state IN ($2) AND settled IS NOT NULL AND (settled, id) <= ($3, $4) \
    ORDER BY settled, id LIMIT $5 + 0";
