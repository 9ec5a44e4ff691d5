//! What a thread wants while another has the turn to write is done by that one.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

use diskette::{Deque, Error, Store};
use diskette_testkit::asleep;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Knows where it was made, and stays there.
struct Local(ThreadId, PhantomData<Rc<()>>);

static MADE: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());

impl Local {
    fn new() -> Self {
        Local(thread::current().id(), PhantomData)
    }
}

impl Serialize for Local {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

thread_local! {
    static IS_KNOWN: Cell<bool> = const { Cell::new(true) };
}

impl<'de> Deserialize<'de> for Local {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <()>::deserialize(from)?;
        if !IS_KNOWN.get() {
            return Err(D::Error::custom("not in this thread"));
        }
        let made = Local::new();
        MADE.lock().unwrap().push(made.0);
        Ok(made)
    }
}

#[test]
fn an_item_is_made_in_the_thread_that_pops_it_whoever_takes_it() {
    for is_known_here in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let deque = Deque::<Local>::new(&store, "deque").unwrap();
        deque.push_back(&Local::new()).unwrap();
        MADE.lock().unwrap().clear();
        IS_KNOWN.set(is_known_here);
        thread::scope(|scope| {
            let pop = || deque.pop_front().map(|item| item.map(|item| item.0));
            let popper = store.transaction(|_| Ok::<_, Error>(asleep(scope, || (), pop)));
            let popper = popper.unwrap();
            let (here, there) = (thread::current().id(), popper.thread().id());
            assert_eq!(popper.join().unwrap().unwrap(), Some(there));
            let made = MADE.lock().unwrap();
            match is_known_here {
                true => assert_eq!(*made, [here, there]),
                false => assert_eq!(*made, [there]),
            }
        });
        assert!(deque.is_empty().unwrap());
    }
}

#[test]
fn what_threads_push_for_each_other_is_popped_once_and_as_each_has_pushed_it() {
    const THREADS: u32 = 4;
    const EACH: u32 = 500;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let deque = Deque::<(u32, u32)>::new(&store, "deque").unwrap();
    let push = |me| (0..EACH).for_each(|n| deque.push_back(&(me, n)).unwrap());
    let pop = || {
        let mut popped = Vec::new();
        while popped.len() < EACH as usize {
            popped.extend(deque.pop_front().unwrap());
        }
        popped
    };
    let popped: Vec<_> = thread::scope(|scope| {
        let poppers: Vec<_> = (0..THREADS)
            .map(|me| {
                scope.spawn(move || push(me));
                scope.spawn(pop)
            })
            .collect();
        let popped = poppers.into_iter().map(|popper| popper.join().unwrap());
        popped.collect()
    });
    for items in &popped {
        for me in 0..THREADS {
            let of_me = items.iter().filter(|item| item.0 == me);
            assert!(of_me.is_sorted());
        }
    }
    let mut all = popped.concat();
    all.sort_unstable();
    let pushed = (0..THREADS).flat_map(|me| (0..EACH).map(move |n| (me, n)));
    assert!(all.into_iter().eq(pushed));
}
