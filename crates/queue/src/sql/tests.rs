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
