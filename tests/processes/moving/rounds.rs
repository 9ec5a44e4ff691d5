//! What changes while a store is copied.

use diskette::{Cache, Deque, Index, Push, Queue, ShardedCache, Store};
use diskette_store::{INLINE, Progress, Step};
use diskette_testkit::{Postgres, Random, unique_store};

use super::house;

/// So many, of such a size, that they are read in several steps and copied in several rounds.
const ENTRIES: u64 = 12_000;
const FILLER: [u8; 500] = [7; 500];

type Entries = Index<u64, (u64, Vec<u8>)>;

/// Whatever may change, once.
fn change(store: &Store, random: &mut Random) {
    let entries = entries(store);
    let todo = Deque::<(u64, Vec<u8>)>::new(store, "todo numbers").unwrap();
    let jobs = Queue::<u64>::new(store, "numbered jobs").unwrap();
    let value = random.below(u64::MAX);
    let key = random.below(ENTRIES);
    let small = (value, FILLER.to_vec());
    let large = (value, vec![7; INLINE + 1]);
    match random.below(16) {
        // It gets another row, which may be read beside the one before.
        0..4 => drop(entries.move_to_end(&key).unwrap()),
        4 => {
            entries.remove(&key).unwrap();
            entries.insert(&key, &small).unwrap();
        }
        5..7 => entries.insert(&key, &small).unwrap(),
        7 => entries.insert(&(ENTRIES + key), &small).unwrap(),
        8 => drop(entries.remove(&key).unwrap()),
        9 => entries.insert(&(key % 8), &large).unwrap(),
        10 => todo.push_back(&small).unwrap(),
        11 => drop(todo.pop_front().unwrap()),
        12 => {
            let push = Push::new().tag((value % 3).to_string());
            jobs.push_with(&value, &push).unwrap();
        }
        13 => {
            if let Some(job) = jobs.try_claim().unwrap() {
                job.complete_now().unwrap();
            }
        }
        14 => {
            let name = format!("pictures {}", key % 3);
            if !store.remove_structure(&name).unwrap() {
                let options = Cache::options().shards(2);
                let pictures: ShardedCache<u64, u64> = options.new(store, &name).unwrap();
                (0..9).for_each(|n| assert!(pictures.insert(&n, &value).is_ok()));
            }
        }
        _ => {
            let name = format!("deque {}", key % 3);
            if !store.remove_structure(&name).unwrap() {
                let deque = Deque::<u64>::new(store, &name).unwrap();
                deque.push_back(&value).unwrap();
            }
        }
    }
}

fn entries(store: &Store) -> Entries {
    Index::new(store, "entries").unwrap()
}

/// All that is in the structures that change, and in those that don't.
fn seen(store: &Store) -> Vec<String> {
    let mut all = house::inventory(store);
    let mut note = |what: &str, seen: &dyn std::fmt::Debug| all.push(format!("{what}: {seen:?}"));
    for entry in entries(store).iter() {
        let (key, (value, filler)) = entry.unwrap();
        note("entry", &(key, value, filler.len()));
    }
    let todo = Deque::<(u64, Vec<u8>)>::new(store, "todo numbers").unwrap();
    todo.iter().for_each(|item| note("item", &item.unwrap().0));
    let jobs = Queue::<u64>::new(store, "numbered jobs").unwrap();
    for tag in ["0", "1", "2"] {
        note("tagged", &jobs.tagged(tag).count());
    }
    for n in 0..3 {
        let deque = Deque::<u64>::find(store, &format!("deque {n}")).unwrap();
        note("deque", &deque.map(|deque| deque.to_vec().unwrap()));
        let sharded = Cache::<u64, u64>::options().sharded();
        let pictures = sharded.find(store, &format!("pictures {n}")).unwrap();
        let pictures = pictures.map(|it| it.iter().map(Result::unwrap).collect::<Vec<_>>());
        note("pictures", &pictures);
    }
    all
}

#[test]
fn what_changes_while_it_is_copied_arrives_as_it_was_last() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    for seed in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        let mut house = Some(house::House::build(&store));
        let all = (0..ENTRIES).map(|n| (n, (n, FILLER.to_vec())));
        entries(&store).extend(all).unwrap();
        let mut random = Random::new(seed);
        (0..100).for_each(|_| change(&store, &mut random));
        let mut last = Vec::new();
        let tell = |progress: &Progress| match progress.step {
            Step::Copying => {
                let times = random.below(30);
                (0..times).for_each(|_| change(&store, &mut random));
            }
            Step::Waiting => {
                drop(house.take());
                last = seen(&store);
            }
            _ => {}
        };
        let moved = store.promote(&server.url(&unique_store()), tell).unwrap();
        let there = seen(&moved.store);
        let differs = last.iter().zip(&there).find(|(here, there)| here != there);
        assert_eq!((differs, last.len()), (None, there.len()), "seed {seed}");
        assert_eq!(moved.store.check().unwrap().problems, []);
        house::live_in(&moved.store);
    }
}

/// Each time that nobody might write any more there was another shard that had to be copied before: so it went on for as long as others
/// made them.
#[test]
fn where_others_go_on_making_shards_the_store_stays_and_can_move_later() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let todo = Deque::<u32>::new(&store, "todo").unwrap();
    todo.push_back(&1).unwrap();
    let make_shards = |n: usize| {
        let options = Cache::options().shards(1);
        let _: ShardedCache<u64, u64> = options.new(&store, &format!("pictures {n}")).unwrap();
    };
    let url = server.url(&unique_store());
    let mut made = 0;
    let refused = store.promote(&url, |progress| {
        assert!(made < 1000, "it goes on for ever");
        if progress.step == Step::Waiting {
            made += 1;
            make_shards(made);
        }
    });
    let error = refused.unwrap_err();
    assert!(
        error.is_misuse() && error.to_string().contains("shards"),
        "{error}"
    );
    todo.push_back(&2).unwrap();

    let moved = store.promote(&url, |_| {}).unwrap();
    let there = Deque::<u32>::new(&moved.store, "todo").unwrap();
    assert_eq!(there.to_vec().unwrap(), [1, 2]);
    assert_eq!(moved.store.stats().unwrap().structures.len(), 1 + made);
}
