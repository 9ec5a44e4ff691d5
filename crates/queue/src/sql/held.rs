//! What who holds a job does with it, and how a job ends.

use std::sync::LazyLock;

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
