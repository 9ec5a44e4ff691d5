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

mod claiming;
mod due;
mod held;
mod looking;
mod pushing;
mod retention;

use diskette_store::{Claims, GiveBack, Kind, Table};

use crate::death::give_back;

pub(crate) use claiming::*;
pub(crate) use due::*;
pub(crate) use held::*;
pub(crate) use looking::*;
pub(crate) use pushing::*;
pub(crate) use retention::*;

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

#[cfg(test)]
mod tests;
