//! Who has a store open goes on where it has moved.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use diskette::{
    Barrier, BoundedSemaphore, Cache, Deque, Error, Fence, Index, JobState, Lock, Queue, RLock,
    Rate, Result, RwLock, ShardedCache, Stop, Store, Throttle, Worker, wait_any,
};
use diskette_store::{Access, INLINE, MessagePack};
use diskette_testkit::{Child, Forked, PATIENCE, Postgres, eventually, role, unique_store};

/// By whom, and which.
type Item = (u64, u64);

const ROUND: u64 = 5;

struct Things {
    store: Store,
    todo: Deque<Item>,
    done: Index<Item, u64>,
    pages: Index<Item, u64>,
    answers: Cache<Item, u64>,
    pictures: ShardedCache<Item, u64>,
    jobs: Queue<Item>,
    counts: Index<String, u64>,
    throttle: Throttle,
}

impl Things {
    fn of(store: &Store) -> Self {
        let rate: Rate = "1000000/s burst 1000000".parse().unwrap();
        Things {
            store: store.clone(),
            todo: Deque::new(store, "todo").unwrap(),
            done: Index::new(store, "done").unwrap(),
            pages: Index::new(store, "pages").unwrap(),
            answers: Cache::new(store, "answers").unwrap(),
            pictures: Cache::options().shards(2).new(store, "pictures").unwrap(),
            jobs: Queue::new(store, "jobs").unwrap(),
            counts: Index::new(store, "counts").unwrap(),
            throttle: Throttle::new(store, "throttle", [rate]).unwrap(),
        }
    }

    fn count(&self, tx: &impl Access, what: &str) -> Result<()> {
        let counts = self.counts.within(tx);
        let before = counts.get(what)?.unwrap_or(0);
        counts.insert(what, &(before + 1)).map(drop)
    }

    /// Counts under something that is held; what was lost by a move is taken anew.
    fn count_under<F: Fence>(&self, what: &str, take: impl Fn() -> Result<F>) {
        once_more(|| {
            let held = take().unwrap();
            self.store
                .transaction_fenced(&held, |tx| self.count(tx, what))
        });
    }

    fn use_all(&self, item: Item) {
        self.todo.push_back(&item).unwrap();
        self.pages.insert(&item, &item.1).unwrap();
        assert_eq!(self.pages.get(&item).unwrap(), Some(item.1));
        self.answers.insert(&item, &item.1).unwrap();
        assert_eq!(self.answers.get(&item).unwrap(), Some(item.1));
        self.pictures.insert(&item, &item.1).unwrap();
        assert_eq!(self.pictures.get(&item).unwrap(), Some(item.1));
        self.throttle.acquire().unwrap();
        let counted = self.store.transaction(|tx| self.count(tx, "transaction"));
        counted.unwrap();
        let over = (&self.counts, &self.done);
        let counted = self
            .store
            .transaction_over(over, |tx| self.count(tx, "over"));
        counted.unwrap();
        let seen = self
            .store
            .snapshot(|seen| self.counts.within(seen).get("over"));
        assert!(seen.unwrap().is_some());
        self.jobs.push(&item).unwrap();
        once_more(|| {
            let claim = self.todo.claim_front(PATIENCE).unwrap().unwrap();
            let item = *claim;
            self.store.transaction(|tx| {
                claim.complete(tx)?;
                assert!(self.done.within(tx).insert_if_absent(&item, &item.1)?);
                Ok::<(), Error>(())
            })
        });
    }
}

/// Tries again what a move has ended, of which there is one.
fn once_more(attempt: impl Fn() -> Result<()>) {
    if let Err(error) = attempt() {
        assert!(error.is_moved(), "{error}");
        attempt().unwrap();
    }
}

role! {
    /// Has all kinds of structures open, and uses them, so many times between two words with its parent.
    fn tenant(parent) {
        let (path, me): (String, u64) = (parent.arg(0), parent.arg(1));
        let store = Store::open(path).unwrap();
        let things = Things::of(&store);
        let lock = Lock::new(&store, "lock").unwrap();
        let rlock = RLock::new(&store, "rlock").unwrap();
        let rw_lock = RwLock::new(&store, "rw_lock").unwrap();
        let permits = BoundedSemaphore::new(&store, "permits", 2).unwrap();
        for n in 0.. {
            if n % ROUND == 0 {
                parent.say("round");
                if parent.hear() == "stop" {
                    parent.say(n);
                    return;
                }
            }
            things.use_all((me, n));
            things.count_under("lock", || lock.lock());
            things.count_under("rlock", || rlock.lock());
            things.count_under("rw_lock", || rw_lock.write());
            things.count_under("permits", || permits.acquire());
        }
    }
}

#[test]
fn processes_that_use_structures_of_all_kinds_go_on_in_the_database() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let url = server.url(&unique_store());
    let store = Store::open(&path).unwrap();
    let things = Things::of(&store);
    let start = |me: u64| Child::spawn(tenant, &[&path.display(), &me]);
    let mut tenants: Vec<_> = (0..3).map(start).collect();
    let round = |tenants: &mut [Child], answer: &str| {
        for tenant in tenants {
            assert_eq!(tenant.hear(PATIENCE), "round");
            tenant.say(answer);
        }
    };
    let has_moved = AtomicBool::new(false);
    round(&mut tenants, "more");
    round(&mut tenants, "more");
    thread::scope(|scope| {
        scope.spawn(|| {
            store.promote(&url, |_| {}).unwrap();
            has_moved.store(true, Ordering::Release);
        });
        while !has_moved.load(Ordering::Acquire) {
            round(&mut tenants, "more");
        }
    });
    round(&mut tenants, "more");
    round(&mut tenants, "more");
    round(&mut tenants, "stop");
    let ends = tenants
        .iter_mut()
        .map(|it| it.hear(PATIENCE).parse().unwrap());
    let ends: Vec<u64> = ends.collect();
    let mut all: Vec<Item> = Vec::new();
    for (me, &end) in (0..).zip(&ends) {
        all.extend((0..end).map(|n| (me, n)));
    }

    // By a handle from before, and by one that knows nothing of a directory.
    for things in [things, Things::of(&Store::open(&url).unwrap())] {
        let mut items: Vec<_> = things.done.keys().map(Result::unwrap).collect();
        items.extend(things.todo.to_vec().unwrap());
        assert_eq!(sorted(items), all);
        assert_eq!(sorted(things.pages.keys().map(Result::unwrap)), all);
        assert_eq!(sorted(things.answers.iter().map(|it| it.unwrap().0)), all);
        assert_eq!(sorted(things.pictures.iter().map(|it| it.unwrap().0)), all);
        let counts: BTreeMap<_, _> = things.counts.iter().map(Result::unwrap).collect();
        let each = all.len() as u64;
        let names = ["lock", "over", "permits", "rlock", "rw_lock", "transaction"];
        let expected = names.map(|name| (name.to_owned(), each));
        assert_eq!(counts, BTreeMap::from(expected));
        assert_eq!(things.jobs.list(JobState::Ready).count(), all.len());
        assert!(
            things
                .store
                .path()
                .to_str()
                .unwrap()
                .starts_with("postgres://")
        );
        assert_eq!(things.store.check().unwrap().problems, []);
        // Those of one are the other's.
        let other = Store::open(&url).unwrap();
        other
            .transaction(|tx| things.todo.within(tx).push_back(&(9, 9)))
            .unwrap();
        assert_eq!(things.todo.pop_back().unwrap(), Some((9, 9)));
    }
}

fn sorted(items: impl IntoIterator<Item = Item>) -> Vec<Item> {
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort_unstable();
    items
}

role! {
    /// Waits for something of each kind, and says what came.
    fn waiter(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let deque = |name: &str| Deque::<u32>::new(&store, name).unwrap();
        let (first, second, third) = (deque("first"), deque("second"), deque("third"));
        let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let permits = BoundedSemaphore::new(&store, "permits", 1).unwrap();
        let barrier = Barrier::new(&store, "barrier", 2).unwrap();
        let waits: [Box<dyn FnOnce() -> u32 + Send>; 6] = [
            Box::new(move || first.pop_front_timeout(PATIENCE * 10).unwrap().unwrap()),
            Box::new(move || wait_any(&[&third, &second], PATIENCE * 10).unwrap().unwrap() as u32),
            Box::new(move || {
                let job = jobs.claim_timeout(PATIENCE * 10).unwrap().unwrap();
                let number = *job;
                job.complete_now().unwrap();
                number
            }),
            // What is taken in the last moment before the move is lost with it.
            Box::new(move || {
                while !lock.lock().unwrap().is_held() {}
                1
            }),
            Box::new(move || {
                while !permits.acquire().unwrap().is_held() {}
                1
            }),
            Box::new(move || u32::from(barrier.wait_timeout(PATIENCE * 10).unwrap().is_some())),
        ];
        let waits = waits.map(thread::spawn);
        parent.say("waits");
        for wait in waits {
            parent.say(wait.join().unwrap());
        }
    }
}

#[test]
fn who_waits_in_another_process_gets_what_comes_after_the_move() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let deque = |name: &str| Deque::<u32>::new(&store, name).unwrap();
    let (first, second) = (deque("first"), deque("second"));
    let jobs = Queue::<u32>::new(&store, "jobs").unwrap();
    let lock = Lock::new(&store, "lock").unwrap();
    let permits = BoundedSemaphore::new(&store, "permits", 1).unwrap();
    let barrier = Barrier::new(&store, "barrier", 2).unwrap();
    let (guard, permit) = (lock.lock().unwrap(), permits.acquire().unwrap());
    let mut waiter = Child::spawn(waiter, &[&path.display()]);
    assert_eq!(waiter.hear(PATIENCE), "waits");
    eventually(PATIENCE, || barrier.waiting().unwrap() == 1);
    store.promote(&server.url(&unique_store()), |_| {}).unwrap();

    first.push_back(&7).unwrap();
    assert_eq!(waiter.hear(PATIENCE), "7");
    second.push_back(&8).unwrap();
    assert_eq!(waiter.hear(PATIENCE), "1");
    jobs.push(&9).unwrap();
    assert_eq!(waiter.hear(PATIENCE), "9");
    // What was held is free.
    assert_eq!(waiter.hear(PATIENCE), "1");
    assert_eq!(waiter.hear(PATIENCE), "1");
    assert!(!guard.is_held() && !permit.is_held());
    assert!(barrier.wait_timeout(PATIENCE).unwrap().is_some());
    assert_eq!(waiter.hear(PATIENCE), "1");
    assert!(guard.release().unwrap_err().is_moved());
    assert!(lock.lock_timeout(PATIENCE).unwrap().is_some());
}

role! {
    /// Works on jobs until it is told to stop; what each has done is counted with its end.
    fn worker(parent) {
        let stop = Stop::new();
        let store = Store::open(parent.arg::<String>(0)).unwrap().with_stop(&stop);
        let jobs = Queue::<u64>::new(&store, "jobs").unwrap();
        let done = Index::<u64, u64>::new(&store, "done").unwrap();
        let worker = Worker::new(&jobs).threads(2);
        let working = thread::spawn(move || worker.run(move |claim| {
            let job = *claim;
            store.transaction(|tx| {
                assert!(done.within(tx).insert_if_absent(&job, &job)?);
                claim.complete(tx)
            })?;
            Ok(())
        }));
        parent.say("works");
        parent.hear();
        stop.stop();
        parent.say(working.join().unwrap().is_ok());
    }
}

#[test]
fn a_worker_goes_on_and_each_job_is_done_once() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let jobs = Queue::<u64>::new(&store, "jobs").unwrap();
    let done = Index::<u64, u64>::new(&store, "done").unwrap();
    jobs.push_all(0..300).unwrap();
    let mut workers = [(); 2].map(|()| Child::spawn(worker, &[&path.display()]));
    for worker in &mut workers {
        assert_eq!(worker.hear(PATIENCE), "works");
    }
    store.promote(&server.url(&unique_store()), |_| {}).unwrap();
    jobs.push_all(300..400).unwrap();
    assert!(jobs.wait_idle(PATIENCE).unwrap());
    let mut all: Vec<_> = done.keys().map(Result::unwrap).collect();
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<_>>());
    for worker in &mut workers {
        worker.say("stop");
        assert_eq!(worker.hear(PATIENCE), "true");
    }
}

role! {
    /// Moves a store.
    fn mover(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        store.promote(&parent.arg::<String>(1), |_| {}).unwrap();
        parent.say("moved");
    }
}

#[test]
fn while_the_database_cant_be_reached_calls_say_so_and_the_next_goes_on() {
    let Some(mut server) = Postgres::private(&[]) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let numbers = Deque::<u32>::new(&store, "numbers").unwrap();
    let lock = Lock::new(&store, "lock").unwrap();
    numbers.push_back(&1).unwrap();
    let mut mover = Child::spawn(mover, &[&path.display(), &server.url("store")]);
    assert_eq!(mover.hear(PATIENCE), "moved");
    server.kill();
    for _ in 0..2 {
        let errors = [numbers.push_back(&2).err(), lock.try_lock().err()];
        for error in errors {
            let error = error.unwrap();
            assert!(
                !error.is_moved() && error.to_string().contains("postgres://"),
                "{error}"
            );
        }
    }
    server.start();
    // Who opens the directory in between has the same store.
    let again = Store::open(&path).unwrap();
    let pushed = again.transaction(|tx| numbers.within(tx).push_back(&2));
    pushed.unwrap();
    numbers.push_back(&3).unwrap();
    assert_eq!(numbers.to_vec().unwrap(), [1, 2, 3]);
    assert!(lock.try_lock().unwrap().is_some());
}

#[test]
fn a_large_value_that_was_written_before_the_move_is_linked_after_it() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let value = vec![7_u8; 2 * INLINE];
    let stored = store
        .store_value::<MessagePack, Vec<u8>, _>(&value)
        .unwrap();
    store.promote(&server.url(&unique_store()), |_| {}).unwrap();
    assert_eq!(stored.read::<MessagePack, Vec<u8>>().unwrap(), value);
    let file = store.write(|db| {
        let diskette_store::Value::Int(file) = stored.file() else {
            panic!("it is no file");
        };
        stored.link(db).map(|()| file)
    });
    let mut read = Vec::new();
    let mut file = store.open_file(file.unwrap()).unwrap();
    file.read_to_end(&mut read).unwrap();
    assert!(read.ends_with(&value[..100]) && read.len() > value.len());
}

role! {
    /// Forks, once it was told that the store has moved.
    fn forker(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let numbers = Deque::<u32>::new(&store, "numbers").unwrap();
        parent.say("in");
        parent.hear();
        let push = |number| {
            let child = Forked::child(|| {
                numbers.push_back(&number).unwrap();
                let claim = numbers.try_claim_back().unwrap().unwrap();
                claim.release().unwrap();
            });
            assert!(child.ended_well());
        };
        push(1);
        numbers.push_back(&2).unwrap();
        push(3);
        numbers.push_back(&4).unwrap();
        parent.say("done");
    }
}

#[test]
fn children_go_on_by_themselves_whether_their_parent_has_or_not() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(&path).unwrap();
    let mut forker = Child::spawn(forker, &[&path.display()]);
    assert_eq!(forker.hear(PATIENCE), "in");
    store.promote(&server.url(&unique_store()), |_| {}).unwrap();
    forker.say("moved");
    assert_eq!(forker.hear(PATIENCE), "done");
    let numbers = Deque::<u32>::new(&store, "numbers").unwrap();
    assert_eq!(numbers.to_vec().unwrap(), [1, 2, 3, 4]);
}

#[test]
fn what_was_begun_before_a_move_goes_on_or_says_that_it_has_ended() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let items = Deque::<u64>::new(&store, "items").unwrap();
    items.extend(0..2000).unwrap();
    let pages = Index::<u64, u64>::new(&store, "pages").unwrap();
    pages.extend((0..2000).map(|n| (n, n))).unwrap();
    let answers = Cache::<u64, u64>::new(&store, "answers").unwrap();
    let rate: Rate = "1/h burst 1".parse().unwrap();
    let throttle = Throttle::new(&store, "throttle", [rate]).unwrap();
    throttle.acquire().unwrap();
    let reservation = throttle.reserve().unwrap();
    let (mut seen_items, mut seen_pages) = (items.iter(), pages.iter());
    let first_items: Vec<_> = seen_items.by_ref().take(500).map(Result::unwrap).collect();
    let first_pages: Vec<_> = seen_pages
        .by_ref()
        .take(500)
        .map(|it| it.unwrap().0)
        .collect();

    let computed = answers.try_memoize(&1, Duration::from_secs(3600), || {
        store.snapshot(|seen| {
            let before = items.within(seen).len()?;
            store.promote(&server.url(&unique_store()), |_| {})?;
            items.push_back(&2000)?;
            assert_eq!(items.within(seen).len()?, before);
            diskette::Ok(7)
        })
    });
    assert_eq!(computed.unwrap(), 7);
    assert_eq!(answers.get(&1).unwrap(), Some(7));
    // Each goes as far as it went when it began.
    let all_items = first_items
        .into_iter()
        .chain(seen_items.map(Result::unwrap));
    assert!(all_items.eq(0..2000));
    let all_pages = first_pages
        .into_iter()
        .chain(seen_pages.map(|it| it.unwrap().0));
    assert!(all_pages.eq(0..2000));
    assert!(reservation.wait().unwrap_err().is_moved());
    assert!(throttle.try_acquire().unwrap().is_err());
}

#[test]
fn shards_are_not_taken_from_who_has_followed_them() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let url = server.url(&unique_store());
    let store = Store::open(dir.path().join("store")).unwrap();
    let open = |store: &Store| -> ShardedCache<u64, u64> {
        Cache::options().sharded().new(store, "pictures").unwrap()
    };
    let options = Cache::options().shards(3);
    let pictures: ShardedCache<u64, u64> = options.new(&store, "pictures").unwrap();
    (0..100).for_each(|n| pictures.insert(&n, &n).unwrap());
    store.promote(&url, |_| {}).unwrap();
    assert_eq!(pictures.get(&7).unwrap(), Some(7));
    let there = Store::open(&url).unwrap();
    let hurried = open(&there.with_timeout(Duration::from_secs(1)));
    assert!(hurried.reshard(5).unwrap_err().is_timeout());
    drop(pictures);
    let pictures = open(&there).reshard(5).unwrap();
    assert_eq!(pictures.len().unwrap(), 100);
    assert_eq!(open(&store).get(&99).unwrap(), Some(99));
}
