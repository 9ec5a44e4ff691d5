//! Transactions over some structures of a store.

use std::thread;

use diskette::{
    Access, Barrier, BoundedSemaphore, Cache, Chain, Deque, Error, Fresh, Index, Lock, Queue, Rate,
    Store, Structures, Throttle, Transaction,
};
use diskette_testkit::{Child, PATIENCE, Place, Postgres, eventually, role, unique_store};

struct All {
    deque: Deque<u32>,
    index: Index<u32, u32>,
    cache: Cache<u32, u32>,
    queue: Queue<u32>,
    throttle: Throttle,
    chain: Chain,
}

impl All {
    fn open(store: &Store, prefix: &str) -> Self {
        let name = |kind: &str| format!("{prefix} {kind}");
        let throttle = |kind| Throttle::new(store, &name(kind), Rate::per_hour(100).burst(100));
        let [throttle, link, last] = ["throttle", "link", "last"].map(|it| throttle(it).unwrap());
        All {
            deque: Deque::new(store, &name("deque")).unwrap(),
            index: Index::new(store, &name("index")).unwrap(),
            cache: Cache::new(store, &name("cache")).unwrap(),
            queue: Queue::new(store, &name("queue")).unwrap(),
            throttle,
            chain: Chain::new([&link, &last]).unwrap(),
        }
    }

    fn each(&self) -> [&dyn Structures; 6] {
        let All {
            deque,
            index,
            cache,
            queue,
            throttle,
            chain,
        } = self;
        [deque, index, cache, queue, throttle, chain]
    }

    /// Uses each of them, to read it and to write to it.
    fn use_within(&self, tx: &impl Access) -> Vec<(&str, Result<(), Error>)> {
        vec![
            ("deque", self.deque.within(tx).len().map(drop)),
            ("deque", self.deque.within(tx).push_back(&1)),
            ("deque", self.deque.within(tx).try_claim_front().map(drop)),
            ("index", self.index.within(tx).get(&1).map(drop)),
            ("index", self.index.within(tx).insert(&1, &1).map(drop)),
            (
                "index",
                self.index.within(tx).iter().next().transpose().map(drop),
            ),
            ("cache", self.cache.within(tx).get(&1).map(drop)),
            ("cache", self.cache.within(tx).insert(&1, &1).map(drop)),
            ("queue", self.queue.within(tx).stats().map(drop)),
            ("queue", self.queue.within(tx).push(&1).map(drop)),
            ("queue", self.queue.within(tx).try_claim().map(drop)),
            ("throttle", self.throttle.within(tx).available().map(drop)),
            ("throttle", self.throttle.within(tx).try_acquire().map(drop)),
            ("throttle", self.throttle.within(tx).rates().map(drop)),
            ("link", self.chain.within(tx).available().map(drop)),
            ("link", self.chain.within(tx).try_acquire().map(drop)),
        ]
    }

    fn is_untouched(&self) -> bool {
        self.deque.is_empty().unwrap()
            && self.index.is_empty().unwrap()
            && self.cache.is_empty().unwrap()
            && self.queue.stats().unwrap().ready == 0
            && self.throttle.available().unwrap() == 100
            && self.chain.available().unwrap() == 100
    }
}

#[test]
fn what_is_named_can_be_used_and_nothing_else() {
    let (_place, store) = Place::new().with(|path| Store::open(path));
    let (named, other) = (All::open(&store, "named"), All::open(&store, "other"));
    let over = store.transaction_over(named.each(), |tx| {
        for (kind, result) in other.use_within(tx) {
            let error = result.unwrap_err();
            assert!(error.is_misuse(), "{error}");
            assert!(
                error.to_string().contains(&format!("\"other {kind}\"")),
                "{error}"
            );
        }
        for (kind, result) in named.use_within(tx) {
            result.unwrap_or_else(|error| panic!("{kind}: {error}"));
        }
        diskette::Ok(())
    });
    over.unwrap();
    assert!(other.is_untouched());
    assert_eq!(
        (named.deque.len().unwrap(), named.index.len().unwrap()),
        (1, 1)
    );
    assert_eq!(named.throttle.available().unwrap(), 99);
    assert_eq!(named.chain.available().unwrap(), 99);
}

/// On PostgreSQL it took the items of the other without its turn.
#[test]
fn what_one_structure_takes_from_another_is_of_both() {
    let (_place, store) = Place::new().with(|path| Store::open(path));
    let deque = |name| Deque::<u32>::new(&store, name).unwrap();
    let (here, there) = (deque("here"), deque("there"));
    there.extend([1, 2]).unwrap();
    let claim = there.claim_front(PATIENCE).unwrap().unwrap();
    store
        .transaction_over(&here, |tx| {
            assert!(here.within(tx).append(&there).unwrap_err().is_misuse());
            assert!(claim.complete(tx).unwrap_err().is_misuse());
            diskette::Ok(())
        })
        .unwrap();
    assert_eq!((here.len().unwrap(), there.len().unwrap()), (0, 2));
    store
        .transaction_over([&here, &there], |tx| here.within(tx).append(&there))
        .unwrap();
    assert_eq!((here.len().unwrap(), there.len().unwrap()), (2, 0));
}

#[test]
fn it_is_whole_or_nothing_and_says_what_it_cant_be_over() {
    let (_place, store) = Place::new().with(|path| Store::open(path));
    let (_elsewhere, other) = Place::new().with(|path| Store::open(path));
    let a = Deque::<u32>::new(&store, "a").unwrap();
    let b = Index::<u32, u32>::new(&store, "b").unwrap();
    let undone: Result<(), Error> = store.transaction_over((&a, &b), |tx| {
        a.within(tx).push_back(&1)?;
        b.within(tx).insert(&1, &1)?;
        let part = tx.transaction(|part| {
            a.within(part).push_back(&2)?;
            Deque::<u32>::new_within(part, "new").map(drop)
        });
        let error = part.unwrap_err();
        assert!(
            error.is_misuse() && error.to_string().contains("new"),
            "{error}"
        );
        assert_eq!(a.within(tx).len()?, 1);
        assert_eq!(Deque::<u32>::new_within(tx, "a")?.len()?, 1);
        b.get(&1).map(drop) // a plain call, which would not see what was written
    });
    assert!(undone.unwrap_err().is_misuse());
    assert!(a.is_empty().unwrap() && b.is_empty().unwrap());

    let elsewhere = Deque::<u32>::new(&other, "elsewhere").unwrap();
    let refused = |over: &dyn Structures| -> Error {
        let ran = store.transaction_over(over, |_| -> Result<(), Error> {
            panic!("it must not get here")
        });
        ran.unwrap_err()
    };
    let error = refused(&(&a, &elsewhere));
    assert!(
        error.is_misuse() && error.to_string().contains("elsewhere"),
        "{error}"
    );
    assert!(store.remove_structure("b").unwrap());
    let error = refused(&(&a, vec![&b]));
    assert!(
        error.is_removed() && error.to_string().contains("\"b\""),
        "{error}"
    );
}

/// They are no part of it: taken before it, and shown in it.
#[test]
fn locks_and_permits_fence_it() {
    let (_place, store) = Place::new().with(|path| Store::open(path));
    let plan = Index::<u32, u32>::new(&store, "plan").unwrap();
    let lock = Lock::new(&store, "lock").unwrap();
    let semaphore = BoundedSemaphore::new(&store, "semaphore", 2).unwrap();
    let (guard, permit) = (lock.lock().unwrap(), semaphore.acquire().unwrap());
    for round in 1..=2 {
        store
            .transaction_over(&plan, |tx| {
                tx.fence(&(&guard, &permit))?;
                assert!(semaphore.try_acquire()?.is_some());
                plan.within(tx).insert(&round, &0)
            })
            .unwrap();
    }
    // As if another had taken it, written under it and given it back.
    store
        .write(|db| db.execute("UPDATE fences SET token = token + 1", &[]))
        .unwrap();
    let overtaken = store.transaction_over(&plan, |tx| {
        tx.fence(&guard)?;
        plan.within(tx).insert(&3, &0)
    });
    assert!(overtaken.unwrap_err().is_overtaken());
    assert_eq!(plan.len().unwrap(), 2);
    drop((guard, permit));
    assert!(lock.try_lock().unwrap().is_some());
}

#[test]
fn those_that_name_them_in_different_orders_dont_wait_for_each_other() {
    const EACH: u32 = 50;
    let (_place, store) = Place::new().with(|path| Store::open(path));
    let counts = ["a", "b", "c"].map(|name| Index::<u32, u32>::new(&store, name).unwrap());
    thread::scope(|threads| {
        for first in 0..3 {
            let (store, counts) = (&store, &counts);
            threads.spawn(move || {
                let (one, two) = (&counts[first], &counts[(first + 1) % 3]);
                for _ in 0..EACH {
                    let count = |tx: &Transaction<'_>, index: &Index<u32, u32>| {
                        let count = index.within(tx).get(&0)?.unwrap_or(0);
                        index.within(tx).insert(&0, &(count + 1)).map(drop)
                    };
                    let counted = store.transaction_over([one, two], |tx| {
                        count(tx, one)?;
                        count(tx, two)
                    });
                    counted.unwrap();
                }
            });
        }
    });
    for index in &counts {
        assert_eq!(index.get(&0).unwrap(), Some(2 * EACH));
    }
}

role! {
    /// Pushes to the deques that it is told, each in a transaction over it, and says what it found there.
    fn pusher(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        loop {
            let deque = Deque::<u32>::new(&store, &parent.hear()).unwrap();
            let before = store.transaction_over(&deque, |tx| {
                let before = deque.within(tx).len()?;
                deque.within(tx).push_back(&0)?;
                diskette::Ok(before)
            });
            parent.say(before.unwrap());
        }
    }
}

/// By what happens within what, and by whom the server has wait.
#[test]
fn on_postgresql_those_over_different_structures_run_side_by_side() {
    let Some(server) = Postgres::private(&[]) else {
        return;
    };
    let url = server.url(&unique_store());
    let store = Store::open(&url).unwrap();
    let deque = |name| Deque::<u32>::new(&store, name).unwrap();
    let (mine, theirs) = (deque("mine"), deque("theirs"));
    let throttle = Throttle::new(&store, "throttle", Rate::per_hour(1)).unwrap();
    let barrier = Barrier::new(&store, "barrier", 1).unwrap();
    let memo = Cache::<u32, bool>::new(&store, "memo").unwrap();
    let mut child = Child::spawn(pusher, &[&url]);
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objsubid = 2";
    assert_eq!(server.sql(waits), "0");
    store
        .transaction_over(&mine, |tx| {
            mine.within(tx).push_back(&1)?;
            child.say("theirs");
            assert_eq!(child.hear(PATIENCE), "0");
            let single_calls = || {
                throttle.try_acquire().unwrap().unwrap();
                barrier.wait().unwrap();
                // That one would wait for oneself is a question to all caches.
                let again = || memo.memoize(&1, Fresh::forever(), || false);
                let refused = || again().is_err_and(|error| error.is_deadlock());
                assert!(memo.memoize(&1, Fresh::forever(), refused).unwrap());
            };
            thread::scope(|threads| threads.spawn(single_calls).join()).unwrap();
            child.say("mine");
            eventually(PATIENCE, || server.sql(waits) == "1");
            mine.within(tx).push_back(&2)
        })
        .unwrap();
    assert_eq!(child.hear(PATIENCE), "2");
    assert_eq!((mine.len().unwrap(), theirs.len().unwrap()), (3, 1));

    // And a transaction that may touch any waits for it.
    store
        .transaction(|tx| {
            mine.within(tx).push_back(&3)?;
            child.say("theirs");
            eventually(PATIENCE, || server.sql(waits) == "1");
            theirs.within(tx).push_back(&4)
        })
        .unwrap();
    assert_eq!(child.hear(PATIENCE), "2");
}
