//! Over a Unix socket. What it has no command for is done as its own documentation shows.

use std::cell::RefCell;
use std::process;
use std::rc::Rc;

use redis::{Client, Connection, FromRedisValue, Pipeline, Script};

use crate::here;
use crate::subject::{Item, Subject};

/// Frees a lock, if it is ours.
const UNLOCK: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
/// Counts within windows of a second; whether there is room.
const THROTTLE: &str = "local count = redis.call('INCR', KEYS[1]) \
    if count == 1 then redis.call('PEXPIRE', KEYS[1], 1000) end return count <= tonumber(ARGV[1])";
const OFTEN: u32 = 100_000_000;

#[derive(Clone)]
struct Connected(Rc<RefCell<Connection>>);

pub(crate) fn connect() -> Subject {
    let address = format!("redis+unix://{}", here("socket").display());
    let client = Client::open(address).expect("an address");
    let connection = client.get_connection().expect("a server");
    let redis = Connected(Rc::new(RefCell::new(connection)));
    let unlock = Script::new(UNLOCK);
    let throttle = Script::new(THROTTLE);
    let [set, get, delete, push, pop, lock, limit, job] = [0; 8].map(|_| redis.clone());
    Subject::default()
        .with("set", move |items| {
            set.each::<String>(items, |all, it| all.set(&it.key, it.value.as_str()))
                .len()
        })
        .with("get", move |items| {
            let values: Vec<Option<String>> = get.each(items, |all, it| all.get(&it.key));
            assert!(values.iter().all(Option::is_some));
            items.len()
        })
        .with("delete", move |items| {
            let deleted: Vec<u32> = delete.each(items, |all, it| all.del(&it.key));
            assert!(deleted.iter().all(|&deleted| deleted == 1));
            items.len()
        })
        .with("push", move |items| {
            push.each::<u64>(items, |all, it| all.rpush("deque", it.value.as_str()))
                .len()
        })
        .with("pop", move |items| {
            let values: Vec<Option<String>> = pop.each(items, |all, _| all.lpop("deque", None));
            values.iter().flatten().count()
        })
        .with("lock", move |_| lock.lock(&unlock))
        .with("throttle", move |_| {
            let mut script = throttle.key("throttle");
            let room: bool = script
                .arg(OFTEN)
                .invoke(&mut *limit.0.borrow_mut())
                .expect("an answer");
            assert!(room);
            1
        })
        .with("job", move |items| job.job(items))
}

impl Connected {
    /// Asks for all of them in one round trip.
    fn each<T: FromRedisValue>(
        &self,
        items: &[Item],
        ask: impl for<'p> Fn(&'p mut Pipeline, &Item) -> &'p mut Pipeline,
    ) -> Vec<T> {
        let mut all = redis::pipe();
        for item in items {
            ask(&mut all, item);
        }
        all.query(&mut *self.0.borrow_mut()).expect("answers")
    }

    /// Asks again and again, as long as another has it.
    fn lock(&self, unlock: &Script) -> usize {
        let connection = &mut *self.0.borrow_mut();
        let me = process::id();
        let mut lock = redis::cmd("SET");
        let lock = lock.arg("lock").arg(me).arg("NX").arg("PX").arg(60_000);
        let taken = |connection: &mut Connection| {
            let answer: Option<String> = lock.query(connection).expect("an answer");
            answer.is_some()
        };
        while !taken(connection) {}
        let freed: u32 = unlock
            .key("lock")
            .arg(me)
            .invoke(connection)
            .expect("an answer");
        assert_eq!(freed, 1);
        1
    }

    /// From one list to another, where it is while somebody works on it.
    fn job(&self, items: &[Item]) -> usize {
        self.each::<u64>(items, |all, it| all.rpush("jobs", it.value.as_str()));
        let claims: Vec<Option<String>> = self.each(items, |all, _| {
            let all = all.cmd("LMOVE");
            all.arg("jobs").arg("claimed").arg("LEFT").arg("RIGHT")
        });
        let mut complete = redis::pipe();
        for claim in claims.iter().flatten() {
            complete.lrem("claimed", 1, claim.as_str());
        }
        let _: Vec<u64> = complete.query(&mut *self.0.borrow_mut()).expect("answers");
        claims.iter().flatten().count()
    }
}
