//! Every statement of a queue.
//!
//! A job is a row of `queue_jobs`, from its push until it is dropped; its `state` says where it is:
//!
//! | state | what | leaves it |
//! |---|---|---|
//! | `scheduled` | isn't due yet | at `due` |
//! | `ready` | can be claimed | by a claim; at `due`, if it expires |
//! | `held` | waits for those before it in its group | when it is the first of them; at `due`, if it expires |
//! | `claimed` | is in the hands of `owner` | as the claim ends, or its owner dies; at `due`, if the claim has a time limit |
//! | `done`, `dead` | is finished, well or not | when it is dropped, some time after `settled` |
//!
//! So `due` is when a job changes its state by itself, whatever that is, and one index has all that is due. Of the unfinished jobs of
//! a group only one isn't held: a claim never meets one that has to wait. `rank` is the priority, upside down.
//!
//! `tags` of a job are for who has it; `queue_tags` is for who looks for those with a tag. Only jobs with tags have rows there, so that
//! others don't pay for it.
//!
//! `last` of a queue is the greatest number of those jobs that were dropped, so that no number is given twice.
//!
//! All queues of a store have these tables together, each the ids of its share. Times are those of the store's timeline, in
//! microseconds. `file` comes before `value`, so that reading it never walks through a long value.
//!
//! Where rows are wanted in the order of a partial index, it is `queue IN ($1)`, and `LIMIT $2 + 0`: a bare parameter in these
//! places makes SQLite plan the statement anew each time that it runs.

use std::sync::LazyLock;

use diskette_store::{Claims, GiveBack, Kind, Table};

use crate::death::give_back;

pub(crate) static KIND: Kind = Kind {
    name: "queue",
    format: 2,
    schema: &[
        "CREATE TABLE IF NOT EXISTS queues (id INTEGER PRIMARY KEY, last BIGINT NOT NULL, paused BIGINT NOT NULL, \
            max_attempts BIGINT NOT NULL, backoff TEXT NOT NULL, keep_done BIGINT, keep_done_for BIGINT, \
            keep_dead BIGINT, keep_dead_for BIGINT)",
        "CREATE TABLE IF NOT EXISTS queue_jobs (id INTEGER PRIMARY KEY, queue BIGINT NOT NULL, state TEXT NOT NULL, rank BIGINT NOT NULL, \
            due BIGINT, not_before BIGINT, expires BIGINT, pushed BIGINT NOT NULL, since BIGINT, finished BIGINT, settled BIGINT, \
            attempts BIGINT NOT NULL, max_attempts BIGINT NOT NULL, kills BIGINT NOT NULL, owner BIGINT, token BIGINT, \
            backoff TEXT, job_group TEXT, unique_key TEXT, unique_until BIGINT, tags TEXT, why TEXT, error TEXT, \
            progress BIGINT, note TEXT, file BIGINT, value BLOB)",
        "CREATE TABLE IF NOT EXISTS queue_results (id INTEGER PRIMARY KEY, file BIGINT, value BLOB)",
        "CREATE INDEX IF NOT EXISTS queue_ready ON queue_jobs (queue, rank) WHERE state = 'ready'",
        "CREATE INDEX IF NOT EXISTS queue_due ON queue_jobs (queue, due) WHERE due IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS queue_claims ON queue_jobs (owner, queue) WHERE owner IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS queue_groups ON queue_jobs (queue, job_group) WHERE job_group IS NOT NULL AND settled IS NULL",
        "CREATE INDEX IF NOT EXISTS queue_keys ON queue_jobs (queue, unique_key, settled) WHERE unique_key IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS queue_settled ON queue_jobs (queue, state, settled) WHERE settled IS NOT NULL",
        "CREATE TABLE queue_tags (id BIGINT NOT NULL, tag TEXT NOT NULL, file BIGINT, value BLOB, PRIMARY KEY (tag, id))",
        "CREATE INDEX queue_tagged ON queue_tags (id)",
    ],
    tables: &[
        Table::of_items("queue_jobs", "id"),
        Table::of_items("queue_results", "id"),
        Table::of_items("queue_tags", "id"),
        Table::of_structures("queues", "id"),
    ],
    // Format 1 had tags only in the rows of the jobs, one a line.
    bring_over: &[
        "INSERT INTO queue_tags (id, tag) WITH RECURSIVE lines (id, tag, others) AS ( \
            SELECT id, NULL, tags || char(10) FROM queue_jobs WHERE queue = {id} AND tags IS NOT NULL \
            UNION SELECT id, substr(others, 1, instr(others, char(10)) - 1), substr(others, instr(others, char(10)) + 1) \
            FROM lines WHERE others <> '') \
        SELECT DISTINCT id, tag FROM lines WHERE tag IS NOT NULL",
    ],
    claims: Some(Claims {
        owners: "SELECT DISTINCT owner FROM queue_jobs WHERE owner IS NOT NULL AND queue = $1",
        structures: "SELECT DISTINCT queue FROM queue_jobs WHERE owner = $1",
        give_back: GiveBack::Function(give_back),
    }),
};

pub(crate) const CREATE: &str = "INSERT INTO queues \
    (id, last, paused, max_attempts, backoff, keep_done, keep_done_for, keep_dead, keep_dead_for) \
    VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8)";
pub(crate) const CONFIG: &str = "SELECT paused, max_attempts, backoff, keep_done, keep_done_for, keep_dead, keep_dead_for \
    FROM queues WHERE id = $1";
pub(crate) const SET_CONFIG: &str = "UPDATE queues SET paused = $1, max_attempts = $2, backoff = $3, keep_done = $4, \
    keep_done_for = $5, keep_dead = $6, keep_dead_for = $7 WHERE id = $8";

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

/// Is there an unfinished one? One that is held is behind another.
pub(crate) const ANY_UNFINISHED: &str = "SELECT 1 FROM queues WHERE id = $1 AND ( \
    EXISTS (SELECT 1 FROM queue_jobs WHERE queue = $1 AND state = 'ready') \
    OR EXISTS (SELECT 1 FROM queue_jobs WHERE queue = $1 AND due IS NOT NULL) \
    OR EXISTS (SELECT 1 FROM queue_jobs WHERE owner IS NOT NULL AND queue = $1))";
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
/// Is there an unfinished one but for `$3`?
pub(crate) const ANY_OF_GROUP: &str = "SELECT 1 FROM queue_jobs \
    WHERE queue = $1 AND job_group = $2 AND settled IS NULL AND id <> $3 LIMIT 1";
pub(crate) const LEAVE_GROUP: &str = "UPDATE queue_jobs SET job_group = NULL WHERE id = $1";

/// The job, if the owner holds it by this token. Said so that it is found by its number: to PostgreSQL `owner = $2` is a way to find it in
/// `queue_claims`, among all that the owner has had since that was last vacuumed.
macro_rules! held {
    ($id:literal, $owner:literal, $token:literal) => {
        concat!(
            " WHERE id = ",
            $id,
            " AND owner IS NOT DISTINCT FROM ",
            $owner,
            " AND token = ",
            $token
        )
    };
}

/// Finished at `$1`. While its key is to be unique, it isn't dropped.
macro_rules! finish {
    () => {
        "due = NULL, owner = NULL, token = NULL, finished = $1, \
            settled = CASE WHEN unique_until > $1 THEN unique_until ELSE $1 END"
    };
}

pub(crate) const COMPLETE: &str = concat!(
    "UPDATE queue_jobs SET state = 'done', ",
    finish!(),
    held!("$2", "$3", "$4")
);
/// Where nothing is kept that is done: the same for one without a file, tags or a key that is to be unique, and that hasn't the greatest
/// number; that is given to none after it while it is there. `$4` and `$5` are the bounds of the queue.
macro_rules! complete_and_drop {
    ($if:literal) => {
        concat!(
            "DELETE FROM queue_jobs",
            held!("$1", "$2", "$3"),
            " AND file IS NULL AND tags IS NULL AND unique_until IS NULL \
            AND id < (SELECT id FROM queue_jobs WHERE id >= $4 AND id < $5 ORDER BY id DESC LIMIT 1)",
            $if
        )
    };
}

pub(crate) const COMPLETE_AND_DROP: &str = complete_and_drop!("");
/// For who would have to ask before. The queue is `$6`.
pub(crate) const COMPLETE_AND_DROP_IF_NONE_IS_KEPT: &str =
    complete_and_drop!(" AND (SELECT keep_done FROM queues WHERE queues.id = $6) = 0");
/// The sizes of the lists of jobs in the statements that follow. These have the same token, and are found by their numbers, since their owner
/// may have many others.
pub(crate) const SEVERAL: [usize; 3] = [10, 32, 100];
/// Those that are held by this token.
pub(crate) static HELD_OF: LazyLock<[String; 3]> = LazyLock::new(|| {
    several(3, |ids| {
        format!(
            "SELECT id FROM queue_jobs WHERE owner IS NOT DISTINCT FROM $1 AND token = $2 AND id IN ({ids})"
        )
    })
});
/// Like [`COMPLETE`].
pub(crate) static COMPLETE_ALL: LazyLock<[String; 3]> = LazyLock::new(|| {
    several(4, |ids| {
        let update = concat!("UPDATE queue_jobs SET state = 'done', ", finish!());
        format!("{update} WHERE owner IS NOT DISTINCT FROM $2 AND token = $3 AND id IN ({ids})")
    })
});
/// Like [`COMPLETE_AND_DROP`]; `$3` and `$4` are the bounds of the queue.
pub(crate) static COMPLETE_AND_DROP_ALL: LazyLock<[String; 3]> = LazyLock::new(|| {
    several(5, |ids| {
        format!(
            "DELETE FROM queue_jobs WHERE owner IS NOT DISTINCT FROM $1 AND token = $2 AND file IS NULL AND tags IS NULL AND unique_until IS NULL \
            AND id < (SELECT id FROM queue_jobs WHERE id >= $3 AND id < $4 ORDER BY id DESC LIMIT 1) AND id IN ({ids})"
        )
    })
});

/// A statement for each size of a list of numbers, the first of which is this parameter.
fn several(first: usize, sql: impl Fn(&str) -> String) -> [String; 3] {
    SEVERAL.map(|size| {
        let ids: Vec<_> = (first..first + size).map(|n| format!("${n}")).collect();
        sql(&ids.join(", "))
    })
}

pub(crate) const BURY_HELD: &str = concat!(
    "UPDATE queue_jobs SET state = 'dead', ",
    finish!(),
    ", why = $2, error = coalesce($3, error)",
    held!("$4", "$5", "$6")
);
/// Gives it back; `$1` attempts don't count.
pub(crate) const RELEASE: &str = concat!(
    "UPDATE queue_jobs SET state = 'ready', due = expires, owner = NULL, token = NULL, attempts = attempts - $1",
    held!("$2", "$3", "$4")
);
/// Not before `$1`.
pub(crate) const RETRY: &str = concat!(
    "UPDATE queue_jobs SET state = 'scheduled', due = $1, not_before = $1, owner = NULL, token = NULL, \
        error = coalesce($2, error)",
    held!("$3", "$4", "$5")
);
pub(crate) const PROGRESS: &str = concat!(
    "UPDATE queue_jobs SET progress = $1, note = $2",
    held!("$3", "$4", "$5")
);
pub(crate) const RENEW: &str = concat!("UPDATE queue_jobs SET due = $1", held!("$2", "$3", "$4"));
pub(crate) const PUT_RESULT: &str =
    "INSERT INTO queue_results (id, file, value) VALUES ($1, $2, $3)";

/// A job dies that isn't in the hands of who says so.
pub(crate) const BURY: &str = concat!(
    "UPDATE queue_jobs SET state = 'dead', ",
    finish!(),
    ", kills = kills + $2, why = $3, error = coalesce($4, error) WHERE id = $5"
);
pub(crate) const REVIVE: &str = "UPDATE queue_jobs SET state = $1, due = NULL, not_before = NULL, expires = NULL, finished = NULL, \
    settled = NULL, attempts = 0, kills = 0, why = NULL WHERE id = $2";
/// What an owner has, in all queues.
pub(crate) const ESTATE: &str =
    "SELECT id, queue, job_group, attempts, max_attempts, kills FROM queue_jobs WHERE owner = $1";

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

/// How a job stands, for who changes it.
pub(crate) const STATE: &str = "SELECT state, job_group, attempts, max_attempts, file, tags IS NOT NULL FROM queue_jobs WHERE id = $1";
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

#[cfg(test)]
mod tests {
    use diskette_store::{Access, Db, Result, Store, Value};

    use super::*;
    use crate::queue::Queue;

    fn plan(db: &Db<'_>, sql: &str) -> Result<String> {
        let mut params = 0;
        while sql.contains(&format!("${}", params + 1)) {
            params += 1;
        }
        let steps = db.query(
            &format!("EXPLAIN QUERY PLAN {sql}"),
            &vec![Value::Null; params],
            |row| Ok(row.text(3)?.to_owned()),
        )?;
        Ok(steps.join("; "))
    }

    /// A million jobs in one state cost nothing to those who look for another, or for the first.
    #[test]
    fn each_statement_finds_its_rows_by_an_index_in_their_order()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path())?;
        Queue::<u32>::new(&store, "queue")?;
        let by_index: Vec<(&str, _)> = vec![
            (
                CLAIM,
                vec!["queue_ready (queue=?)", "queue_due (queue=? AND due<?)"],
            ),
            (FIRST, vec!["queue_ready (queue=?)"]),
            (CLAIM_MANY, vec!["queue_ready (queue=?)"]),
            (
                STANDING,
                vec!["queue_ready (queue=?)", "queue_due (queue=? AND due>?)"],
            ),
            (MAKE_MANY_READY, vec!["queue_due (queue=? AND due<?)"]),
            (ANY_DUE, vec!["queue_due (queue=? AND due<?)"]),
            (DUE, vec!["queue_due (queue=? AND due<?)"]),
            (PROMOTE, vec!["queue_groups (queue=? AND job_group=?)"]),
            (ANY_OF_GROUP, vec!["queue_groups (queue=? AND job_group=?)"]),
            (
                SAME_KEY_FINISHED,
                vec!["queue_keys (queue=? AND unique_key=? AND settled>?)"],
            ),
            (ESTATE, vec!["queue_claims (owner=?)"]),
            (
                NEWEST_BUT,
                vec!["queue_settled (queue=? AND state=? AND settled<?)"],
            ),
            (
                SETTLED,
                vec!["queue_settled (queue=? AND state=? AND settled>? AND settled<?)"],
            ),
            (
                LIST_READY,
                vec![
                    "queue_ready (queue=? AND rank=? AND rowid>?)",
                    "queue_ready (queue=? AND rank>?)",
                ],
            ),
            (
                LIST_SCHEDULED,
                vec![
                    "queue_due (queue=? AND due=? AND rowid>?)",
                    "queue_due (queue=? AND due>?)",
                ],
            ),
            (
                LIST_HELD,
                vec![
                    "queue_groups (queue=? AND job_group=? AND rowid>?)",
                    "queue_groups (queue=? AND job_group>?)",
                ],
            ),
            (
                LIST_DONE,
                vec![
                    "queue_settled (queue=? AND state=? AND settled=? AND rowid>?)",
                    "queue_settled (queue=? AND state=? AND settled>?)",
                ],
            ),
            (
                LIST_DEAD,
                vec![
                    "queue_settled (queue=? AND state=? AND settled=? AND rowid>?)",
                    "queue_settled (queue=? AND state=? AND settled>?)",
                ],
            ),
            (COUNT_READY, vec!["COVERING INDEX queue_ready (queue=?)"]),
            (
                COUNT_DONE,
                vec!["COVERING INDEX queue_settled (queue=? AND state=? AND settled>?)"],
            ),
            (NEXT_PUSHED, vec!["queue_ready (queue=?)"]),
            (PUSH, vec!["INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]),
            (NEXT, vec!["INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]),
            (SOME_TAGGED, vec!["(tag=? AND id>? AND id<?)"]),
            (
                LIST_TAGGED,
                vec!["(tag=? AND id>? AND id<?)", "INTEGER PRIMARY KEY (rowid=?)"],
            ),
            (LAST_TAGGED, vec!["(tag=? AND id>? AND id<?)"]),
            (DROP_TAGS, vec!["queue_tagged (id=?)"]),
            (&HELD_OF[2], vec!["INTEGER PRIMARY KEY (rowid=?)"]),
            (&COMPLETE_ALL[2], vec!["INTEGER PRIMARY KEY (rowid=?)"]),
            (
                &COMPLETE_AND_DROP_ALL[2],
                vec!["INTEGER PRIMARY KEY (rowid=?)"],
            ),
        ];
        // Of these there are as many as workers hold jobs.
        let of_claims = [ANY_UNFINISHED, LIST_CLAIMED, COUNT_CLAIMED, SAME_KEY];
        store.read_one(|db| {
            for (sql, indexes) in &by_index {
                let plan = plan(db, sql)?;
                for index in indexes {
                    assert!(plan.contains(index), "{sql}\n{plan}");
                }
                assert!(
                    !plan.contains("SCAN queue_jobs") && !plan.contains("TEMP B-TREE"),
                    "{sql}\n{plan}"
                );
            }
            for sql in of_claims {
                let plan = plan(db, sql)?;
                assert!(
                    plan.contains("queue_claims") || plan.contains("queue_keys"),
                    "{sql}\n{plan}"
                );
            }
            Ok(())
        })?;
        Ok(())
    }

    /// To PostgreSQL a job that was to be completed was one of all that its owner had ever had, and the first that was ready one of
    /// those in the table, behind all that were done.
    #[test]
    fn on_postgresql_each_finds_its_rows_by_an_index_too()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let Some(server) = diskette_testkit::Postgres::shared() else {
            return Ok(());
        };
        let store = Store::open(server.url(&diskette_testkit::unique_store()))?;
        Queue::<u32>::new(&store, "queue")?;
        let by_number = [
            COMPLETE,
            COMPLETE_AND_DROP_IF_NONE_IS_KEPT,
            BURY_HELD,
            RELEASE,
            RETRY,
            PROGRESS,
            RENEW,
            &HELD_OF[2],
            &COMPLETE_ALL[2],
            &COMPLETE_AND_DROP_ALL[2],
        ];
        let others = [
            CLAIM_UNLESS_PAUSED,
            FIRST,
            CLAIM_MANY,
            STANDING,
            ANY_UNFINISHED,
            ANY_DUE,
            DUE,
            PROMOTE,
            ANY_OF_GROUP,
            PUSH,
        ];
        store.read(|db| {
            let plan = |sql: &str| {
                db.query(&format!("PREPARE statement AS {sql}"), &[], |_| Ok(()))?;
                let mut params = 0;
                while sql.contains(&format!("${}", params + 1)) {
                    params += 1;
                }
                let explain = format!(
                    "EXPLAIN EXECUTE statement ({})",
                    vec!["NULL"; params].join(", ")
                );
                let steps = db.query(&explain, &[], |row| Ok(row.text(0)?.to_owned()))?;
                db.query("DEALLOCATE statement", &[], |_| Ok(()))?;
                Ok::<_, diskette_store::Error>(steps.join("\n"))
            };
            for sql in by_number {
                let plan = plan(sql)?;
                assert!(
                    plan.contains("queue_jobs_pkey") && !plan.contains("queue_claims"),
                    "{sql}\n{plan}"
                );
            }
            for sql in by_number.into_iter().chain(others) {
                let plan = plan(sql)?;
                assert!(!plan.contains("Seq Scan on queue_jobs"), "{sql}\n{plan}");
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Before format 2 a job's tags were in its row only.
    #[test]
    fn tags_of_an_older_store_are_found() -> std::result::Result<(), Box<dyn std::error::Error>> {
        use crate::push::Push;

        let dir = tempfile::tempdir()?;
        let store = Store::open(dir.path())?;
        let queue = Queue::<u32>::new(&store, "queue")?;
        let others = Queue::<u32>::new(&store, "others")?;
        queue.push(&1)?;
        queue.push_with(&2, &Push::new().tag("a").tag("b c"))?;
        others.push_with(&3, &Push::new().tag("a"))?;
        store.write(|db| {
            db.run("DROP TABLE queue_tags", &[])?;
            db.execute("UPDATE kinds SET format = 1 WHERE name = 'queue'", &[])
        })?;
        drop((queue, others, store));

        let store = Store::open(dir.path())?;
        let [queue, others] = ["queue", "others"].map(|name| Queue::<u32>::new(&store, name));
        let (queue, others) = (queue?, others?);
        assert_eq!(queue.tagged("a").count(), 1);
        assert_eq!(queue.tagged("b c").count(), 1);
        assert_eq!(others.tagged("b c").count(), 0);
        assert_eq!(queue.discard_tag("a")?, 1);
        assert_eq!(queue.tagged("b c").count(), 0);
        assert_eq!((queue.stats()?.ready, others.tagged("a").count()), (1, 1));
        store.remove_structure("others")?;
        let left = "SELECT count(*) FROM queue_tags";
        let left = store.read_one(|db| db.query_one(left, &[], |row| row.int(0)))?;
        assert_eq!(left, Some(0));
        Ok(())
    }
}
