//! A cache that is spread over several databases: processes write to them, are killed, and spread it over another number of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use diskette::{Cache, ShardedCache, Store, Terms};
use diskette_store::INLINE;
use diskette_testkit::{Child, Forked, PATIENCE, eventually, role};

fn open(store: &Store) -> ShardedCache<u64, String> {
    let options = Cache::options().sharded();
    options.new(store, "cache").unwrap()
}

/// The databases of the shards.
fn shards(store: &Store) -> Vec<Store> {
    let sets = store.sets_of_shards().unwrap();
    assert_eq!(sets.len(), 1, "{sets:?}");
    store.shards(sets[0], open(store).shards() as u32).unwrap()
}

role! {
    /// Inserts entries of its own, of all sizes, and says of each when it is there.
    fn writer(parent) {
        let (path, me): (String, u64) = (parent.arg(0), parent.arg(1));
        let cache = open(&Store::open(&path).unwrap());
        for n in 0.. {
            let key = me << 32 | n;
            let length = if n % 50 == 49 { INLINE + 1 } else { 10 };
            cache.insert(&key, &me.to_string().repeat(length)).unwrap();
            parent.say(key);
        }
    }
}

/// A file of one was left for ever, once in ten times: his estate was settled while only some of the shards were open.
#[test]
fn what_killed_writers_had_written_is_in_all_shards() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    // They all make it.
    let start = |me: u64| Child::spawn(writer, &[&path.display(), &me]);
    let mut writers: Vec<_> = (1..=4).map(start).collect();
    for writer in &mut writers {
        (0..120).for_each(|_| drop(writer.hear(PATIENCE)));
    }
    let mut written: Vec<u64> = Vec::new();
    for (me, writer) in (1..).zip(&mut writers) {
        let more = writer.last_words();
        written.extend((0..120 + more.len() as u64).map(|n| me << 32 | n));
    }
    let store = Store::open(&path).unwrap();
    let cache = open(&store);
    assert_eq!(cache.shards(), 8);
    for key in &written {
        let value = cache.get(key).unwrap().unwrap();
        assert!(value.starts_with(&(key >> 32).to_string()));
    }
    let all = cache.len().unwrap();
    assert!((written.len()..=written.len() + 4).contains(&all), "{all}");
    for shard in shards(&store) {
        eventually(PATIENCE, || shard.check().unwrap().problems.is_empty());
    }
}

role! {
    /// Asks for values that take a while, of which whoever computes one says so.
    fn asker(parent) {
        let cache = open(&Store::open(parent.arg::<String>(0)).unwrap());
        parent.say("ready");
        parent.hear();
        for key in 0..20 {
            let compute = || {
                parent.say(key);
                key.to_string()
            };
            let value = cache.memoize(&key, Duration::from_secs(3600), compute);
            assert_eq!(value.unwrap(), key.to_string());
        }
        parent.say("done");
        parent.hear();
    }
}

#[test]
fn one_of_all_processes_computes_a_value() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut askers = [(); 3].map(|()| Child::spawn(asker, &[&path.display()]));
    for asker in &mut askers {
        assert_eq!(asker.hear(PATIENCE), "ready");
    }
    askers.iter_mut().for_each(|asker| asker.say("go"));
    let mut computed: Vec<u64> = Vec::new();
    for asker in &mut askers {
        let said = std::iter::from_fn(|| Some(asker.hear(PATIENCE)).filter(|said| said != "done"));
        computed.extend(said.map(|key| key.parse::<u64>().unwrap()));
    }
    computed.sort_unstable();
    assert_eq!(computed, (0..20).collect::<Vec<_>>());
}

role! {
    /// Has a cache open.
    fn tenant(parent) {
        let cache = open(&Store::open(parent.arg::<String>(0)).unwrap());
        parent.say(cache.shards());
        parent.hear();
        drop(cache);
        parent.say("closed");
        parent.hear();
    }
}

#[test]
fn resharding_waits_for_others_and_not_for_the_dead() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = Store::open(&path).unwrap();
    let hasty = store.with_timeout(Duration::from_millis(500));
    let mut tenants = [(); 2].map(|()| Child::spawn(tenant, &[&path.display()]));
    for tenant in &mut tenants {
        assert_eq!(tenant.hear(PATIENCE), "8");
    }
    open(&store).insert(&1, "a").unwrap();
    let error = open(&hasty).reshard(3).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    tenants[0].kill();
    tenants[1].say("close it");
    let cache = open(&store.with_timeout(PATIENCE)).reshard(3).unwrap();
    assert_eq!(cache.shards(), 3);
    assert_eq!(cache.get(&1).unwrap().as_deref(), Some("a"));
}

role! {
    /// Forks children that use what they inherited.
    fn forker(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let cache = open(&store);
        cache.insert(&1, "a").unwrap();
        // It has it open once it uses it.
        let child = Forked::child(|| {
            assert_eq!(cache.get(&1).unwrap().as_deref(), Some("a"));
            let hasty = store.with_timeout(Duration::from_millis(500));
            assert!(open(&hasty).reshard(3).unwrap_err().is_timeout());
            cache.insert(&2, "b").unwrap();
        });
        assert!(child.ended_well());
        assert_eq!(cache.get(&2).unwrap().as_deref(), Some("b"));

        // One that uses it later than it was resharded is told so, and never given what was left behind.
        let (ready, go) = (parent.arg::<String>(1), parent.arg::<String>(2));
        let Some(child) = Forked::both() else {
            std::fs::write(&ready, "").unwrap();
            eventually(PATIENCE, || Path::new(&go).exists());
            let refused = [
                cache.get(&1).unwrap_err(),
                cache.insert(&1, "c").unwrap_err(),
            ];
            let told = refused.iter().all(diskette::Error::is_removed);
            let anew = open(&store).get(&1).unwrap();
            Forked::end(told && anew.as_deref() == Some("a"));
        };
        eventually(PATIENCE, || Path::new(&ready).exists());
        let cache = cache.reshard(3).unwrap();
        std::fs::write(&go, "").unwrap();
        assert!(child.ended_well());
        assert_eq!(cache.len().unwrap(), 2);
        parent.say("done");
        parent.hear();
    }
}

#[test]
fn a_forked_child_has_it_open_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let [store, ready, go] = ["store", "ready", "go"].map(|name| directory.path().join(name));
    let mut child = Child::spawn(forker, &[&store.display(), &ready.display(), &go.display()]);
    assert_eq!(child.hear(PATIENCE), "done");
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod kills {
    use std::fs;

    use diskette::Durability;
    use diskette_testkit::power_cuts;

    use super::*;

    type Entries = BTreeMap<u64, (String, Option<String>)>;

    fn entries(cache: &ShardedCache<u64, String>) -> Entries {
        let keys = cache.range_keys::<u64, _>(..).map(Result::unwrap);
        let known = |key: u64| {
            let meta = cache.get_with_meta(&key).unwrap().unwrap();
            (key, (meta.value, meta.tag))
        };
        keys.map(known).collect()
    }

    role! {
        /// Fills a cache of one shard, and has it all synced.
        fn filler(parent) {
            let path: String = parent.arg(0);
            let store = Store::options().durability(Durability::Power).open(&path).unwrap();
            let options = Cache::<u64, String>::options().max_entries(1000).shards(1);
            let cache = options.new(&store, "cache").unwrap();
            for key in 0..12 {
                let length = if key == 7 { INLINE + 1 } else { 10 };
                let terms = Terms::from(Duration::from_secs(3600)).tag(key.to_string());
                cache.insert_with(&key, &"x".repeat(length), terms).unwrap();
            }
            shards(&store).iter().for_each(|shard| shard.compact().unwrap());
            store.compact().unwrap();
        }
    }

    role! {
        /// Spreads it over two.
        fn resharder(parent) {
            parent.hear();
            let store = Store::open(parent.arg::<String>(0)).unwrap();
            assert_eq!(open(&store).reshard(2).unwrap().shards(), 2);
            parent.say("done");
        }
    }

    role! {
        /// Removes it.
        fn remover(parent) {
            parent.hear();
            let store = Store::open(parent.arg::<String>(0)).unwrap();
            assert!(store.remove_structure("cache").unwrap());
            parent.say("done");
        }
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &to.join(entry.file_name())),
                false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
            }
        }
    }

    /// A directory with a filled cache in its store, and what the cache has.
    fn filled(disk: &Path) -> Entries {
        let path = disk.join("store");
        fs::create_dir(disk).unwrap();
        let mut filled = Child::spawn(filler, &[&path.display()]);
        assert!(filled.wait(PATIENCE).success());
        let original = disk.with_file_name("original");
        copy(disk, &original);
        let expected = entries(&open(&Store::open(original.join("store")).unwrap()));
        assert_eq!(expected.len(), 12);
        expected
    }

    /// What is there after a kill and after a power cut, at each step that takes or syncs something: all entries, in the old shards
    /// or in the new ones, and, once it was opened, nothing else.
    #[test]
    fn resharding_is_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let disk = directory.path().join("disk");
        let (path, expected) = (disk.join("store"), filled(&disk));
        let mut found = [0; 2];
        let mut look = |left: &Path, what: &dyn std::fmt::Display| {
            let store = Store::open(left.join("store")).unwrap();
            let cache = open(&store);
            assert!(entries(&cache) == expected, "{what}");
            let done = cache.shards() == 2;
            found[usize::from(done)] += 1;
            assert_eq!(store.sets_of_shards().unwrap().len(), 1, "{what}");
            drop((cache, store));
            fs::remove_dir_all(left).unwrap();
            done
        };
        let left = directory.path().join("left");
        power_cuts(resharder, &[&path.display()], &disk, |cut| {
            copy(&disk, &left);
            let killed = look(&left, &format!("a kill at {cut}"));
            fs::create_dir(&left).unwrap();
            cut.restore(&left);
            look(&left, cut);
            assert!(killed || cut.said().is_empty());
        });
        assert!(found.iter().all(|&count| count > 3), "{found:?}");
        let store = Store::open(&path).unwrap();
        for shard in shards(&store) {
            assert_eq!(shard.check().unwrap().problems, []);
        }
    }

    /// All of it is there after a kill or a power cut at a step of a removal, or it goes by itself.
    #[test]
    fn what_a_killed_remover_leaves_goes_when_the_store_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let disk = directory.path().join("disk");
        let (path, expected) = (disk.join("store"), filled(&disk));
        let left = directory.path().join("left");
        let look = |what: &dyn std::fmt::Display| {
            let store = Store::open(left.join("store")).unwrap();
            let options = Cache::<u64, String>::options().sharded();
            match options.find(&store, "cache").unwrap() {
                Some(cache) => assert!(entries(&cache) == expected, "{what}"),
                None => eventually(PATIENCE, || store.sets_of_shards().unwrap().is_empty()),
            }
            drop(store);
            fs::remove_dir_all(&left).unwrap();
        };
        power_cuts(remover, &[&path.display()], &disk, |cut| {
            copy(&disk, &left);
            look(&format!("a kill at {cut}"));
            fs::create_dir(&left).unwrap();
            cut.restore(&left);
            look(cut);
        });
        let store = Store::open(&path).unwrap();
        assert!(store.sets_of_shards().unwrap().is_empty());
    }
}
