//! Looking at jobs, one, by states and by tags, and counting them.

/// Is there an unfinished one? One that is held is behind another.
pub(crate) const ANY_UNFINISHED: &str = "SELECT 1 FROM queues WHERE id = $1 AND ( \
    EXISTS (SELECT 1 FROM queue_jobs WHERE queue = $1 AND state = 'ready') \
    OR EXISTS (SELECT 1 FROM queue_jobs WHERE queue = $1 AND due IS NOT NULL) \
    OR EXISTS (SELECT 1 FROM queue_jobs WHERE owner IS NOT NULL AND queue = $1))";

/// How it ended for a job, and its result: `state, why, error`, whether there is a result, its `file`, its `value`.
pub(crate) const OUTCOME: &str = "SELECT state, why, error, queue_results.id, queue_results.file, queue_results.value \
    FROM queue_jobs LEFT JOIN queue_results ON queue_results.id = queue_jobs.id WHERE queue_jobs.id IN ($1)";

/// All that is known of a job; see `Job`.
macro_rules! all {
    () => {
        "SELECT id, file, value, state, rank, due, expires, pushed, since, finished, attempts, max_attempts, kills, owner, \
            job_group, unique_key, tags, why, error, progress, note, settled FROM queue_jobs "
    };
}

pub(crate) const GET: &str = concat!(all!(), "WHERE id = $1");

/// A page of `$4` of those in a state, in their order, behind a place: those that are alike in what they are in order by, then the
/// others. (By row values SQLite doesn't find a number.)
macro_rules! page {
    ($filter:literal, $order:literal) => {
        concat!(
            "SELECT * FROM (",
            all!(),
            "WHERE ",
            $filter,
            " AND ",
            $order,
            " = $2 AND id > $3 ORDER BY id LIMIT $4) AS alike \
            UNION ALL SELECT * FROM (",
            all!(),
            "WHERE ",
            $filter,
            " AND ",
            $order,
            " > $2 ORDER BY ",
            $order,
            ", id LIMIT $4) AS others \
            LIMIT $4"
        )
    };
}

pub(crate) const LIST_READY: &str = page!("queue = $1 AND state = 'ready'", "rank");
pub(crate) const LIST_SCHEDULED: &str = page!("queue = $1 AND state = 'scheduled'", "due");
pub(crate) const LIST_CLAIMED: &str = page!("owner IS NOT NULL AND queue = $1", "since");
pub(crate) const LIST_HELD: &str = page!(
    "queue = $1 AND settled IS NULL AND state = 'held'",
    "job_group"
);
pub(crate) const LIST_DONE: &str = page!("queue = $1 AND state = 'done'", "settled");
pub(crate) const LIST_DEAD: &str = page!("queue = $1 AND state = 'dead'", "settled");

/// A page of `$4` of those with a tag, in the order of their numbers, from behind `$2` to before `$3`.
pub(crate) const LIST_TAGGED: &str = concat!(
    all!(),
    "WHERE id IN (SELECT id FROM queue_tags WHERE tag IN ($1) AND id > $2 AND id < $3 ORDER BY id LIMIT $4 + 0) ORDER BY id"
);
pub(crate) const SOME_TAGGED: &str =
    "SELECT id FROM queue_tags WHERE tag IN ($1) AND id > $2 AND id < $3 ORDER BY id LIMIT $4 + 0";
pub(crate) const LAST_TAGGED: &str =
    "SELECT max(id) FROM queue_tags WHERE tag = $1 AND id > $2 AND id < $3";

pub(crate) const COUNT_READY: &str =
    "SELECT count(*) FROM queue_jobs WHERE queue = $1 AND state = 'ready'";
pub(crate) const COUNT_SCHEDULED: &str =
    "SELECT count(*) FROM queue_jobs WHERE queue = $1 AND due IS NOT NULL AND state = 'scheduled'";
pub(crate) const COUNT_CLAIMED: &str =
    "SELECT count(*) FROM queue_jobs WHERE owner IS NOT NULL AND queue = $1";
pub(crate) const COUNT_HELD: &str = "SELECT count(*) FROM queue_jobs \
    WHERE queue = $1 AND job_group IS NOT NULL AND settled IS NULL AND state = 'held'";
pub(crate) const COUNT_DONE: &str =
    "SELECT count(*) FROM queue_jobs WHERE queue = $1 AND state = 'done' AND settled IS NOT NULL";
pub(crate) const COUNT_DEAD: &str =
    "SELECT count(*) FROM queue_jobs WHERE queue = $1 AND state = 'dead' AND settled IS NOT NULL";
/// When the one was pushed that is next.
pub(crate) const NEXT_PUSHED: &str =
    "SELECT pushed FROM queue_jobs WHERE queue = $1 AND state = 'ready' ORDER BY rank, id LIMIT 1";
