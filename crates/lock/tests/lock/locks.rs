use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use diskette_ipc::clock;
use diskette_lock::{Barrier, Lock, RLock, RwLock, synchronized};
use diskette_store::Store;
use diskette_testkit::{Child, PATIENCE, Place, on_postgres, role};

use crate::{LONG, SHORT, elsewhere, store};

role! {
    /// Takes a lock, and stays.
    fn holder(parent) {
        let dir: String = parent.arg(0);
        let lock = Lock::new(&Store::open(dir).unwrap(), "import").unwrap();
        let guard = lock.lock().unwrap();
        parent.say(guard.token());
        parent.hear();
    }
}

#[test]
fn one_thread_at_a_time_holds_it() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "counter").unwrap();
    let counter = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let _guard = lock.lock().unwrap();
                    let seen = counter.load(Relaxed);
                    thread::yield_now();
                    counter.store(seen + 1, Relaxed);
                }
            });
        }
    });
    assert_eq!(counter.into_inner(), 1000);
    assert!(lock.holder().unwrap().is_none());
}

#[test]
fn a_lock_is_refused_or_waited_for_as_asked() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "import").unwrap();
    let guard = lock.try_lock().unwrap().unwrap();
    elsewhere(|| {
        assert!(lock.try_lock().unwrap().is_none());
        assert!(lock.lock_timeout(Duration::ZERO).unwrap().is_none());
        let begun = clock::now();
        assert!(lock.lock_timeout(SHORT).unwrap().is_none());
        assert!(begun.elapsed() >= SHORT);
    });
    thread::scope(|scope| {
        let next = scope.spawn(|| lock.lock_timeout(LONG).unwrap().is_some());
        guard.release().unwrap();
        assert!(next.join().unwrap());
    });
    assert!(lock.lock_timeout(Duration::ZERO).unwrap().is_some());
}

#[test]
fn locks_of_one_name_are_one_and_of_two_names_two() {
    let (_dir, store) = store();
    let again = Store::open(store.path()).unwrap();
    let _guard = Lock::new(&store, "a").unwrap().lock().unwrap();
    assert!(
        Lock::new(&again, "a")
            .unwrap()
            .try_lock()
            .unwrap()
            .is_none()
    );
    assert!(
        Lock::new(&again, "b")
            .unwrap()
            .try_lock()
            .unwrap()
            .is_some()
    );
}

#[test]
fn the_holder_is_there_to_read() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "import").unwrap();
    assert_eq!(lock.holder().unwrap(), None);

    let before = clock::wall();
    let worker = thread::Builder::new().name("worker".into());
    let (token, holder) = thread::scope(|scope| {
        let hold = || {
            let guard = lock.lock().unwrap();
            (guard.token(), lock.holder().unwrap().unwrap())
        };
        worker.spawn_scoped(scope, hold).unwrap().join().unwrap()
    });
    assert_eq!(holder.party.pid, std::process::id());
    assert_eq!(holder.party.thread, "worker");
    assert!(!holder.party.host.is_empty());
    let program = std::env::current_exe().unwrap();
    let program = program.file_name().unwrap().to_string_lossy().into_owned();
    assert!(program.starts_with(&holder.party.program) && !holder.party.program.is_empty());
    assert_eq!((holder.token, holder.permits), (token, 1));
    assert!(holder.is_alive);
    let second = Duration::from_secs(1); // two clocks don't run quite alike
    assert!(holder.since >= before - second && holder.since <= clock::wall() + second);
    assert_eq!(lock.holder().unwrap(), None);
}

#[test]
fn a_killed_holder_is_known_to_be_dead_and_holds_nothing() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "import").unwrap();
    let mut child = Child::spawn(holder, &[&store.path().display()]);
    let token: u64 = child.hear(PATIENCE).parse().unwrap();
    let holder = lock.holder().unwrap().unwrap();
    assert_eq!((holder.party.pid, holder.is_alive), (child.id(), true));
    assert!(lock.try_lock().unwrap().is_none());

    child.kill();
    // A server hears of it a moment later than the kernel.
    if !on_postgres() {
        // Buried by now, or still there to be seen, but not as one who lives.
        assert!(lock.holder().unwrap().is_none_or(|dead| !dead.is_alive));
        assert!(lock.try_lock().unwrap().is_some());
    }
    let guard = lock.lock_timeout(PATIENCE).unwrap().unwrap();
    assert!(guard.token() > token);
}

#[test]
fn synchronized_holds_the_lock_for_as_long_as_the_work_and_gives_it_back_after_a_panic() {
    let (_dir, store) = store();
    let lock = Lock::new(&store, "sums").unwrap();
    let sum = synchronized(&store, "sums", |guard| {
        assert!(guard.is_held());
        elsewhere(|| assert!(lock.try_lock().unwrap().is_none()));
        1 + 1
    });
    assert_eq!(sum.unwrap(), 2);

    let work = || lock.synchronized(|_| std::panic::resume_unwind(Box::new(())));
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    assert!(lock.try_lock().unwrap().is_some());
}

#[test]
fn tokens_grow_when_the_store_is_opened_anew() {
    let place = Place::new();
    let mut last = 0;
    for _ in 0..3 {
        let lock = Lock::new(&Store::open(place.path()).unwrap(), "import").unwrap();
        let token = lock.lock().unwrap().token();
        assert!(token > last);
        last = token;
    }
}

#[test]
fn a_name_belongs_to_one_kind_of_structure() {
    let (_dir, store) = store();
    Lock::new(&store, "lock").unwrap();
    RLock::new(&store, "rlock").unwrap();
    RwLock::new(&store, "rwlock").unwrap();
    Barrier::new(&store, "barrier", 2).unwrap();

    let error = Lock::new(&store, "rlock").unwrap_err();
    assert!(
        error.is_wrong_kind() && error.to_string().contains("of kind rlock"),
        "{error}"
    );
    assert!(RLock::new(&store, "rwlock").unwrap_err().is_wrong_kind());
    assert!(RwLock::new(&store, "barrier").unwrap_err().is_wrong_kind());
    assert!(Barrier::new(&store, "lock", 2).unwrap_err().is_wrong_kind());
    assert!(Lock::new(&store, "").unwrap_err().is_invalid_input());
}

#[test]
fn nobody_waits_within_a_transaction() {
    let (_dir, store) = store();
    let (lock, rlock) = (
        Lock::new(&store, "lock").unwrap(),
        RLock::new(&store, "rlock").unwrap(),
    );
    let rw_lock = RwLock::new(&store, "rw").unwrap();
    store
        .transaction(|_tx| {
            assert!(lock.lock().unwrap_err().is_misuse());
            assert!(lock.lock_timeout(LONG).unwrap_err().is_misuse());
            assert!(rlock.lock().unwrap_err().is_misuse());
            assert!(rw_lock.read().unwrap_err().is_misuse());
            assert!(rw_lock.write().unwrap_err().is_misuse());
            // Not to wait is no harm.
            lock.try_lock()?.unwrap().release()
        })
        .unwrap();
}
