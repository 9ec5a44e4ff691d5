//! What happens by itself, and what it takes to change how a job stands.

pub(crate) const ANY_DUE: &str = "SELECT 1 FROM queue_jobs WHERE queue = $1 AND due <= $2 LIMIT 1";
pub(crate) const DUE: &str = "SELECT id, state, job_group, expires, attempts, max_attempts FROM queue_jobs \
    WHERE queue IN ($1) AND due <= $2 ORDER BY due, id LIMIT $3 + 0";
/// Of the first thousand that are due, those that were scheduled and haven't expired.
pub(crate) const MAKE_MANY_READY: &str = "UPDATE queue_jobs SET state = 'ready', due = expires WHERE id IN (SELECT id FROM \
    (SELECT id, state, expires FROM queue_jobs WHERE queue IN ($1) AND due <= $2 ORDER BY due, id LIMIT 1000) AS first \
    WHERE state = 'scheduled' AND (expires IS NULL OR expires > $2))";
pub(crate) const MAKE_READY: &str =
    "UPDATE queue_jobs SET state = 'ready', due = expires WHERE id = $1";
/// Takes a claimed job from whoever has it. `$1` is how many workers it has killed by that.
pub(crate) const ROB: &str = "UPDATE queue_jobs SET state = 'ready', due = expires, owner = NULL, token = NULL, kills = kills + $1 \
    WHERE id = $2";
/// The next of the group `$3` of the queue `$2` is ready, or scheduled, at `$1`.
pub(crate) const PROMOTE: &str = "UPDATE queue_jobs SET \
    state = CASE WHEN not_before > $1 THEN 'scheduled' ELSE 'ready' END, \
    due = CASE WHEN not_before > $1 THEN not_before ELSE expires END \
    WHERE state = 'held' AND id = \
    (SELECT id FROM queue_jobs WHERE queue IN ($2) AND job_group IN ($3) AND settled IS NULL ORDER BY id LIMIT 1)";

/// How a job stands, for who changes it.
pub(crate) const STATE: &str = "SELECT state, job_group, attempts, max_attempts, file, tags IS NOT NULL FROM queue_jobs WHERE id = $1";
