//! What a user of an index relies on, beyond what `model.rs` compares step by step.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chrono::{DateTime, TimeDelta, Utc};
use diskette_index::{Index, Iter, Range, Stream};
use diskette_store::key::Ordered;
use diskette_store::{Error, INLINE, Json, MessagePack, Store, StreamReader, Zstd};
use diskette_testkit::{PATIENCE, Place, eventually, files_below};

fn store() -> (Place, Store) {
    Place::new().with(|path| Store::open(path))
}

/// For what looks into its files.
fn in_directory() -> (Place, Store) {
    Place::directory().with(|path| Store::open(path))
}

fn large(byte: u8) -> Vec<u8> {
    vec![byte; INLINE + 1000]
}

fn value_files(store: &Store) -> u64 {
    assert_eq!(store.check().unwrap().problems, []);
    store.stats().unwrap().value_files
}

fn all<T>(items: impl Iterator<Item = Result<T, Error>>) -> Vec<T> {
    items.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_large_value_is_a_file_that_goes_with_its_entry() {
    let (_directory, store) = store();
    let index = Index::<u32, Vec<u8>>::new(&store, "index").unwrap();

    index.insert(&1, &large(1)).unwrap();
    index.insert(&2, &large(2)).unwrap();
    index.insert(&3, &vec![3]).unwrap();
    assert_eq!(value_files(&store), 2);
    assert_eq!(index.get(&1).unwrap(), Some(large(1)));

    // File to file, file to row, row to file; each keeps its place.
    index.insert(&1, &large(10)).unwrap();
    index.insert(&2, &vec![20]).unwrap();
    index.insert(&3, &large(30)).unwrap();
    assert_eq!(value_files(&store), 2);
    assert_eq!(
        all(index.iter()),
        [(1, large(10)), (2, vec![20]), (3, large(30))]
    );
    assert_eq!(
        all(index.range(1..=3).rev()),
        [(3, large(30)), (2, vec![20]), (1, large(10))]
    );

    assert!(!index.insert_if_absent(&1, &large(11)).unwrap());
    assert_eq!(value_files(&store), 2);
    assert_eq!(index.update(&1, |_| None).unwrap(), None);
    assert_eq!(index.pop_last().unwrap(), Some((3, large(30))));
    assert_eq!(value_files(&store), 0);

    index.extend((0..3).map(|key| (key, large(0)))).unwrap();
    assert_eq!(index.remove_many(&[0, 7]).unwrap(), 1);
    assert_eq!(value_files(&store), 2);
    index
        .retain(|&key, value| value.len() < INLINE || key == 2)
        .unwrap();
    assert_eq!(value_files(&store), 1);
    index.clear().unwrap();
    assert_eq!(value_files(&store), 0);
    assert!(index.is_empty().unwrap());
}

#[test]
fn a_rolled_back_transaction_leaves_files_as_they_were() {
    let (directory, store) = in_directory();
    let index = Index::<u32, Vec<u8>>::new(&store, "index").unwrap();
    index.insert(&1, &large(1)).unwrap();
    index.insert(&2, &large(2)).unwrap();
    let rolled_back = store.transaction(|tx| {
        let index = index.within(tx);
        index.insert(&1, &large(10))?;
        index.insert(&3, &large(3))?;
        assert_eq!(index.remove(&2)?, Some(large(2)));
        assert_eq!(index.len()?, 2);
        Err::<(), Error>(Error::key("enough"))
    });
    assert!(rolled_back.is_err());
    assert_eq!(all(index.iter()), [(1, large(1)), (2, large(2))]);
    eventually(PATIENCE, || {
        files_below(&directory.path().join("values")).len() == 2
    });
}

#[test]
fn a_snapshot_shows_one_moment_replaced_files_included() {
    let (_directory, store) = store();
    let index = Index::<u32, Vec<u8>>::new(&store, "index").unwrap();
    index.insert(&1, &large(1)).unwrap();
    index.insert(&2, &vec![2]).unwrap();
    store
        .snapshot(|now| {
            assert_eq!(index.within(now).len()?, 2);
            index.insert(&1, &large(10))?;
            index.remove(&2)?;
            index.insert(&3, &vec![3])?;
            assert_eq!(index.get(&1)?, Some(large(10)));

            let then = index.within(now);
            assert_eq!(then.get(&1)?, Some(large(1)));
            assert_eq!(all(then.iter()), [(1, large(1)), (2, vec![2])]);
            assert_eq!(then.get_many(&[2, 3])?, [Some(vec![2]), None]);
            assert!(then.insert(&4, &vec![4]).unwrap_err().is_read_only());
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(all(index.keys()), [1, 3]);
    // The file that the snapshot was in the way of goes with the next one.
    index.delete(&1).unwrap();
    assert_eq!(value_files(&store), 0);
}

/// diskcache's readers miss a key while another process replaces its file: the row is read, then the
/// file is gone.
#[test]
fn readers_never_miss_a_value_that_is_being_replaced() {
    let (_directory, store) = store();
    let index = Index::<u32, Vec<u8>>::new(&store, "index").unwrap();
    index.insert(&1, &large(0)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..60 {
                index.insert(&1, &large(round)).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let value = index.get(&1).unwrap().expect("it is always there");
                    assert_eq!(value, large(value[0]));
                    assert_eq!(all(index.values()).len(), 1);
                }
            });
        }
    });
}

#[test]
fn a_stream_is_written_and_read_piece_by_piece() {
    let (_directory, store) = store();
    let films = Index::<String, Stream>::new(&store, "films").unwrap();
    assert_eq!(
        films.write("long", io::repeat(7).take(1_000_000)).unwrap(),
        1_000_000
    );
    assert_eq!(films.write("empty", io::empty()).unwrap(), 0);
    assert!(films.read("none").unwrap().is_none());
    assert_eq!(films.len().unwrap(), 2);
    assert_eq!(all(films.keys()), ["long", "empty"]);

    let mut long = films.read("long").unwrap().unwrap();
    assert_eq!(long.len(), 1_000_000);
    let mut piece = [0; 1000];
    long.read_exact(&mut piece).unwrap();

    // What is open stays whole.
    films.write("long", b"short".as_slice()).unwrap();
    films.delete("empty").unwrap();
    let mut rest = Vec::new();
    long.seek(SeekFrom::Current(-1000)).unwrap();
    assert_eq!(long.read_to_end(&mut rest).unwrap(), 1_000_000);
    assert!(piece.iter().chain(&rest).all(|&byte| byte == 7));

    let mut now = String::new();
    films
        .read("long")
        .unwrap()
        .unwrap()
        .read_to_string(&mut now)
        .unwrap();
    assert_eq!(now, "short");
    assert_eq!(value_files(&store), 1);
}

#[test]
fn a_stream_that_breaks_off_changes_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the line went dead"))
        }
    }
    let (directory, store) = in_directory();
    let films = Index::<String, Stream>::new(&store, "films").unwrap();
    films.write("a", b"old".as_slice()).unwrap();
    let error = films.write("a", b"new".chain(Broken)).unwrap_err();
    assert!(error.to_string().contains("the line went dead"), "{error}");
    assert_eq!(films.read("a").unwrap().unwrap().len(), 3);
    eventually(PATIENCE, || {
        files_below(&directory.path().join("values")).len() == 1
    });
}

#[test]
fn streams_take_part_in_transactions() {
    let (_directory, store) = store();
    let films = Index::<String, Stream>::new(&store, "films").unwrap();
    let titles = Index::<String, String>::new(&store, "titles").unwrap();
    store
        .transaction(|tx| {
            films.within(tx).write("a", b"film".as_slice())?;
            assert_eq!(films.within(tx).read("a")?.map(|film| film.len()), Some(4));
            titles.within(tx).insert("a", "A Film")
        })
        .unwrap();
    let rolled_back = store.transaction(|tx| {
        films.within(tx).write("a", b"another".as_slice())?;
        films.within(tx).write("b", b"and another".as_slice())?;
        Err::<(), Error>(Error::key("enough"))
    });
    assert!(rolled_back.is_err());
    assert_eq!(films.read("a").unwrap().map(|film| film.len()), Some(4));
    assert_eq!(value_files(&store), 1);
}

/// A value that would be a file is none, if it gets small enough.
#[test]
fn a_codec_that_compresses_takes_less_room() {
    let (_directory, store) = store();
    let packed = Index::<u32, String>::options()
        .codec::<Zstd<Json>>()
        .new(&store, "packed")
        .unwrap();
    let page = "<li>tea</li>\n".repeat(INLINE / 10);
    packed.insert(&1, &page).unwrap();
    assert!(
        packed
            .compare_and_swap(&1, Some(&page), Some(&page))
            .unwrap()
    );
    assert_eq!(packed.get(&1).unwrap().as_ref(), Some(&page));
    let stats = store.stats().unwrap();
    assert!(
        stats.structures[0].bytes * 50 < page.len() as u64,
        "{stats:?}"
    );
    assert_eq!(stats.value_files, 0);

    let refused = Index::<u32, String>::options()
        .codec::<Json>()
        .new(&store, "packed");
    assert!(refused.unwrap_err().is_wrong_kind());
}

#[test]
fn a_name_belongs_to_one_codec_and_one_kind() {
    let (_directory, store) = store();
    Index::<String, u32>::options()
        .codec::<Json>()
        .new(&store, "json")
        .unwrap()
        .insert("a", &1)
        .unwrap();
    let pack = Index::<String, u32>::options()
        .codec::<MessagePack>()
        .new(&store, "pack")
        .unwrap();
    pack.insert("a", &2).unwrap();
    Index::<String, Stream>::new(&store, "stream").unwrap();

    let json = Index::<String, u32>::options()
        .codec::<Json>()
        .new(&store, "json")
        .unwrap();
    assert_eq!(json.get("a").unwrap(), Some(1));
    assert_eq!(pack.get("a").unwrap(), Some(2));
    assert!(
        Index::<String, u32>::new(&store, "json")
            .unwrap_err()
            .is_wrong_kind()
    );
    assert!(
        Index::<String, u32>::options()
            .codec::<Json>()
            .new(&store, "pack")
            .unwrap_err()
            .is_wrong_kind()
    );
    assert!(
        Index::<String, Stream>::new(&store, "pack")
            .unwrap_err()
            .is_wrong_kind()
    );
    let error = Index::<String, u32>::new(&store, "stream").unwrap_err();
    assert!(error.is_wrong_kind());
    assert!(
        error.to_string().contains("opening the index \"stream\""),
        "{error}"
    );
}

#[test]
fn bytes_of_another_type_are_an_error_and_stay() {
    let (_directory, store) = store();
    let texts = Index::<String, String>::options()
        .codec::<Json>()
        .new(&store, "index")
        .unwrap();
    texts.insert("a", "one").unwrap();
    texts.insert("b", "two").unwrap();

    let numbers = Index::<String, u64>::options()
        .codec::<Json>()
        .new(&store, "index")
        .unwrap();
    let error = numbers.get("a").unwrap_err();
    assert!(error.is_codec());
    assert!(
        error
            .to_string()
            .starts_with("get on the index \"index\" in "),
        "{error}"
    );
    assert!(numbers.remove("a").unwrap_err().is_codec());
    assert!(numbers.replace("a", &1).unwrap_err().is_codec());
    assert!(numbers.update("a", |_| None).unwrap_err().is_codec());
    assert!(numbers.entry("a").or_insert(1).unwrap_err().is_codec());
    assert!(
        numbers
            .compare_and_swap("a", None, Some(&1))
            .unwrap_err()
            .is_codec()
    );
    assert!(numbers.pop_oldest().unwrap_err().is_codec());
    assert!(numbers.retain(|_, _| false).unwrap_err().is_codec());
    assert!(numbers.get_many(["a"]).unwrap_err().is_codec());
    let mut iter = numbers.iter();
    assert!(iter.next().unwrap().unwrap_err().is_codec());
    assert!(iter.next().is_none() && iter.next_back().is_none());

    // Nothing was written, so the transaction around it can go on.
    store
        .transaction(|tx| {
            assert!(numbers.within(tx).remove("a").unwrap_err().is_codec());
            numbers.within(tx).insert("c", &3)
        })
        .unwrap();
    assert!(numbers.delete("c").unwrap());
    assert_eq!(
        all(texts.iter()),
        [("a".into(), "one".into()), ("b".into(), "two".into())]
    );

    let by_number = Index::<u8, String>::options()
        .codec::<Json>()
        .new(&store, "index")
        .unwrap();
    assert!(by_number.keys().next().unwrap().unwrap_err().is_codec());
    assert!(by_number.first_key_value().unwrap_err().is_codec());
}

#[test]
fn a_damaged_file_is_an_error_until_the_entry_goes() {
    let (directory, store) = in_directory();
    let index = Index::<u32, Vec<u8>>::new(&store, "index").unwrap();
    for damage in [
        |file: &Path| fs::remove_file(file),
        |file: &Path| fs::write(file, b"rotten"),
    ] {
        index.insert(&1, &large(1)).unwrap();
        index.insert(&2, &vec![2]).unwrap();
        damage(&files_below(&directory.path().join("values"))[0]).unwrap();

        let problem = store.check().unwrap().problems[0].to_string();
        assert!(
            problem.starts_with(r#""index", at the key 1: "#),
            "{problem}"
        );
        assert!(index.get(&1).unwrap_err().is_corrupt());
        assert!(index.remove(&1).unwrap_err().is_corrupt());
        assert!(index.pop_oldest().unwrap_err().is_corrupt());
        assert!(index.iter().next().unwrap().unwrap_err().is_corrupt());
        assert_eq!(index.iter().next_back().unwrap().unwrap(), (2, vec![2]));
        assert_eq!(all(index.keys()), [1, 2]);
        assert_eq!(index.len().unwrap(), 2);

        assert!(index.delete(&1).unwrap());
        assert_eq!(index.pop_oldest().unwrap(), Some((2, vec![2])));
        assert_eq!(value_files(&store), 0);
    }
}

/// A stream handed out flipped bytes, and an early end, as if all was well.
#[test]
fn a_stream_says_at_its_end_that_it_was_not_whole() {
    let (directory, store) = in_directory();
    let index = Index::<u32, Stream>::new(&store, "streams").unwrap();
    index.write(&1, &large(1)[..]).unwrap();
    let file = &files_below(&directory.path().join("values"))[0];
    let read = |mut stream: StreamReader| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map(drop)
    };
    let open = || index.read(&1).unwrap().unwrap();
    read(open()).unwrap();

    let length = fs::metadata(file).unwrap().len();
    let writable = OpenOptions::new().write(true).open(file).unwrap();
    let begun = open();
    writable.set_len(length - 9).unwrap();
    assert_eq!(read(begun).unwrap_err().kind(), ErrorKind::InvalidData);
    writable.set_len(length).unwrap(); // with zeroes
    assert_eq!(read(open()).unwrap_err().kind(), ErrorKind::InvalidData);
    let mut part = open();
    part.seek(SeekFrom::Start(5)).unwrap();
    read(part).unwrap(); // of a part nothing is known
}

/// The length that the file claimed was taken from the system at once, and the process aborted.
#[test]
fn a_length_that_somebody_made_up_takes_no_memory() {
    let (directory, store) = in_directory();
    let index = Index::<u32, Vec<u8>>::new(&store, "index").unwrap();
    index.insert(&1, &large(1)).unwrap();
    let file = &files_below(&directory.path().join("values"))[0];
    let made_up: u64 = 8 << 40;
    let sparse = OpenOptions::new().write(true).open(file).unwrap();
    sparse.write_all_at(&made_up.to_le_bytes(), 8).unwrap();
    sparse.set_len(16 + made_up).unwrap();
    assert!(index.get(&1).unwrap_err().is_corrupt());
}

#[test]
fn threads_that_change_an_entry_lose_nothing() {
    let (_directory, store) = store();
    let counts = Index::<String, u64>::new(&store, "counts").unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    counts
                        .entry("entry")
                        .and_modify(|count| *count += 1)
                        .or_insert(1)
                        .unwrap();
                    counts
                        .update("update", |count| Some(count.unwrap_or(0) + 1))
                        .unwrap();
                    while {
                        let old = counts.get("swap").unwrap();
                        let new = old.unwrap_or(0) + 1;
                        !counts
                            .compare_and_swap("swap", old.as_ref(), Some(&new))
                            .unwrap()
                    } {}
                }
            });
        }
    });
    for name in ["entry", "update", "swap"] {
        assert_eq!(counts.get(name).unwrap(), Some(400), "{name}");
    }
}

#[test]
fn of_all_who_insert_a_key_one_is_told_so() {
    let (_directory, store) = store();
    let seen = Index::<u32, usize>::new(&store, "seen").unwrap();
    let together = Barrier::new(8);
    let race = |who: usize| {
        together.wait();
        let won = |key: &u32| seen.insert_if_absent(key, &who).unwrap();
        let won = (0..50).filter(won).collect::<Vec<_>>();
        assert!((50..60).all(|key| seen.get_or_insert_with(&key, || who).unwrap() < 8));
        (who, won)
    };
    let winners = thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|who| scope.spawn(move || race(who))).collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(winners.iter().map(|(_, won)| won.len()).sum::<usize>(), 50);
    for (who, won) in winners {
        assert!(won.iter().all(|key| seen.get(key).unwrap() == Some(who)));
    }
}

#[test]
fn what_panics_within_a_change_changes_nothing() {
    let (_directory, store) = store();
    let index = Index::<u32, u32>::new(&store, "index").unwrap();
    index.extend([(1, 1), (2, 2)]).unwrap();
    let panics = |run: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    panics(&|| drop(index.update(&1, |_| panic!("on purpose"))));
    panics(&|| drop(index.entry(&3).or_insert_with(|| panic!("on purpose"))));
    panics(&|| {
        drop(index.retain(|&key, _| {
            if key == 1 {
                false
            } else {
                panic!("on purpose")
            }
        }))
    });
    panics(&|| {
        let broken = (5..9).map(|n| if n < 8 { (n, n) } else { panic!("on purpose") });
        drop(index.extend(broken));
    });
    assert_eq!(all(index.iter()), [(1, 1), (2, 2)]);
    index.insert(&3, &3).unwrap();
}

#[test]
fn iteration_goes_on_while_the_index_changes() {
    let (_directory, store) = store();
    let index = Index::<u32, u32>::new(&store, "index").unwrap();
    index.extend((0..1000).map(|n| (n, n))).unwrap();

    // Both ends meet, over several pages.
    let mut iter = index.iter();
    let mut found = Vec::new();
    while let Some(entry) = iter.next() {
        found.push(entry.unwrap().0);
        found.extend(iter.next_back().map(|entry| entry.unwrap().0));
    }
    assert_eq!(found.len(), 1000);
    assert_eq!(found.into_iter().collect::<HashSet<_>>().len(), 1000);

    // Each is removed as it is met, and another put at the end: it ends all the same.
    let mut met = 0;
    for entry in &index {
        let (key, value) = entry.unwrap();
        assert_eq!(key, met);
        assert!(index.delete(&key).unwrap());
        index.insert(&(key + 1000), &value).unwrap();
        met += 1;
    }
    assert_eq!(met, 1000);
    assert_eq!(index.len().unwrap(), 1000);
    assert_eq!(index.oldest().unwrap(), Some((1000, 0)));

    // In key order as well, where its end was open.
    let range = index.range::<u32, _>(1500..);
    let met = range
        .map(|entry| index.insert(&(entry.unwrap().0 + 1000), &0).unwrap())
        .count();
    assert_eq!(met, 500);

    // What goes ahead of it is not shown once it comes to the next page.
    let mut keys = index.keys();
    assert_eq!(keys.next().unwrap().unwrap(), 1000);
    index.clear().unwrap();
    assert!(keys.count() < 10);
}

#[test]
fn long_values_make_short_pages() {
    let (_directory, store) = store();
    let index = Index::<u32, Vec<u8>>::new(&store, "index").unwrap();
    let entries: Vec<_> = (0..60)
        .map(|n: u8| (u32::from(n), vec![n; 100_000]))
        .collect();
    index
        .extend(entries.iter().map(|(key, value)| (key, value)))
        .unwrap();
    assert_eq!(all(index.iter()), entries);
    assert!(all(index.iter().rev()).iter().eq(entries.iter().rev()));
    assert!(
        all(index.range(10..50).rev())
            .iter()
            .eq(entries[10..50].iter().rev())
    );
}

#[test]
fn a_range_takes_every_kind_of_bound() {
    let (_directory, store) = store();
    let index = Index::<i16, ()>::new(&store, "index").unwrap();
    index
        .extend([5, -3, 300, 0, 7].map(|key| (key, ())))
        .unwrap();
    let keys = |range: Range<i16, ()>| all(range.map(|entry| entry.map(|(key, ())| key)));
    assert_eq!(keys(index.range::<i16, _>(..)), [-3, 0, 5, 7, 300]);
    assert_eq!(keys(index.range(0..7)), [0, 5]);
    assert_eq!(keys(index.range(0..=7)), [0, 5, 7]);
    assert_eq!(keys(index.range(5..)), [5, 7, 300]);
    assert_eq!(
        keys(index.range((Bound::Excluded(-3), Bound::Excluded(300)))),
        [0, 5, 7]
    );
    let nothing: [i16; 0] = [];
    assert_eq!(keys(index.range(4..4)), nothing);
    // Where `BTreeMap` panics.
    assert_eq!(
        keys(index.range((Bound::Included(7), Bound::Excluded(0)))),
        nothing
    );
    assert_eq!(
        keys(index.range((Bound::Excluded(5), Bound::Excluded(5)))),
        nothing
    );
}

#[test]
fn a_store_of_its_own_is_there_when_opened_again() {
    let place = Place::new();
    let index = Index::<String, u32>::open(place.path()).unwrap();
    index
        .extend([("b".to_string(), 1), ("a".to_string(), 2)])
        .unwrap();
    index.move_to_front("a").unwrap();
    drop(index);
    let index = Index::<String, u32>::open(place.path()).unwrap();
    assert_eq!(all(index.iter()), [("a".into(), 2), ("b".into(), 1)]);
    index.delete("b").unwrap();
    assert_eq!(index.len().unwrap(), 1);
}

#[test]
fn two_indexes_of_a_store_share_nothing_but_transactions() {
    let (_place, store) = store();
    let one = Index::<u32, u32>::new(&store, "one").unwrap();
    let two = Index::<u32, u32>::new(&store, "two").unwrap();
    one.extend((0..10).map(|n| (n, n))).unwrap();
    two.insert(&1, &100).unwrap();
    one.pop_oldest().unwrap();
    two.clear().unwrap();
    assert_eq!((one.len().unwrap(), two.len().unwrap()), (9, 0));

    let elsewhere = Place::new();
    let other = Store::open(elsewhere.path()).unwrap();
    let strange = other.transaction(|tx| one.within(tx).insert(&1, &1));
    assert!(strange.unwrap_err().is_misuse());
}

#[test]
fn handles_and_iterators_go_to_other_threads() {
    fn goes<T: Send + Sync + Clone + 'static>() {}
    fn moves<T: Send + 'static>() {}
    goes::<Index<String, std::cell::Cell<u8>>>();
    goes::<Index<String, Stream>>();
    moves::<Iter<String, String>>();
}

/// A plain `insert` within a transaction was refused, a plain `get` answered with what was there before the transaction.
#[test]
fn a_plain_handle_within_a_transaction_is_refused_for_reading_too() {
    let (_dir, store) = store();
    let index = Index::<u32, u32>::new(&store, "index").unwrap();
    store
        .transaction(|tx| {
            index.within(tx).insert(&1, &1)?;
            assert!(index.get(&1).unwrap_err().is_misuse());
            assert!(index.insert(&1, &2).unwrap_err().is_misuse());
            assert_eq!(index.within(tx).get(&1)?, Some(1));
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(index.get(&1).unwrap(), Some(1));
}

/// The first index that people make is one of events, and chrono's instants came out as 0.5 s, 0 s, 1 s.
#[test]
fn events_are_in_the_order_of_their_time() {
    type Key = (Ordered<DateTime<Utc>>, String);

    let (_directory, store) = store();
    let events = Index::<Key, u8>::new(&store, "events").unwrap();
    let start: DateTime<Utc> = "1969-12-31T23:59:59Z".parse().unwrap();
    let at = |milliseconds| Ordered(start + TimeDelta::milliseconds(milliseconds));
    for milliseconds in [1500, 500, 0, 1000] {
        events.insert(&(at(milliseconds), "start"), &0).unwrap();
        events.insert(&(at(milliseconds), "end"), &1).unwrap();
    }

    let times = |range: Range<Key, u8>| -> Vec<_> {
        let times = all(range).into_iter().map(|((time, _), _)| *time - start);
        times.map(|since| since.num_milliseconds()).collect()
    };
    let none = || String::new();
    let half_open = (at(0), none())..(at(1000), none());
    assert_eq!(times(events.range(half_open)), [0, 0, 500, 500]);
    let from = (at(501), none())..;
    assert_eq!(times(events.range(from)), [1000, 1000, 1500, 1500]);
    assert_eq!(times(events.prefix(&(at(500),))), [500, 500]);
    assert_eq!(events.get(&(at(500), "end")).unwrap(), Some(1));
}

/// Of a million entries one could not be read, and the message didn't say which.
#[test]
fn an_error_of_an_entry_names_its_key() {
    let (_dir, store) = store();
    let words = Index::<(String, u8), String>::new(&store, "index").unwrap();
    words.insert(&("tea\n", 7), "hot").unwrap();

    let numbers = Index::<(String, u8), u32>::new(&store, "index").unwrap();
    let key = ("tea\n", 7);
    let errors = [
        numbers.get(&key).unwrap_err(),
        numbers.remove(&key).unwrap_err(),
        numbers.replace(&key, &1).unwrap_err(),
        numbers.iter().next().unwrap().unwrap_err(),
        numbers.sorted().next_back().unwrap().unwrap_err(),
        numbers.pop_first().unwrap_err(),
    ];
    for error in errors {
        assert!(error.is_codec());
        let message = error.to_string();
        assert!(
            message.contains(r#"at the key ("tea\n", 7): "#),
            "{message}"
        );
        assert!(message.contains("`delete`"), "{message}");
    }

    let others = Index::<u32, String>::new(&store, "index").unwrap();
    let error = others.keys().next().unwrap().unwrap_err().to_string();
    assert!(error.contains(r#"at the key ("tea\n", 7): "#), "{error}");

    let maybe = Index::<String, Option<Option<u8>>>::new(&store, "maybe").unwrap();
    let refused = maybe.insert(&"x".repeat(100), &Some(None)).unwrap_err();
    assert!(refused.to_string().contains(r#"at the key "xxx"#));
    assert!(refused.to_string().contains("xx…: "), "{refused}");
}

#[test]
fn what_stands_for_a_value_may_be_given_wherever_one_is_written() {
    let (_dir, store) = store();
    let index = Index::<String, String>::new(&store, "index").unwrap();
    let long = "long".repeat(INLINE);
    index.extend([("a", "1"), ("b", "2")]).unwrap();
    index
        .extend(&HashMap::from([("c".to_string(), "3".to_string())]))
        .unwrap();
    assert_eq!(index.entry("a").or_insert("0").unwrap(), "1");
    assert_eq!(index.entry("d").or_insert(&long).unwrap(), long);
    assert_eq!(value_files(&store), 1);

    assert!(index.compare_and_swap("b", "2", long.as_str()).unwrap());
    assert!(!index.compare_and_swap("b", "2", None).unwrap());
    assert!(index.compare_and_swap("b", Some(&long), "4").unwrap());
    assert!(index.compare_and_swap("b", "4", None).unwrap());
    assert_eq!(all(index.sorted_keys()), ["a", "c", "d"]);
    assert_eq!(all(index.sorted_keys().rev()), ["d", "c", "a"]);
}
