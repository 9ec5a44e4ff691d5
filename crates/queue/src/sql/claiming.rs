//! A job gets into the hands of an owner.

/// What claims read, in this order; see `Taken`.
macro_rules! taken {
    () => {
        "id, file, value, attempts, max_attempts, kills, pushed, backoff, job_group"
    };
}

/// Claims the first that is ready, unless something is due: that comes first.
macro_rules! claim {
    ($unless:literal) => {
        concat!(
            "UPDATE queue_jobs SET state = 'claimed', owner = $1, token = $2, since = $3, due = $4, attempts = attempts + 1 \
            WHERE id = (SELECT id FROM queue_jobs WHERE queue IN ($5) AND state = 'ready' ORDER BY rank, id LIMIT 1) \
            AND NOT EXISTS (SELECT 1 FROM queue_jobs WHERE queue = $5 AND due <= $3)",
            $unless,
            " RETURNING ",
            taken!()
        )
    };
}

pub(crate) const CLAIM: &str = claim!("");
/// For who would have to ask before.
pub(crate) const CLAIM_UNLESS_PAUSED: &str =
    claim!(" AND (SELECT paused FROM queues WHERE id = $5) = 0");
/// The first `$2` that are ready.
pub(crate) const FIRST: &str = concat!(
    "SELECT ",
    taken!(),
    " FROM queue_jobs WHERE queue IN ($1) AND state = 'ready' ORDER BY rank, id LIMIT $2 + 0"
);
/// Claims the first `$6` that are ready. It returns nothing, since for many that costs more than to read them before.
pub(crate) const CLAIM_MANY: &str = "UPDATE queue_jobs SET state = 'claimed', owner = $1, token = $2, since = $3, due = $4, attempts = attempts + 1 \
    WHERE id IN (SELECT id FROM queue_jobs WHERE queue IN ($5) AND state = 'ready' ORDER BY rank, id LIMIT $6 + 0)";
/// Is one ready, when is the next due, and is the queue paused?
pub(crate) const STANDING: &str = "SELECT (SELECT 1 FROM queue_jobs WHERE queue = $1 AND state = 'ready' LIMIT 1), \
    (SELECT due FROM queue_jobs WHERE queue IN ($1) AND due IS NOT NULL ORDER BY due LIMIT 1), \
    paused FROM queues WHERE id = $1";
