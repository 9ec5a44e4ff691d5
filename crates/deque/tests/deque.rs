//! What a user of one process relies on; `tests/` at the top has what takes several.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diskette_deque::{Deque, WhenFull};
use diskette_ipc::clock;
use diskette_store::{Error, Json, Kind, Store, Structure};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    (dir, store)
}

fn numbers(store: &Store, count: u32) -> Deque<u32> {
    let deque = Deque::new(store, "numbers").unwrap();
    deque.extend(0..count).unwrap();
    deque
}

fn bounded(store: &Store, max_len: usize, when_full: WhenFull) -> Deque<u32> {
    let options = Deque::options().max_len(max_len).when_full(when_full);
    options.new(store, "bounded").unwrap()
}

mod claims {
    use super::*;

    #[test]
    fn a_dropped_claim_returns_to_its_place() {
        let (_dir, store) = store();
        let deque = numbers(&store, 3);
        let first = deque.try_claim_front().unwrap().unwrap();
        let second = deque.try_claim_front().unwrap().unwrap();
        assert_eq!((*first, *second, deque.claimed().unwrap()), (0, 1, 2));

        deque.push_front(&9).unwrap();
        drop(second);
        assert_eq!(deque.to_vec().unwrap(), [9, 1, 2]);
        first.release().unwrap();
        assert_eq!(deque.to_vec().unwrap(), [9, 0, 1, 2]);
    }

    #[test]
    fn completion_is_part_of_its_transaction() {
        let (_dir, store) = store();
        let deque = numbers(&store, 2);
        let claim = deque.claim_front(Duration::ZERO).unwrap().unwrap();
        let result = store.transaction(|tx| {
            claim.complete(tx)?;
            deque.within(tx).push_back(&7)?;
            assert!(deque.within(tx).claimed()? == 0);
            Err::<(), _>(deque.within(tx).set(99, &1).unwrap_err())
        });
        assert!(result.unwrap_err().is_invalid_input());
        assert_eq!(deque.to_vec().unwrap(), [0, 1]);

        let claim = deque.claim_front(Duration::ZERO).unwrap().unwrap();
        claim.complete_now().unwrap();
        assert_eq!(deque.to_vec().unwrap(), [1]);
    }

    #[test]
    fn a_nested_transaction_takes_its_completion_back_alone() {
        let (_dir, store) = store();
        let deque = numbers(&store, 2);
        let claim = deque.try_claim_front().unwrap().unwrap();
        store
            .transaction(|tx| {
                let part = tx.transaction(|part| {
                    claim.complete(part)?;
                    Err::<(), _>(deque.within(part).set(99, &1).unwrap_err())
                });
                assert!(part.unwrap_err().is_invalid_input());
                deque.within(tx).push_back(&2)
            })
            .unwrap();
        assert_eq!(deque.to_vec().unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_claim_dropped_in_a_transaction_returns_after_it() {
        let (_dir, store) = store();
        let deque = numbers(&store, 2);
        let claim = deque.try_claim_front().unwrap().unwrap();
        store
            .transaction(|tx| {
                assert!(claim.release().unwrap_err().is_misuse());
                drop(deque.within(tx).try_claim_front()?);
                assert_eq!(deque.within(tx).claimed()?, 2);
                Ok::<(), Error>(())
            })
            .unwrap();
        assert_eq!(deque.to_vec().unwrap(), [0, 1]);
    }

    #[test]
    fn a_claim_of_a_rolled_back_transaction_is_void() {
        let (_dir, store) = store();
        let deque = numbers(&store, 2);
        let mut claim = None;
        let result = store.transaction(|tx| {
            claim = deque.within(tx).try_claim_front()?;
            Err::<(), _>(deque.within(tx).set(99, &1).unwrap_err())
        });
        assert!(result.is_err());

        assert_eq!(deque.pop_front().unwrap(), Some(0));
        assert!(claim.unwrap().complete_now().unwrap_err().is_misuse());
        assert_eq!(deque.to_vec().unwrap(), [1]);
    }

    #[test]
    fn a_claim_keeps_its_place_when_another_deque_takes_the_rest() {
        let (_dir, store) = store();
        let (deque, other) = (numbers(&store, 4), Deque::new(&store, "other").unwrap());
        let claims = [deque.try_claim_back(), deque.try_claim_front()];
        deque.push_back(&9).unwrap();
        deque.push_front(&8).unwrap();
        other.append(&deque).unwrap();
        assert_eq!(other.to_vec().unwrap(), [8, 1, 2, 9]);
        drop(claims);
        deque.push_back(&5).unwrap();
        assert_eq!(deque.to_vec().unwrap(), [0, 3, 5]);
    }
}

mod waiting {
    use super::*;

    /// A ring that is lost is made up for by the safety poll, twice a second: too slow here.
    #[test]
    fn whoever_waits_is_woken() {
        let (_dir, store) = store();
        let there = Deque::<u32>::new(&store, "there").unwrap();
        let back = Deque::<u32>::new(&store, "back").unwrap();
        let (from, to) = (there.clone(), back.clone());
        let echo = thread::spawn(move || {
            for _ in 0..40 {
                let claim = from.claim_front(LONG).unwrap().unwrap();
                to.push_back(&*claim).unwrap();
                claim.complete_now().unwrap();
            }
        });
        let start = clock::now();
        for number in 0..40 {
            there.push_front(&number).unwrap();
            assert_eq!(back.pop_back_timeout(LONG).unwrap(), Some(number));
            assert!(there.wait_idle(LONG).unwrap());
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        echo.join().unwrap();
    }

    #[test]
    fn whoever_waits_in_vain_is_told_so() {
        let (_dir, store) = store();
        let deque = numbers(&store, 0);
        let start = clock::now();
        assert_eq!(deque.pop_front_timeout(SHORT).unwrap(), None);
        assert!(deque.claim_back(SHORT).unwrap().is_none());
        assert!(start.elapsed() >= 2 * SHORT);

        deque.push_back(&1).unwrap();
        let claim = deque.claim_front(Duration::ZERO).unwrap();
        assert!(!deque.wait_idle(SHORT).unwrap());
        drop(claim);
        assert_eq!(deque.pop_front_timeout(Duration::ZERO).unwrap(), Some(1));
        assert!(deque.wait_idle(Duration::ZERO).unwrap());
    }

    #[test]
    fn a_long_transaction_of_another_thread_keeps_no_one_longer_than_his_time() {
        let (_dir, store) = store();
        let deque = numbers(&store, 1);
        let (begun, end) = (mpsc::channel(), mpsc::channel::<()>());
        let busy = store.clone();
        let other = thread::spawn(move || {
            busy.transaction(|_| {
                begun.0.send(()).unwrap();
                end.1.recv().unwrap();
                Ok::<(), Error>(())
            })
        });
        begun.1.recv().unwrap();
        assert_eq!(deque.pop_front_timeout(SHORT).unwrap(), None);
        end.0.send(()).unwrap();
        other.join().unwrap().unwrap();
        assert_eq!(deque.pop_front_timeout(SHORT).unwrap(), Some(0));
    }

    #[test]
    fn nobody_waits_within_a_transaction() {
        let (_dir, store) = store();
        let (deque, full) = (numbers(&store, 0), bounded(&store, 1, WhenFull::Wait));
        full.push_back(&1).unwrap();
        store
            .transaction(|tx| {
                assert!(deque.pop_front_timeout(LONG).unwrap_err().is_misuse());
                assert!(full.within(tx).push_back(&2).unwrap_err().is_full());
                full.within(tx).pop_front().map(drop)
            })
            .unwrap();
        assert!(full.is_empty().unwrap());
    }
}

mod bounds {
    use super::*;

    #[test]
    fn a_deque_that_refuses_takes_all_or_nothing() {
        let (_dir, store) = store();
        let deque = bounded(&store, 3, WhenFull::Refuse);
        deque.extend([1, 2]).unwrap();
        let error = deque.extend([3, 4]).unwrap_err();
        assert!(error.is_full());
        assert!(error.to_string().contains("max_len 3"), "{error}");
        store
            .transaction(|tx| {
                deque.within(tx).push_back(&3)?;
                assert!(deque.within(tx).push_front(&4).unwrap_err().is_full());
                deque.within(tx).pop_front().map(drop)
            })
            .unwrap();
        assert_eq!(deque.to_vec().unwrap(), [2, 3]);
    }

    #[test]
    fn a_push_waits_for_room_which_a_claim_does_not_make() {
        let (_dir, store) = store();
        let deque = bounded(&store, 1, WhenFull::Wait);
        deque.push_back(&1).unwrap();
        let claim = deque.try_claim_front().unwrap().unwrap();
        assert!(
            deque
                .push_front_timeout(&2, SHORT)
                .unwrap_err()
                .is_timeout()
        );

        let hasty = Store::options().timeout(SHORT).open(store.path()).unwrap();
        let hasty = Deque::<u32>::new(&hasty, "bounded").unwrap();
        assert!(hasty.push_back(&2).unwrap_err().is_timeout());
        assert!(deque.extend([2, 3]).unwrap_err().is_full());

        let pushing = deque.clone();
        let pusher = thread::spawn(move || pushing.push_back(&2));
        claim.complete_now().unwrap();
        pusher.join().unwrap().unwrap();
        assert_eq!(deque.to_vec().unwrap(), [2]);
    }

    #[test]
    fn a_bound_is_recorded_and_changed_by_name() {
        let (_dir, store) = store();
        let deque = bounded(&store, 2, WhenFull::DropOther);
        deque.extend(0..5).unwrap();
        let again = Deque::<u32>::new(&store, "bounded").unwrap();
        again.push_back(&5).unwrap();
        assert_eq!(deque.to_vec().unwrap(), [4, 5]);

        let other = Deque::<u32>::options().max_len(3).new(&store, "bounded");
        let error = other.unwrap_err();
        assert!(error.is_invalid_input());
        assert!(error.to_string().contains("`set_max_len`"), "{error}");
        let none = Deque::<u32>::options().max_len(0).new(&store, "none");
        assert!(none.unwrap_err().is_invalid_input());

        again.set_max_len(None).unwrap();
        deque.extend(6..9).unwrap();
        assert_eq!(deque.len().unwrap(), 5);
        again.set_max_len(Some(1)).unwrap();
        assert_eq!(deque.to_vec().unwrap(), [8]);
        again.set_when_full(WhenFull::Refuse).unwrap();
        assert!(deque.push_back(&9).unwrap_err().is_full());
        assert_eq!(deque.max_len().unwrap(), Some(1));
        assert_eq!(deque.when_full().unwrap(), WhenFull::Refuse);
    }
}

mod large_values {
    use super::*;

    fn files(store: &Store) -> usize {
        fn below(directory: &Path) -> usize {
            let entries = std::fs::read_dir(directory).unwrap();
            entries
                .map(|entry| entry.unwrap().path())
                .map(|path| if path.is_dir() { below(&path) } else { 1 })
                .sum()
        }
        below(&store.path().join("values"))
    }

    fn large(fill: u8) -> Vec<u8> {
        vec![fill; diskette_store::INLINE + 1]
    }

    #[test]
    fn each_is_a_file_that_goes_with_its_item() {
        let (_dir, store) = store();
        let deque = Deque::<Vec<u8>>::new(&store, "blobs").unwrap();
        for fill in 0..8 {
            deque.push_back(&large(fill)).unwrap();
        }
        deque.insert(1, &vec![99]).unwrap();
        assert_eq!(files(&store), 8);
        assert!(deque.iter().nth(2).unwrap().unwrap() == large(1));

        assert!(deque.pop_front().unwrap().unwrap() == large(0));
        deque.set(0, &large(98)).unwrap();
        deque.set(1, &vec![1]).unwrap();
        assert_eq!(files(&store), 7);
        assert!(deque.remove(0).unwrap().unwrap() == large(98));
        assert!(deque.remove_value(&large(2)).unwrap());
        assert_eq!(files(&store), 5);

        let claim = deque.try_claim_back().unwrap().unwrap();
        assert!(*claim == large(7));
        claim.complete_now().unwrap();
        drop(deque.try_claim_back().unwrap());
        deque.retain(|value| *value != large(5)).unwrap();
        assert_eq!(files(&store), 3);
        deque.truncate(3).unwrap();
        assert_eq!(files(&store), 2);

        let other = Deque::<Vec<u8>>::new(&store, "others").unwrap();
        other.append(&deque).unwrap();
        assert!(other.back().unwrap().unwrap() == large(4));
        other.clear().unwrap();
        assert_eq!(files(&store), 0);
        assert!(store.check().unwrap().is_sound());
    }

    #[test]
    fn none_is_left_by_what_did_not_happen() {
        let (_dir, store) = store();
        let options = Deque::<Vec<u8>>::options().max_len(1);
        let deque = options.new(&store, "blobs").unwrap();
        deque.push_back(&large(1)).unwrap();
        assert!(deque.push_back(&large(2)).unwrap_err().is_full());
        let result = store.transaction(|tx| {
            let deque = deque.within(tx);
            deque.pop_front()?;
            deque.push_back(&large(3))?;
            Err::<(), _>(deque.push_back(&large(4)).unwrap_err())
        });
        assert!(result.is_err());
        assert_eq!(files(&store), 1);
        assert!(deque.front().unwrap().unwrap() == large(1));
    }
}

mod iteration {
    use super::*;

    #[test]
    fn it_sees_what_was_there_when_it_began_and_still_is() {
        let (_dir, store) = store();
        let deque = numbers(&store, 200);
        let mut iter = deque.iter();
        assert_eq!(iter.next().unwrap().unwrap(), 0);
        deque.push_back(&999).unwrap();
        deque.truncate(150).unwrap();
        let rest: Vec<u32> = iter.map(Result::unwrap).collect();
        assert_eq!(rest, (1..150).collect::<Vec<_>>());
    }

    #[test]
    fn a_deque_extended_by_itself_doubles() {
        let (_dir, store) = store();
        let deque = numbers(&store, 100);
        deque.extend(deque.iter().map(Result::unwrap)).unwrap();
        assert_eq!(deque.len().unwrap(), 200);
        deque.append(&deque).unwrap();
        assert_eq!(deque.len().unwrap(), 200);
    }

    #[test]
    fn it_ends_with_what_it_can_not_read_and_a_pop_leaves_it() {
        let (_dir, store) = store();
        let json = |store| {
            Deque::<String>::options()
                .codec::<Json>()
                .new(store, "texts")
        };
        let words = json(&store).unwrap();
        words.push_back("1").unwrap();
        let options = Deque::<u32>::options().codec::<Json>();
        let numbers = options.new(&store, "texts").unwrap();
        numbers.push_front(&7).unwrap();

        let mut iter = numbers.iter();
        assert_eq!(iter.next().unwrap().unwrap(), 7);
        assert!(iter.next().unwrap().unwrap_err().is_codec());
        assert!(iter.next().is_none());
        assert!(numbers.pop_back().unwrap_err().is_codec());
        assert!(numbers.retain(|_| false).unwrap_err().is_codec());
        assert_eq!(numbers.pop_front().unwrap(), Some(7));
        assert_eq!(words.to_vec().unwrap(), ["1"]);
    }
}

mod opening {
    use super::*;

    #[test]
    fn another_codec_and_another_kind_are_refused() {
        static STACK: Kind = Kind {
            name: "stack",
            format: 1,
            schema: &[],
            claims: None,
        };
        let (_dir, store) = store();
        numbers(&store, 1);
        let json = Deque::<u32>::options()
            .codec::<Json>()
            .new(&store, "numbers");
        let error = json.unwrap_err();
        assert!(error.is_wrong_kind());
        assert!(error.to_string().contains("bincode"), "{error}");

        Structure::open(&store, &STACK, "stack", "json", |_, _| Ok(())).unwrap();
        let error = Deque::<u32>::new(&store, "stack").unwrap_err();
        assert!(error.is_wrong_kind());
        assert!(error.to_string().contains("kind stack"), "{error}");
    }

    #[test]
    fn a_transaction_of_another_store_is_refused() {
        let (_dir, store) = store();
        let (_other_dir, other) = super::store();
        let deque = numbers(&store, 1);
        numbers(&other, 1);
        let result = other.transaction(|tx| deque.within(tx).pop_front());
        assert!(result.unwrap_err().is_misuse());
        let stranger = Deque::<u32>::new(&other, "numbers").unwrap();
        assert!(deque.append(&stranger).unwrap_err().is_invalid_input());
        assert_eq!((deque.len().unwrap(), stranger.len().unwrap()), (1, 1));
    }

    #[test]
    fn an_error_says_what_was_done_to_which_deque_of_which_store() {
        let (_dir, store) = store();
        let error = numbers(&store, 3).set(3, &0).unwrap_err().to_string();
        let place = format!(
            "set on the deque \"numbers\" in {}: ",
            store.path().display()
        );
        assert!(error.starts_with(&place), "{error}");
        assert!(
            error.ends_with("index 3 is beyond the end: the deque has 3 items"),
            "{error}"
        );
    }
}
