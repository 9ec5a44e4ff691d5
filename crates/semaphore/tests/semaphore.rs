//! What users of a semaphore rely on, within one process. For what processes share, see the top-level tests.
#![allow(clippy::unwrap_used)]

use std::error::Error as StdError;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use diskette_ipc::clock;
use diskette_semaphore::{BoundedSemaphore, Permit};
use diskette_store::{Access, Error, Kind, Result, Store, Structure};
use diskette_testkit::{Place, cases};
use proptest::prelude::*;

type Tested = Result<(), Box<dyn StdError>>;

/// As a spawned worker, or a future on a runtime of several threads, wants it.
const _: () = {
    const fn moves<T: Send + Sync + 'static>() {}
    moves::<Permit>();
};

const MOMENT: Duration = Duration::from_millis(5);

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// For what looks into its files.
fn in_directory() -> (Place, Store) {
    Place::directory().with(|path| Store::open(path))
}

/// Returns once somebody has waited for permits so long that free ones are kept for him. There must be a free one.
fn until_somebody_waits(semaphore: &BoundedSemaphore) -> Result<()> {
    while semaphore.try_acquire()?.is_some() {
        thread::yield_now();
    }
    Ok(())
}

fn record(store: &Store, permits: i64) -> Result<usize> {
    store.write(|db| db.execute("UPDATE semaphores SET permits = $1", &[permits.into()]))
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(u32),
    Release(usize),
    Resize(u32),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..7u32).prop_map(Step::Acquire),
        4 => any::<usize>().prop_map(Step::Release),
        2 => (1..9u32).prop_map(Step::Resize),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(40), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn permits_are_counted_as_by_a_plain_counter(steps in steps()) {
        let (_dir, store) = store();
        let mut permits = 4;
        let mut semaphore = BoundedSemaphore::new(&store, "s", permits).unwrap();
        let mut held: Vec<Permit> = Vec::new();
        for step in steps {
            let in_use: u32 = held.iter().map(Permit::count).sum();
            let free = permits.saturating_sub(in_use);
            match step {
                Step::Acquire(n) => match semaphore.try_acquire_n(n) {
                    Ok(Some(permit)) => {
                        prop_assert!(n <= free && permit.count() == n && permit.is_held());
                        held.push(permit);
                    }
                    Ok(None) => prop_assert!(free < n && n <= permits),
                    Err(error) => {
                        prop_assert!(error.is_invalid_input());
                        prop_assert!(n == 0 || n > permits);
                    }
                },
                Step::Release(i) if held.is_empty() => prop_assert!(in_use == 0, "{i}"),
                Step::Release(i) => held.swap_remove(i % held.len()).release().unwrap(),
                Step::Resize(n) => {
                    semaphore.resize(n).unwrap();
                    permits = n;
                }
                Step::Reopen => semaphore = BoundedSemaphore::new(&store, "s", permits).unwrap(),
            }
            let in_use: u32 = held.iter().map(Permit::count).sum();
            let holders = semaphore.holders().unwrap();
            prop_assert_eq!(semaphore.permits().unwrap(), permits);
            prop_assert_eq!(semaphore.available().unwrap(), permits.saturating_sub(in_use));
            prop_assert_eq!(holders.len(), held.len());
            prop_assert_eq!(holders.iter().map(|holder| holder.permits).sum::<u32>(), in_use);
        }
    }
}

#[test]
fn threads_never_hold_more_than_there_are() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 3)?;
    let in_use = AtomicU32::new(0);
    let work = |n: u32| -> Result<()> {
        for _ in 0..100 {
            let permit = semaphore.acquire_n(n)?;
            let now = in_use.fetch_add(n, SeqCst) + n;
            assert!(now <= 3, "{now} permits of 3 are in use");
            thread::yield_now();
            in_use.fetch_sub(n, SeqCst);
            permit.release()?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers = [1, 2, 3, 1].map(|n| scope.spawn(move || work(n)));
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap())
    })?;
    assert_eq!(semaphore.available()?, 3);
    assert!(semaphore.holders()?.is_empty());
    Ok(())
}

#[test]
fn waiting_ends_with_a_permit_or_when_the_time_is_up() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 1)?;
    let permit = semaphore.acquire_timeout(Duration::ZERO)?.unwrap();
    assert!(semaphore.acquire_timeout(Duration::ZERO)?.is_none());
    let start = clock::now();
    assert!(semaphore.acquire_timeout(MOMENT)?.is_none());
    assert!(start.elapsed() >= MOMENT);

    thread::scope(|scope| {
        let waiter = scope.spawn(|| semaphore.acquire()?.release());
        permit.release()?;
        waiter.join().unwrap()
    })?;
    Ok(())
}

/// Where there is no queue, many small requests keep a large one waiting for ever.
#[test]
fn who_wants_many_is_not_overtaken_by_those_who_want_few() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 2)?;
    let one = semaphore.acquire()?;
    thread::scope(|scope| {
        let waiter = scope.spawn(|| semaphore.acquire_n(2)?.release());
        until_somebody_waits(&semaphore)?;
        assert_eq!(semaphore.available()?, 1, "it holds none while it waits");
        one.release()?;
        waiter.join().unwrap()
    })?;
    assert_eq!(semaphore.try_acquire_n(2)?.unwrap().count(), 2);
    Ok(())
}

/// Only the places of the first two permits were looked at after the shrinking, and a free one among them was given out
/// although two more were held further on.
#[test]
fn after_a_shrinking_none_is_given_until_enough_have_come_back() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 3)?;
    let [one, two, three] = [
        semaphore.acquire()?,
        semaphore.acquire()?,
        semaphore.acquire()?,
    ];
    semaphore.resize(2)?;
    assert!(two.is_held() && three.is_held());
    one.release()?;
    assert!(semaphore.try_acquire()?.is_none());
    two.release()?;
    let other = semaphore.try_acquire()?.unwrap();
    assert_eq!(semaphore.available()?, 0);
    drop((three, other));
    assert_eq!(semaphore.available()?, 2);
    Ok(())
}

#[test]
fn a_growing_wakes_those_who_wait() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 2)?;
    let _one = semaphore.acquire()?;
    thread::scope(|scope| {
        let waiter = scope.spawn(|| semaphore.acquire_n(2));
        until_somebody_waits(&semaphore)?;
        semaphore.resize(BoundedSemaphore::MAX_PERMITS)?;
        waiter.join().unwrap()?.release()
    })?;
    assert_eq!(semaphore.available()?, BoundedSemaphore::MAX_PERMITS - 1);
    Ok(())
}

#[test]
fn who_waits_for_more_than_are_left_is_told_and_stands_in_nobodys_way() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 3)?;
    let _one = semaphore.acquire()?;
    thread::scope(|scope| {
        let waiter = scope.spawn(|| semaphore.acquire_n(3));
        until_somebody_waits(&semaphore)?;
        semaphore.resize(2)?;
        semaphore.acquire()?.release()?;
        let error = waiter.join().unwrap().unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
        assert!(error.to_string().contains("3 at once"), "{error}");
        Ok(())
    })
}

#[test]
fn a_permit_belongs_to_the_process_and_not_to_the_thread_that_took_it() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 3)?;
    let taker = {
        let semaphore = semaphore.clone();
        thread::Builder::new()
            .name("taker".into())
            .spawn(move || semaphore.acquire_n(2))?
    };
    let permit = taker.join().unwrap()?;
    assert!(permit.is_held());
    let holders = semaphore.holders()?;
    let [holder] = &holders[..] else {
        panic!("{holders:?}");
    };
    assert_eq!(
        (
            holder.party.thread.as_str(),
            holder.permits,
            holder.is_alive
        ),
        ("taker", 2, true)
    );
    store.transaction_fenced(&permit, |_tx| Ok::<(), Error>(()))?;
    permit.release()?;
    assert!(semaphore.holders()?.is_empty());
    Ok(())
}

#[test]
fn a_panic_gives_back() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 1)?;
    thread::scope(|scope| {
        let panics = scope.spawn(|| {
            let _permit = semaphore.acquire().unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panics.join().is_err());
    });
    assert_eq!(semaphore.available()?, 1);
    Ok(())
}

#[test]
fn a_panic_in_a_destructor_gives_back() -> Tested {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 2)?;
    let work = || {
        let permit = semaphore.acquire_n(2).unwrap();
        let _bomb = Bomb; // goes off while the permit is held
        assert!(permit.is_held());
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_err();
    assert_eq!(semaphore.available()?, 2);
    Ok(())
}

#[test]
fn a_forgotten_permit_is_held_beyond_its_thread_and_its_store() -> Tested {
    let (dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 3)?;
    thread::scope(|scope| {
        let forgets = || semaphore.acquire_n(2).map(std::mem::forget);
        scope.spawn(forgets).join().unwrap()
    })?;
    assert_eq!(semaphore.available()?, 1);
    drop((semaphore, store));
    let semaphore = BoundedSemaphore::new(&Store::open(dir.path())?, "s", 3)?;
    assert_eq!(semaphore.available()?, 1);
    Ok(())
}

#[test]
fn a_permit_keeps_its_store_open_and_goes_back_in_any_order() -> Tested {
    let (dir, store) = store();
    let [first, second] = {
        let semaphore = BoundedSemaphore::new(&store, "s", 3)?;
        [semaphore.acquire()?, semaphore.acquire_n(2)?]
    };
    drop(store);
    assert!(first.is_held() && second.is_held());
    first.release()?;
    assert!(second.is_held());
    let semaphore = BoundedSemaphore::new(&Store::open(dir.path())?, "s", 3)?;
    assert_eq!(semaphore.available()?, 1);
    second.release()?;
    assert_eq!(semaphore.available()?, 3);
    Ok(())
}

#[test]
fn the_number_is_recorded_and_holds_for_all() -> Tested {
    let (dir, store) = store();
    BoundedSemaphore::new(&store, "s", 2)?.resize(5)?;
    drop(store);
    let store = Store::open(dir.path())?;
    let error = BoundedSemaphore::new(&store, "s", 2).unwrap_err();
    assert!(error.is_invalid_input());
    let message = error.to_string();
    assert!(
        message.contains("it has 5 permits") && message.contains("`open_or_set`"),
        "{message}"
    );
    assert_eq!(BoundedSemaphore::new(&store, "s", 5)?.available()?, 5);
    Ok(())
}

#[test]
fn a_new_release_opens_it_with_another_number_which_holds_for_the_old_one_too() -> Tested {
    let (_dir, store) = store();
    let old = BoundedSemaphore::open_or_set(&store, "s", 2)?; // there was none
    let _held = old.acquire_n(2)?;
    BoundedSemaphore::open_or_set(&store, "s", 5)?;
    assert_eq!((old.permits()?, old.available()?), (5, 3));
    let new = BoundedSemaphore::open_or_set(&store, "s", 1)?;
    assert_eq!((old.permits()?, new.permits()?), (1, 1));
    assert_eq!(new.available()?, 0);

    let error = BoundedSemaphore::open_or_set(&store, "s", 0).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    let within = store.transaction(|_tx| BoundedSemaphore::open_or_set(&store, "s", 2).map(drop));
    assert!(within.unwrap_err().is_misuse());
    assert_eq!(BoundedSemaphore::new(&store, "s", 1)?.permits()?, 1);
    Ok(())
}

#[test]
fn bad_input_is_refused_and_changes_nothing() -> Tested {
    let (_dir, store) = store();
    let most = BoundedSemaphore::MAX_PERMITS;
    for permits in [0, most + 1] {
        let error = BoundedSemaphore::new(&store, "s", permits).unwrap_err();
        assert!(error.is_invalid_input(), "{error}");
    }
    let semaphore = BoundedSemaphore::new(&store, "s", 2)?;
    for error in [
        semaphore.resize(0).unwrap_err(),
        semaphore.resize(most + 1).unwrap_err(),
        semaphore.try_acquire_n(0).unwrap_err(),
        semaphore.acquire_n(0).unwrap_err(),
        semaphore.acquire_n_timeout(0, MOMENT).unwrap_err(),
        semaphore.try_acquire_n(3).unwrap_err(),
        semaphore.acquire_n(3).unwrap_err(),
        semaphore.acquire_n_timeout(u32::MAX, MOMENT).unwrap_err(),
        BoundedSemaphore::new(&store, "", 2).unwrap_err(),
    ] {
        assert!(error.is_invalid_input(), "{error}");
    }
    let _held = semaphore.acquire_n(2)?;
    let error = semaphore.try_acquire_n(3).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
    assert!(error.to_string().contains("there are 2"), "{error}");
    assert_eq!((semaphore.permits()?, semaphore.name()), (2, "s"));

    static OTHER: Kind = Kind {
        name: "other",
        format: 1,
        schema: &[],
        tables: &[],
        bring_over: &[],
        claims: None,
    };
    Structure::open(&store, &OTHER, "o", "", |_, _| Ok(()))?;
    assert!(
        BoundedSemaphore::new(&store, "o", 2)
            .unwrap_err()
            .is_wrong_kind()
    );
    Ok(())
}

#[test]
fn nobody_waits_within_a_transaction() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 1)?;
    store.transaction(|_tx| {
        assert!(semaphore.acquire().unwrap_err().is_misuse());
        assert!(semaphore.resize(2).unwrap_err().is_misuse());
        assert!(semaphore.try_acquire()?.is_some());
        Ok::<(), Error>(())
    })?;
    assert_eq!(semaphore.permits()?, 1);
    Ok(())
}

#[test]
fn a_resize_that_was_cut_short_is_finished_by_the_next_opening() -> Tested {
    let (_dir, store) = store();
    let semaphore = BoundedSemaphore::new(&store, "s", 2)?;
    record(&store, 4)?; // and here its process dies
    BoundedSemaphore::new(&store, "s", 4)?;
    assert_eq!(semaphore.available()?, 4);
    Ok(())
}

#[test]
fn a_damaged_row_is_an_error() -> Tested {
    let (_dir, store) = store();
    BoundedSemaphore::new(&store, "s", 2)?;
    for permits in [0, -1, i64::MAX] {
        record(&store, permits)?;
        let error = BoundedSemaphore::new(&store, "s", 2).unwrap_err();
        assert!(error.is_corrupt(), "{error}");
    }
    store.write(|db| db.execute("DELETE FROM semaphores", &[]))?;
    assert!(
        BoundedSemaphore::new(&store, "s", 2)
            .unwrap_err()
            .is_corrupt()
    );
    Ok(())
}

#[test]
fn without_the_board_every_call_says_so() -> Tested {
    let (dir, store) = in_directory();
    let semaphore = BoundedSemaphore::new(&store, "s", 2)?;
    let permit = semaphore.acquire()?;
    fs::remove_file(dir.path().join("board"))?;
    assert!(!permit.is_held());
    assert!(permit.release().unwrap_err().is_overtaken());
    for error in [
        semaphore.try_acquire().unwrap_err(),
        semaphore.acquire().unwrap_err(),
        semaphore.permits().unwrap_err(),
        semaphore.available().unwrap_err(),
        semaphore.holders().unwrap_err(),
        semaphore.resize(3).unwrap_err(),
    ] {
        assert!(error.is_removed(), "{error}");
    }
    Ok(())
}
