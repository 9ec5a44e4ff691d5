//! Everything at once: workers that use all structures, fork, run out of descriptors and read the store's files, short lives
//! and long ones, killed and stopped at random, on a disk that is full now and then. In the end it is compared with what
//! was acknowledged.
//!
//! `DISKETTE_TORTURE` says for how many seconds, 20 unless said; `DISKETTE_SEED` has the same chances taken again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use diskette::{Deque, Error, Index, Lock, Store};
use diskette_ipc::{Deadline, clock, random};
use diskette_testkit::{
    Child, Filler, Forked, PATIENCE, Parent, Random, Signal, SmallDisk, eventually, files_below,
    role, take_all_descriptors,
};
use serde_bytes::ByteBuf;

const WORKERS: usize = 4;
const LARGE: usize = 600_000;

/// What the workers share.
struct Shared {
    path: PathBuf,
    store: Store,
    jobs: Deque<ByteBuf>,
    done: Index<u64, u64>,
    values: Index<u64, ByteBuf>,
    counts: Index<String, u64>,
    lock: Lock,
}

impl Shared {
    fn open(path: &Path) -> Result<Self, Error> {
        let store = Store::open(path)?;
        Ok(Shared {
            path: path.to_owned(),
            jobs: Deque::new(&store, "jobs")?,
            done: Index::new(&store, "done")?,
            values: Index::new(&store, "values")?,
            counts: Index::new(&store, "counts")?,
            lock: Lock::new(&store, "lock")?,
            store,
        })
    }

    /// Takes a job and writes down, in one transaction, that it is done.
    fn work(&self) -> Result<(), Error> {
        let Some(claim) = self.jobs.try_claim_front()? else {
            return Ok(());
        };
        let job = number_of(&claim);
        self.store.transaction(|tx| {
            assert!(
                self.done.within(tx).insert_if_absent(&job, &1)?,
                "job {job} is done twice"
            );
            claim.complete(tx)
        })
    }

    /// Counts under the lock.
    fn count(&self) -> Result<bool, Error> {
        let Some(guard) = self.lock.lock_timeout(Duration::from_millis(500))? else {
            return Ok(false);
        };
        let key = "count".to_owned();
        let before = self.counts.get(&key)?.unwrap_or(0);
        self.store.transaction_fenced(&guard, |tx| {
            self.counts.within(tx).insert(&key, &(before + 1))
        })?;
        Ok(true)
    }

    /// Looks at one moment of everything.
    fn look(&self) -> Result<(), Error> {
        self.store.snapshot(|snapshot| {
            let (jobs, done) = (self.jobs.within(snapshot), self.done.within(snapshot));
            let all: Vec<_> = jobs.iter().collect::<Result<_, _>>()?;
            assert_eq!(all.len(), jobs.len()?);
            for job in all.iter().take(20) {
                assert!(
                    !done.contains_key(&number_of(job))?,
                    "a job that is done is to do"
                );
            }
            for entry in self.values.within(snapshot).iter().take(5) {
                number_of(&entry?.1);
            }
            Ok(())
        })
    }
}

/// A value that tells its number and whether it is whole.
fn value(number: u64, large: bool) -> ByteBuf {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(if large { LARGE } else { 30 }, number as u8);
    ByteBuf::from(bytes)
}

fn number_of(value: &[u8]) -> u64 {
    let (number, rest) = value.split_first_chunk().unwrap();
    let number = u64::from_le_bytes(*number);
    assert!(
        rest.iter().step_by(99).all(|&byte| byte == number as u8),
        "{number} is not whole"
    );
    number
}

role! {
    /// Does what chance says, and says what was acknowledged.
    fn worker(parent) {
        let (path, me): (PathBuf, u64) = (parent.arg(0), parent.arg(1));
        let mut random = Random::new(parent.arg(2));
        let shared = loop {
            match Shared::open(&path) {
                Ok(shared) => break shared,
                Err(error) => tolerate(&error),
            }
            parent.say("alive");
        };
        for n in 1..=parent.arg(3) {
            if let Err(error) = step(&shared, parent, me << 32 | n, &mut random) {
                tolerate(&error);
            }
            parent.say("alive");
        }
        drop(shared);
        parent.say("end");
        parent.hear();
        Forked::end(true);
    }
}

/// On a full disk, and without descriptors, calls fail; and they say so.
#[track_caller]
fn tolerate(error: &Error) {
    let out_of_descriptors = |error: &Error| {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if cause
                .downcast_ref::<io::Error>()
                .and_then(io::Error::raw_os_error)
                == Some(24)
                || cause.to_string().contains("unable to open database file")
            {
                return true;
            }
            source = cause.source();
        }
        false
    };
    assert!(
        error.is_disk_full()
            || error.is_timeout()
            || out_of_descriptors(error)
            || error.to_string().contains("disk"),
        "{error:?}"
    );
}

fn step(shared: &Shared, parent: &Parent, id: u64, random: &mut Random) -> Result<(), Error> {
    let me = id >> 32;
    let large = random.below(12) == 0;
    match random.below(24) {
        0..=5 => {
            shared.jobs.push_back(&value(id, large))?;
            parent.say(format!("pushed {id}"));
        }
        6..=9 => shared.work()?,
        10 => drop(shared.jobs.try_claim_back()?),
        11..=13 => {
            shared.values.insert(&me, &value(id, large))?;
            parent.say(format!("stored {id}"));
        }
        14..=15 if shared.count()? => parent.say("counted"),
        16..=17 => shared.look()?,
        18..=19 => {
            let child = Forked::child(|| {
                for result in [
                    shared.jobs.push_front(&value(id, large)),
                    shared
                        .values
                        .insert(&(me + (1 << 31)), &value(id, true))
                        .map(drop),
                    shared.work(),
                ] {
                    if let Err(error) = result {
                        tolerate(&error);
                    }
                }
            });
            assert!(child.ended_well());
        }
        20 => shared.store.transaction(|tx| {
            shared.counts.within(tx).insert(&"torn".to_owned(), &id)?;
            let child = Forked::child(|| {
                assert!(shared.jobs.len().unwrap_err().is_misuse());
            });
            assert!(child.ended_well());
            Ok::<(), Error>(())
        })?,
        21 => {
            let files = take_all_descriptors();
            let pushed = shared.jobs.push_back(&value(id, large));
            let got = shared.values.get(&me).map(drop);
            drop(files);
            if pushed.is_ok() {
                parent.say(format!("pushed {id}"));
            }
            pushed.and(got)?;
        }
        22 => {
            for file in files_below(&shared.path) {
                let name = file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                if name != "store.db" && name != "store.db-shm" {
                    let _ = fs::read(file);
                }
            }
        }
        _ if random.below(4) == 0 => {
            // Others may be in the way.
            drop(
                shared
                    .store
                    .with_timeout(Duration::from_millis(100))
                    .compact(),
            );
        }
        _ => {}
    }
    Ok(())
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    pushed: BTreeSet<u64>,
    stored: BTreeMap<u64, u64>,
    counted: u64,
}

impl Acknowledged {
    /// `false`: it is at its end.
    fn hear(&mut self, line: &str) -> bool {
        let number = line
            .split_once(' ')
            .map(|(_, number)| number.parse().unwrap());
        match (line.split(' ').next(), number) {
            (Some("pushed"), Some(id)) => drop(self.pushed.insert(id)),
            (Some("stored"), Some(id)) => drop(self.stored.insert(id >> 32, id)),
            (Some("counted"), None) => self.counted += 1,
            (Some("end"), None) => return false,
            _ => {}
        }
        true
    }
}

/// The workers that live.
struct Troupe<'p> {
    path: &'p Path,
    born: u64,
    killed: u64,
    workers: Vec<Child>,
}

impl Troupe<'_> {
    fn spawn(&mut self, random: &mut Random) -> Child {
        self.born += 1;
        let calls = if random.below(3) == 0 { 10 } else { 100_000 };
        Child::spawn(
            worker,
            &[&self.path.display(), &self.born, &random.number(), &calls],
        )
    }

    fn replace(&mut self, i: usize, random: &mut Random, heard: &mut Acknowledged) {
        self.killed += 1;
        for line in self.workers[i].last_words() {
            heard.hear(&line);
        }
        self.workers[i] = self.spawn(random);
    }
}

#[test]
fn nothing_acknowledged_is_lost_whatever_happens() {
    let seed = match env::var("DISKETTE_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => random::number().unwrap().cast_unsigned(),
    };
    let seconds = env::var("DISKETTE_TORTURE").map_or(20, |seconds| seconds.parse().unwrap());
    println!("DISKETTE_SEED={seed} DISKETTE_TORTURE={seconds}");
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(150);
    let path = disk
        .as_ref()
        .map_or(dir.path(), SmallDisk::path)
        .join("store");
    Shared::open(&path).unwrap();

    let mut random = Random::new(seed);
    let mut heard = Acknowledged::default();
    let mut troupe = Troupe {
        path: &path,
        born: 0,
        killed: 0,
        workers: Vec::new(),
    };
    for _ in 0..WORKERS {
        let child = troupe.spawn(&mut random);
        troupe.workers.push(child);
    }
    let mut filler: Option<Filler> = None;
    let mut full = 0;
    let end = Deadline::after(Duration::from_secs(seconds));
    while !end.is_past() {
        let i = random.below(WORKERS as u64) as usize;
        for _ in 0..random.below(30) {
            let line = troupe.workers[i].hear(PATIENCE * 2);
            if !heard.hear(&line) {
                troupe.workers[i].say("go");
                assert!(troupe.workers[i].wait(PATIENCE).success());
                troupe.workers[i] = troupe.spawn(&mut random);
                break;
            }
        }
        match random.below(20) {
            0..=4 => troupe.replace(i, &mut random, &mut heard),
            5..=9 => {
                troupe.workers[i].signal(Signal::SIGSTOP);
                clock::sleep(Duration::from_millis(random.below(30)));
                troupe.workers[i].signal(Signal::SIGCONT);
            }
            10 => {
                filler = disk.as_ref().map(SmallDisk::fill);
                full += u64::from(filler.is_some());
            }
            11..=15 => filler = None,
            _ => {}
        }
    }
    drop(filler);
    for worker in &mut troupe.workers {
        for line in worker.last_words() {
            heard.hear(&line);
        }
    }
    println!(
        "{} workers, {} killed, {} times full; {} pushed, {} counted",
        troupe.born,
        troupe.killed,
        full,
        heard.pushed.len(),
        heard.counted
    );

    let shared = Shared::open(&path).unwrap();
    eventually(PATIENCE, || shared.jobs.claimed().unwrap() == 0);
    assert_eq!(shared.jobs.iter().count(), shared.jobs.len().unwrap());
    let mut there: Vec<u64> = shared
        .jobs
        .iter()
        .map(|job| number_of(&job.unwrap()))
        .collect();
    there.extend(shared.done.keys().map(Result::unwrap));
    let once: BTreeSet<u64> = there.iter().copied().collect();
    assert_eq!(once.len(), there.len(), "a job is there twice");
    let lost: Vec<_> = heard.pushed.difference(&once).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    for (worker, id) in &heard.stored {
        let stored = number_of(&shared.values.get(worker).unwrap().unwrap());
        assert!(
            stored >= *id,
            "worker {worker} stored {id}, and {stored} is there"
        );
    }
    let counted = shared.counts.get(&"count".to_owned()).unwrap().unwrap_or(0);
    let unheard = troupe.born;
    assert!(
        (heard.counted..=heard.counted + unheard).contains(&counted),
        "{counted}"
    );
    eventually(PATIENCE, || {
        let files = files_below(&path.join("values")).len() as u64;
        files == shared.store.stats().unwrap().value_files
    });
    assert_eq!(shared.store.check().unwrap().problems, []);
    assert!(shared.lock.try_lock().unwrap().is_some());
}
