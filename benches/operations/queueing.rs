//! A queue beside the statements that a careful user would write: one table, one index of what is ready.

use std::path::Path;
use std::rc::Rc;

use diskette::{Keep, Queue, Store};
use diskette_benches::scaled;
use rusqlite::params;

use crate::pairs::{Pair, next, value, with};
use crate::raw::Raw;

/// Jobs that wait all along.
const JOBS: u64 = scaled(100_000, 1_000);

const SCHEMA: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, state TEXT NOT NULL, priority INTEGER NOT NULL, due INTEGER, \
        pushed INTEGER NOT NULL, attempts INTEGER NOT NULL, owner INTEGER, error TEXT, value BLOB);
    CREATE INDEX t_ready ON t (priority, id) WHERE state = 'ready';
    CREATE INDEX t_due ON t (due) WHERE due IS NOT NULL;
    CREATE INDEX t_owner ON t (owner) WHERE owner IS NOT NULL";
const PUSH: &str =
    "INSERT INTO t (state, priority, pushed, attempts, value) VALUES ('ready', 0, ?1, 0, ?2)";
const CLAIM: &str = "UPDATE t SET state = 'claimed', owner = 7, attempts = attempts + 1 WHERE id = \
    (SELECT id FROM t WHERE state = 'ready' ORDER BY priority, id LIMIT 1) RETURNING id, value";
const CLAIM_MANY: &str = "UPDATE t SET state = 'claimed', owner = 7, attempts = attempts + 1 WHERE id IN \
    (SELECT id FROM t WHERE state = 'ready' ORDER BY priority, id LIMIT 100) RETURNING id, value";
const COMPLETE: &str = "DELETE FROM t WHERE id = ?1";

pub(crate) fn all(dir: &Path) -> Vec<Pair> {
    let raw = Rc::new(Raw::open(&dir.join("queue.db"), SCHEMA));
    let push = |raw: &Raw, n: u64| {
        let time = n.cast_signed() + (1 << 50);
        raw.execute(PUSH, params![time, value(n).as_bytes()]);
    };
    raw.transaction(|raw| (0..JOBS).for_each(|n| push(raw, n)));
    let store = Store::open(dir.join("queue")).expect("a store");
    let options = Queue::<String>::options().keep_done(Keep::none());
    let ours = options.new(&store, "queue").expect("a queue");
    ours.push_all((0..JOBS).map(value)).expect("room");
    let ours = Rc::new(ours);

    let mut pushed = (0_u64.., 0_u64..);
    let mut batch = (0_u64.., 0_u64..);
    let one = |name, raw, ours| Pair {
        name,
        budget: 1.5,
        each: 1,
        raw,
        ours,
    };
    let hundred = |name, raw, ours| Pair {
        name,
        budget: 1.5,
        each: 100,
        raw,
        ours,
    };
    vec![
        one(
            "Queue::push",
            with(&raw, move |raw| push(raw, next(&mut pushed.0))),
            with(&ours, move |ours| {
                let pushed = ours.push(value(next(&mut pushed.1)).as_str());
                pushed.expect("a write");
            }),
        ),
        one(
            "Queue: try_claim, then complete_now",
            with(&raw, |raw| {
                let (id, _) = raw.row(CLAIM, params![]);
                raw.execute(COMPLETE, params![id]);
            }),
            with(&ours, |ours| {
                let claim = ours.try_claim().expect("a write").expect("a job");
                claim.complete_now().expect("a write");
            }),
        ),
        hundred(
            "Queue::push_all of 100, each",
            with(&raw, move |raw| {
                raw.transaction(|raw| batch.0.by_ref().take(100).for_each(|n| push(raw, n)));
            }),
            with(&ours, move |ours| {
                let jobs = batch.1.by_ref().take(100).map(value);
                drop(ours.push_all(jobs).expect("a write"));
            }),
        ),
        hundred(
            "Queue: claim_many, complete_all of 100",
            with(&raw, |raw| {
                let claimed = raw.rows(CLAIM_MANY, params![]);
                raw.transaction(|raw| {
                    claimed
                        .iter()
                        .for_each(|(id, _)| raw.execute(COMPLETE, params![id]));
                });
            }),
            with(&ours, |ours| {
                let claims = ours.claim_many(100).expect("a write");
                ours.complete_all(claims).expect("a write");
            }),
        ),
    ]
}
