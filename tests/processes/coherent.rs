//! What a process keeps in memory of a store, while others change it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diskette::{Cache, Error, Index, Store, Transaction};
use diskette_ipc::Deadline;
use diskette_testkit::{Child, Forked, PATIENCE, Random, eventually, role};
use diskette_vfs::LogLocks;
use rusqlite::{Connection, OpenFlags};

const WRITERS: u64 = 3;

/// Numbers that processes tell each other, each in its place.
struct Published(File);

impl Published {
    fn open(dir: &Path) -> Self {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Published(options.open(dir.join("published")).unwrap())
    }

    fn say(&self, place: u64, number: u64) {
        self.0
            .write_all_at(&number.to_ne_bytes(), place * 8)
            .unwrap();
    }

    fn hear(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        match self.0.read_exact_at(&mut bytes, place * 8) {
            Ok(()) => u64::from_ne_bytes(bytes),
            Err(_) => 0,
        }
    }
}

/// Where it is told how often was read.
const READS: u64 = WRITERS;

/// Three entries of each writer say its number, in one transaction: two of an index, of which there is a third if it is odd,
/// and one of a cache.
struct Written {
    numbers: Index<(u64, u64), u64>,
    cached: Cache<u64, u64>,
    published: Published,
}

impl Written {
    fn open(dir: &Path) -> (Store, Self) {
        let store = Store::open(dir.join("store")).unwrap();
        let written = Written {
            numbers: Index::new(&store, "numbers").unwrap(),
            cached: Cache::new(&store, "cached").unwrap(),
            published: Published::open(dir),
        };
        (store, written)
    }

    fn write(&self, store: &Store, writer: u64, number: u64) {
        let write = |tx: &Transaction<'_>| {
            let numbers = self.numbers.within(tx);
            numbers.insert(&(writer, 0), &number)?;
            numbers.insert(&(writer, 1), &number)?;
            match number % 2 {
                0 => numbers.delete(&(writer, 2)).map(drop)?,
                _ => numbers.insert(&(writer, 2), &number)?,
            }
            self.cached.within(tx).insert(&writer, &number)
        };
        store.transaction::<_, Error>(write).unwrap();
        self.published.say(writer, number);
    }

    /// Reads what a writer has written, which may be no older than what it has told, and than `least`.
    fn read(&self, writer: u64, least: u64) -> u64 {
        let least = self.published.hear(writer).max(least);
        let known = |found: Option<u64>| found.unwrap_or(0);
        let number = known(self.numbers.get(&(writer, 0)).unwrap());
        assert!(number >= least, "{number} after {least}");
        let cached = known(self.cached.get(&writer).unwrap());
        assert!(cached >= number, "cached {cached} after {number}");
        let all = [0, 1, 2].map(|n| (writer, n));
        let all = self.numbers.get_many(&all).unwrap();
        let last = known(all[1]);
        assert!(last >= cached, "{last} after {cached}");
        let odd = (last % 2 == 1).then_some(last);
        assert_eq!((known(all[0]), all[2]), (last, odd), "of one moment");
        last
    }

    fn read_all(&self, known: &mut [u64; WRITERS as usize]) {
        for (writer, known) in (0..).zip(known) {
            *known = self.read(writer, *known);
        }
    }
}

role! {
    /// Writes ever greater numbers, each once they have been read often enough to be in memory.
    fn writer(parent) {
        let (dir, me): (PathBuf, u64) = (parent.arg(0), parent.arg(1));
        let (store, written) = Written::open(&dir);
        let mut random = Random::new(me);
        let first = written.numbers.get(&(me, 0)).unwrap().unwrap_or(0) + 1;
        for number in first.. {
            written.write(&store, me, number);
            parent.say(number);
            // Now and then they come one upon another.
            let enough = written.published.hear(READS) + random.below(2) * random.below(200);
            eventually(PATIENCE, || written.published.hear(READS) >= enough);
        }
    }
}

role! {
    /// Copies the log into the database in each way that there is.
    fn checkpointer(parent) {
        let dir: PathBuf = parent.arg(0);
        let database = member(&dir);
        for how in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"].iter().cycle() {
            let _ = database.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()));
            parent.say(how);
        }
    }
}

/// A connection like those of the store, which has to be open.
#[allow(clippy::disallowed_methods)]
fn member(dir: &Path) -> Connection {
    let database = dir.join("store/store.db");
    let locks = LogLocks::open(&dir.join("store/locks/log")).unwrap();
    let database = locks.connect(|vfs| match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(&database, OpenFlags::default(), vfs),
        None => Connection::open(&database),
    });
    let database = database.unwrap();
    // In vain if somebody reads: nobody is to wait for it.
    database.busy_timeout(Duration::from_millis(20)).unwrap();
    database
}

role! {
    /// Reads by several threads, forks amid it, has its children read as well, and opens the store anew.
    fn reader(parent) {
        let dir: PathBuf = parent.arg(0);
        let mut hits = 0;
        for round in 0.. {
            let (store, written) = Written::open(&dir);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| (0..2000).fold([0; 3], |mut known, _| {
                        written.read_all(&mut known);
                        known
                    }));
                }
                let mut known = [0; 3];
                written.read_all(&mut known);
                for _ in 0..2 {
                    let child = Forked::child(|| {
                        let mut known = known;
                        (0..300).for_each(|_| written.read_all(&mut known));
                    });
                    (0..300).for_each(|_| written.read_all(&mut known));
                    assert!(child.ended_well());
                }
            });
            hits += store.stats().unwrap().memory_hits;
            parent.say(format!("{round} {hits}"));
        }
    }
}

role! {
    /// Reads an entry again and again without a log, and then has nothing of the database open, since it has forked.
    fn keeper(parent) {
        let dir: PathBuf = parent.arg(0);
        let store = Store::open(dir.join("store")).unwrap();
        let numbers = Index::<u64, u64>::new(&store, "numbers").unwrap();
        let read = || (0..200).fold(0, |_, _| numbers.get(&1).unwrap().unwrap());
        let first = read();
        assert_eq!(store.stats().unwrap().memory_hits, 0);
        assert!(Forked::child(|| assert_eq!(read(), first)).ended_well());
        parent.say(first);
        parent.hear();
        parent.say(read());
    }
}

/// A database that all have closed has no log, and the headers of two that have none are the same: so nothing is kept under one.
#[test]
fn nothing_is_in_memory_without_a_log() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let write = |number: u64| {
        let store = Store::open(dir.join("store")).unwrap();
        let numbers = Index::<u64, u64>::new(&store, "numbers").unwrap();
        numbers.insert(&1, &number).unwrap();
        drop((store, numbers));
        let log = dir.join("store/store.db-wal");
        eventually(PATIENCE, || !log.exists());
    };
    write(1);
    let mut child = Child::spawn(keeper, &[&dir.display()]);
    assert_eq!(child.hear(PATIENCE), "1");
    write(2);
    child.say("");
    assert_eq!(child.hear(PATIENCE), "2");
}

/// Nobody ever reads what a write that is over has replaced, whoever wrote it, and whatever happens to the log, the writers,
/// and the readers.
#[test]
fn what_is_in_memory_is_never_stale() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (store, written) = Written::open(dir);
    let mut known = [0; WRITERS as usize];
    let mut reads = 0;
    let mut read = |times: u64| {
        for _ in 0..times {
            written.read_all(&mut known);
            reads += 1;
            written.published.say(READS, reads);
        }
    };
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|me| Child::spawn(writer, &[&dir.display(), &me]))
        .collect();
    let mut checkpoints = Child::spawn(checkpointer, &[&dir.display()]);
    let mut readers = Child::spawn(reader, &[&dir.display()]);
    let mut random = Random::new(7);
    for round in 0..12 {
        for me in 0..WRITERS {
            let writer = &mut writers[me as usize];
            for _ in 0..3 + random.below(5) {
                let deadline = Deadline::after(PATIENCE);
                while writer.heard().is_none() {
                    assert!(!deadline.is_past(), "it writes no more");
                    read(20);
                }
            }
        }
        // In the middle of a commit, or of a wait.
        let me = random.below(WRITERS);
        writers[me as usize].kill();
        read(random.below(100));
        writers[me as usize] = Child::spawn(writer, &[&dir.display(), &me]);
        match round % 4 {
            0 => store
                .compact()
                .map_or_else(|error| assert!(error.is_timeout()), drop),
            1 => store.backup(dir.join(format!("backup {round}"))).unwrap(),
            2 => {
                checkpoints.kill();
                checkpoints = Child::spawn(checkpointer, &[&dir.display()]);
            }
            _ => {
                readers.kill();
                readers = Child::spawn(reader, &[&dir.display()]);
            }
        }
        read(100);
    }
    let hits = store.stats().unwrap().memory_hits;
    assert!(hits > 1000, "{hits}: nothing was shown");
    // They have come this far, too.
    drop(writers);
    loop {
        let heard = readers.hear(PATIENCE);
        let (round, hits) = heard.split_once(' ').unwrap();
        if round.parse::<u64>().unwrap() >= 1 && hits.parse::<u64>().unwrap() > 1000 {
            break;
        }
    }
    assert!(store.check().unwrap().is_sound());
}
