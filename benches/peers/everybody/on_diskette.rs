//! A process on diskette, in a store in its directory or at an address.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

use diskette::{
    BoundedSemaphore, Cache, Deque, Durability, Index, Keep, Lock, Queue, Rate, Store, Throttle,
};

use crate::subject::{Item, Subject};

const OFTEN: u32 = 100_000_000;
const FRESH: Duration = Duration::from_secs(3600);

pub(crate) fn open(store: &str, power: bool, memory: bool) -> Subject {
    let mut options = Store::options().durability(match power {
        true => Durability::Power,
        false => Durability::Process,
    });
    if !memory {
        options = options.memory(0);
    }
    let store = options.open(store).expect("a store");
    let subject = entries(&store, Subject::default());
    let subject = items(&store, subject);
    let subject = jobs(&store, subject);
    holds(&store, subject)
}

fn entries(store: &Store, subject: Subject) -> Subject {
    let set = Index::<String, String>::new(store, "index").expect("an index");
    let [get, delete] = [set.clone(), set.clone()];
    let cache = Cache::<String, String>::new(store, "cache").expect("a cache");
    subject
        .with("set", move |items| {
            match items {
                [Item { key, value }] => set.insert(key, value).expect("a write"),
                _ => {
                    let entries = items.iter().map(|item| (&item.key, &item.value));
                    set.extend(entries).expect("a write");
                }
            }
            items.len()
        })
        .with("get", move |items| {
            match items {
                [Item { key, .. }] => {
                    black_box(get.get(key).expect("a read").expect("a value"));
                }
                _ => {
                    let values = get.get_many(items.iter().map(|item| &item.key));
                    assert!(values.expect("a read").iter().all(Option::is_some));
                }
            }
            items.len()
        })
        .with("delete", move |items| match items {
            [Item { key, .. }] => usize::from(delete.delete(key).expect("a write")),
            _ => {
                let keys = items.iter().map(|item| &item.key);
                delete.remove_many(keys).expect("a write")
            }
        })
        .with("memoize", move |items| {
            for Item { key, .. } in items {
                black_box(cache.memoize(key, FRESH, || key.clone()).expect("a read"));
            }
            items.len()
        })
}

fn items(store: &Store, subject: Subject) -> Subject {
    let push = Deque::<String>::new(store, "deque").expect("a deque");
    let pop = push.clone();
    subject
        .with("push", move |items| {
            match items {
                [item] => push.push_back(&item.value).expect("a write"),
                _ => {
                    let values = items.iter().map(|item| &item.value);
                    push.extend(values).expect("a write");
                }
            }
            items.len()
        })
        .with("pop", move |items| match items {
            [_] => usize::from(pop.pop_front().expect("a write").is_some()),
            _ => pop.pop_front_many(items.len()).expect("a write").len(),
        })
}

fn jobs(store: &Store, subject: Subject) -> Subject {
    let options = Queue::<String>::options().keep_done(Keep::none());
    let queue = Rc::new(options.new(store, "queue").expect("a queue"));
    subject.with("job", move |items| {
        if let [item] = items {
            queue.push(&item.value).expect("a write");
            let claim = queue.try_claim().expect("a write").expect("a job");
            claim.complete_now().expect("a write");
            return 1;
        }
        let jobs = items.iter().map(|item| item.value.clone());
        queue.push_all(jobs).expect("a write");
        let claims = queue.claim_many(items.len()).expect("a write");
        let claimed = claims.len();
        queue.complete_all(claims).expect("a write");
        claimed
    })
}

fn holds(store: &Store, subject: Subject) -> Subject {
    let lock = Lock::new(store, "lock").expect("a lock");
    let semaphore = BoundedSemaphore::new(store, "semaphore", 4).expect("a semaphore");
    let rate = Rate::per_second(OFTEN).burst(OFTEN);
    let throttle = Throttle::new(store, "throttle", rate).expect("a throttle");
    subject
        .with("lock", move |_| {
            lock.lock().expect("a lock").release().expect("ours");
            1
        })
        .with("semaphore", move |_| {
            let permit = semaphore.acquire().expect("a permit");
            permit.release().expect("ours");
            1
        })
        .with("throttle", move |_| {
            throttle.try_acquire().expect("a write").expect("room");
            1
        })
}
