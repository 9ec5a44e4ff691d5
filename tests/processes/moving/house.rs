//! A store with something of every kind in it.

use std::time::Duration;

use diskette::{
    Barrier, BoundedSemaphore, Cache, Claim, Deque, Index, JobState, Lock, Outcome, Push, Queue,
    RLock, Rate, RwLock, ShardedCache, Store, Terms, Throttle, Unique, queue,
};
use diskette_store::INLINE;

/// What is in hand while the store moves, and what has to be there afterwards.
pub(super) struct House {
    _item: Claim<String>,
    _job: queue::Claim<String>,
    seen: Vec<String>,
}

const HOUR: Duration = Duration::from_secs(3600);

fn large() -> String {
    "large ".repeat(INLINE / 4)
}

impl House {
    pub(super) fn build(store: &Store) -> Self {
        Deque::<u32>::new(store, "gone").unwrap();
        assert!(store.remove_structure("gone").unwrap());
        let todo = todo(store);
        todo.extend((0..500).map(|n| format!("item {n}"))).unwrap();
        todo.remove(250).unwrap();
        todo.push_back(&large()).unwrap();
        todo.push_back("").unwrap();
        let pages = pages(store);
        let all = (0..3000).map(|n| (format!("page {}", n * 7919 % 3000), n));
        pages.extend(all).unwrap();
        pages.remove("page 1").unwrap();
        let answers = answers(store);
        for n in -20..20 {
            let terms = Terms::from(HOUR).tag((n % 3).to_string());
            answers.insert_with(&n, &vec![0xfe; 30], terms).unwrap();
        }
        let pictures = pictures(store);
        for n in 0..60 {
            pictures.insert(&n, &n.to_string()).unwrap();
        }
        pictures.insert(&60, &large()).unwrap();
        let jobs = jobs(store);
        for n in 0..20 {
            let push = Push::new().tag(format!("tag {}", n % 2)).priority(n);
            jobs.push_with(&format!("job {n}"), &push).unwrap();
        }
        let later = Push::new().delay(HOUR).unique(Unique::key("later"));
        jobs.push_with("later", &later).unwrap();
        let done = jobs.try_claim().unwrap().unwrap();
        store
            .transaction(|tx| done.complete_with(tx, &"the result".to_owned()))
            .unwrap();
        let dead = jobs.try_claim().unwrap().unwrap();
        dead.cancel("nobody wants it").unwrap();
        let throttle = throttle(store);
        throttle.try_acquire_n(4).unwrap().unwrap();
        BoundedSemaphore::new(store, "permits", 3).unwrap();
        RLock::new(store, "rlock").unwrap();
        RwLock::new(store, "rwlock").unwrap();
        Barrier::new(store, "barrier", 2).unwrap();
        fence(store);
        let seen = inventory(store);
        let _item = todo.try_claim_front().unwrap().unwrap();
        let _job = jobs.try_claim().unwrap().unwrap();
        House { _item, _job, seen }
    }

    /// What was there before anything of it was in hand.
    pub(super) fn leave(self) -> Vec<String> {
        self.seen
    }
}

/// All that can be seen of it, a line each.
pub(super) fn inventory(store: &Store) -> Vec<String> {
    let mut all = Vec::new();
    let mut note = |what: &str, seen: &dyn std::fmt::Debug| all.push(format!("{what}: {seen:?}"));
    for structure in store.stats().unwrap().structures {
        note(
            "structure",
            &(structure.name, structure.kind, structure.codec),
        );
    }
    note("todo", &todo(store).to_vec().unwrap());
    note("most", &todo(store).max_len().unwrap());
    for page in pages(store).iter() {
        note("page", &page.unwrap());
    }
    for answer in answers(store).iter() {
        note("answer", &answer.unwrap());
    }
    note("tagged", &answers(store).tagged("1").count());
    let mut seen: Vec<_> = pictures(store).iter().map(Result::unwrap).collect();
    seen.sort_unstable();
    note("pictures", &seen);
    let jobs = jobs(store);
    for state in JobState::ALL {
        for job in jobs.list(state) {
            let job = job.unwrap();
            note("job", &(state, job.id, job.content.job()));
            if state == JobState::Done {
                let outcome = jobs.outcome::<String>(job.id).unwrap();
                let result = outcome.map(|outcome| match outcome {
                    Outcome::Done(result) => result,
                    other => panic!("{other:?}"),
                });
                note("result", &result);
            }
        }
    }
    note("tagged jobs", &jobs.tagged("tag 1").count());
    note("slots", &throttle(store).available().unwrap());
    let permits = BoundedSemaphore::find(store, "permits").unwrap().unwrap();
    note("permits", &permits.permits().unwrap());
    Barrier::new(store, "barrier", 2).unwrap();
    all
}

/// Goes on where the store was left.
pub(super) fn live_in(store: &Store) {
    let todo = todo(store);
    let len = todo.len().unwrap();
    todo.push_back("another").unwrap();
    assert_eq!(todo.len().unwrap(), len + 1);
    assert_eq!(&*todo.try_claim_front().unwrap().unwrap(), "item 0");
    pages(store).insert("another", &1).unwrap();
    let newest = pages(store).iter().next_back().unwrap();
    assert_eq!(newest.unwrap().0, "another");
    pictures(store).insert(&61, &large()).unwrap();
    let before = jobs(store).list(JobState::Scheduled).next().unwrap();
    let job = jobs(store).push("another").unwrap();
    assert!(job.get() > before.unwrap().id.get());
    let later = Push::new().unique(Unique::key("later"));
    assert!(!jobs(store).push_with("later", &later).unwrap().is_new());
    // Greater than all that were shown before.
    fence(store);
    let new = Deque::<u32>::new(store, "new").unwrap();
    assert!(new.is_empty().unwrap());
    new.push_back(&1).unwrap();
    assert_eq!(new.to_vec().unwrap(), [1]);
}

fn fence(store: &Store) {
    let guard = Lock::new(store, "lock").unwrap().lock().unwrap();
    let todo = todo(store);
    store
        .transaction_fenced(&guard, |tx| todo.within(tx).len())
        .unwrap();
}

fn todo(store: &Store) -> Deque<String> {
    let options = Deque::options().max_len(1000);
    options.new(store, "todo").unwrap()
}

fn pages(store: &Store) -> Index<String, u32> {
    Index::new(store, "pages").unwrap()
}

fn answers(store: &Store) -> Cache<i64, Vec<u8>> {
    Cache::new(store, "answers").unwrap()
}

fn pictures(store: &Store) -> ShardedCache<u64, String> {
    Cache::options().shards(3).new(store, "pictures").unwrap()
}

fn jobs(store: &Store) -> Queue<String> {
    Queue::new(store, "jobs").unwrap()
}

fn throttle(store: &Store) -> Throttle {
    Throttle::new(
        store,
        "throttle",
        ["10/h burst 10".parse::<Rate>().unwrap()],
    )
    .unwrap()
}
