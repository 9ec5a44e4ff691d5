//! A job comes, behind the others or in place of one with its key.

/// The number of the next job of a queue, whose numbers are from `$first` to before `$end`; nothing, where there are no more.
macro_rules! next {
    ($queue:literal, $first:literal, $end:literal) => {
        concat!(
            " FROM (SELECT last FROM queues WHERE id = ",
            $queue,
            " UNION ALL SELECT (SELECT id FROM queue_jobs WHERE id >= ",
            $first,
            " AND id < ",
            $end,
            " ORDER BY id DESC LIMIT 1)) AS ends HAVING max(last) < ",
            $end,
            " - 1"
        )
    };
}

/// What is written of a job that comes.
macro_rules! new_job {
    () => {
        "queue, state, rank, due, not_before, expires, pushed, max_attempts, \
            backoff, job_group, unique_key, unique_until, tags, file, value, attempts, kills"
    };
}

/// A job after the others, where statements travel. (SQLite makes a table of what it inserts by a `SELECT` from the same, and one of
/// what it returns.) Without `$8` it may be tried as often as all.
pub(crate) const PUSH: &str = concat!(
    "INSERT INTO queue_jobs (id, ",
    new_job!(),
    ") SELECT 1 + max(last), $1, $2, $3, $4, $5, $6, $7, \
    coalesce($8, (SELECT max_attempts FROM queues WHERE id = $1)), $9, $10, $11, $12, $13, $14, $15, 0, 0",
    next!("$1", "$16", "$17"),
    " RETURNING id"
);
/// The job `$1`.
pub(crate) const ADD: &str = concat!(
    "INSERT INTO queue_jobs (id, ",
    new_job!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, 0)"
);
pub(crate) const PUT_TAG: &str =
    "INSERT INTO queue_tags (id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub(crate) const NEXT: &str = concat!("SELECT 1 + max(last)", next!("$1", "$2", "$3"));
/// The job `$1`, as it is by default.
pub(crate) const PUT: &str = "INSERT INTO queue_jobs \
    (id, queue, state, rank, pushed, max_attempts, file, value, attempts, kills) VALUES ($1, $2, 'ready', 0, $3, $4, $5, $6, 0, 0)";

/// Is there an unfinished one but for `$3`?
pub(crate) const ANY_OF_GROUP: &str = "SELECT 1 FROM queue_jobs \
    WHERE queue = $1 AND job_group = $2 AND settled IS NULL AND id <> $3 LIMIT 1";
pub(crate) const LEAVE_GROUP: &str = "UPDATE queue_jobs SET job_group = NULL WHERE id = $1";

/// The unfinished job with a key, one that isn't claimed before one that is.
pub(crate) const SAME_KEY: &str = "SELECT id, state, file, job_group, expires FROM queue_jobs \
    WHERE queue IN ($1) AND unique_key IN ($2) AND settled IS NULL ORDER BY owner IS NOT NULL, id DESC LIMIT 1";
/// The one that is kept for the longest.
pub(crate) const SAME_KEY_FINISHED: &str = "SELECT id FROM queue_jobs \
    WHERE queue IN ($1) AND unique_key IN ($2) AND settled > $3 ORDER BY settled DESC, id DESC LIMIT 1";
/// Another job takes the place of one that nobody has claimed.
pub(crate) const REPLACE: &str = "UPDATE queue_jobs SET state = $1, rank = $2, due = $3, not_before = $4, expires = $5, pushed = $6, \
    attempts = 0, max_attempts = coalesce($7, (SELECT max_attempts FROM queues WHERE queues.id = queue)), kills = 0, backoff = $8, job_group = $9, unique_until = $10, tags = $11, \
    error = NULL, progress = NULL, note = NULL, file = $12, value = $13 WHERE id = $14";
