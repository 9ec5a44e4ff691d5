//! What several processes, and their threads, are answered by a cache, while they are killed: for each key there is an order of the calls
//! in which one thread alone would have been answered the same.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use diskette::{Cache, Error, Expiry, Store};
use diskette_testkit::{Call, Child, PATIENCE, Place, Random, linearizable, role};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// What is done to a key. Values are numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Do {
    Get,
    Insert(u64),
    InsertExpired(u64),
    InsertIfAbsent(u64),
    Replace(u64),
    CompareAndSwap(Option<u64>, Option<u64>),
    Add(u64),
    Remove,
    Delete,
}

/// A number, or none; whether something was done is 1 or 0.
type Answer = Option<u64>;

#[derive(Debug, Serialize, Deserialize)]
enum Line {
    Begins(u64, u8, Do),
    Ends(u64, Answer),
    Killed(u64),
}

/// The calls of each key, with the answer if there was one.
type History = HashMap<u8, Vec<Call<(Do, Option<Answer>)>>>;

const KEYS: u64 = 3;
const PROCESSES: u64 = 3;
/// Of each process; they are numbered on.
const THREADS: u64 = 2;
const LARGE: usize = 600_000;

/// A third of all values are files.
fn value(number: u64) -> ByteBuf {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(if number.is_multiple_of(3) { LARGE } else { 8 }, 0);
    bytes.into()
}

fn number(value: &ByteBuf) -> u64 {
    u64::from_le_bytes(value[..8].try_into().unwrap())
}

fn act(cache: &Cache<u8, ByteBuf>, key: u8, what: Do) -> Result<Answer, Error> {
    let before = |found: Option<ByteBuf>| found.as_ref().map(number);
    let done = |done: bool| Some(u64::from(done));
    Ok(match what {
        Do::Get => before(cache.get(&key)?),
        Do::Insert(n) => cache.insert(&key, &value(n)).map(|()| None)?,
        Do::InsertExpired(n) => {
            let expired = Expiry::At(std::time::UNIX_EPOCH);
            cache.insert_with(&key, &value(n), expired).map(|()| None)?
        }
        Do::InsertIfAbsent(n) => done(cache.insert_if_absent(&key, &value(n), Expiry::Never)?),
        Do::Replace(n) => before(cache.replace(&key, &value(n), Expiry::Never)?),
        Do::CompareAndSwap(old, new) => {
            let (old, new) = (old.map(value), new.map(value));
            done(cache.compare_and_swap(&key, old.as_ref(), new.as_ref())?)
        }
        Do::Add(by) => {
            before(cache.update(&key, |found| Some(value(before(found).unwrap_or(0) + by)))?)
        }
        Do::Remove => before(cache.remove(&key)?),
        Do::Delete => done(cache.delete(&key)?),
    })
}

/// What is there then, and what is answered.
fn then(there: Option<u64>, what: Do) -> (Option<u64>, Answer) {
    let done = |done: bool| Some(u64::from(done));
    match what {
        Do::Get => (there, there),
        Do::Insert(n) => (Some(n), None),
        Do::InsertExpired(_) => (None, None),
        Do::InsertIfAbsent(n) => (there.or(Some(n)), done(there.is_none())),
        Do::Replace(n) => (Some(n), there),
        Do::CompareAndSwap(old, new) if there == old => (new, done(true)),
        Do::CompareAndSwap(..) => (there, done(false)),
        Do::Add(by) => (Some(there.unwrap_or(0) + by), Some(there.unwrap_or(0) + by)),
        Do::Remove => (None, there),
        Do::Delete => (None, done(there.is_some())),
    }
}

role! {
    /// Does what chance says, and writes down when it began and ended.
    fn diarist(parent) {
        let (store, dir, me): (String, String, u64) = (parent.arg(0), parent.arg(1), parent.arg(2));
        let store = Store::open(store).unwrap();
        let cache = Cache::<u8, ByteBuf>::new(&store, "cache").unwrap();
        let (said, heard) = mpsc::channel();
        thread::scope(|scope| {
            for me in threads(me) {
                let (dir, cache, said) = (&dir, &cache, said.clone());
                scope.spawn(move || keep_diary(dir, cache, me, &said));
            }
            for said in heard {
                parent.say(said);
            }
        });
    }
}

fn threads(process: u64) -> Range<u64> {
    process * THREADS..(process + 1) * THREADS
}

fn keep_diary(dir: &str, cache: &Cache<u8, ByteBuf>, me: u64, said: &mpsc::Sender<&str>) {
    let mut random = Random::new(me);
    loop {
        let key = random.below(KEYS) as u8;
        // Few different ones, so that old values come again.
        let mut some = || random.below(12);
        let what = match some() {
            0..=4 => Do::Get,
            5 => Do::Insert(some()),
            6 if some() < 4 => Do::InsertExpired(some()),
            6 => Do::InsertIfAbsent(some()),
            7 => Do::Replace(some()),
            8 => Do::CompareAndSwap(Some(some()), Some(some())),
            9 => Do::CompareAndSwap(None, Some(some())),
            10 => Do::Add(some()),
            _ if some() < 6 => Do::Remove,
            _ => Do::Delete,
        };
        write(dir, &Line::Begins(me, key, what));
        let answer = act(cache, key, what).unwrap();
        write(dir, &Line::Ends(me, answer));
        said.send("did").unwrap();
    }
}

/// Each line is written as a whole, after those that are there.
fn write(dir: impl AsRef<Path>, line: &Line) {
    let log = dir.as_ref().join("log");
    let mut log = OpenOptions::new()
        .append(true)
        .create(true)
        .open(log)
        .unwrap();
    let line = serde_json::to_string(line).unwrap() + "\n";
    log.write_all(line.as_bytes()).unwrap();
}

#[test]
fn answers_are_those_of_one_order_whoever_is_killed() {
    let place = Place::new();
    let (store, dir) = (place.path(), place.beside(""));
    let start = |me: u64| Child::spawn(diarist, &[&store.display(), &dir.display(), &me]);
    let mut diarists: Vec<_> = (0..PROCESSES).map(|me| (me, start(me))).collect();
    let mut random = Random::new(9);
    for next in PROCESSES..8 * PROCESSES {
        let (me, diarist) = &mut diarists[(next % PROCESSES) as usize];
        for _ in 0..random.below(40) {
            diarist.hear(PATIENCE);
        }
        diarist.kill();
        for thread in threads(*me) {
            write(&dir, &Line::Killed(thread));
        }
        (*me, *diarist) = (next, start(next));
    }
    drop(diarists);

    let (history, killed) = read(&fs::read_to_string(dir.join("log")).unwrap());
    assert!(killed > 5, "in the middle of a call: {killed}");
    for (key, calls) in history {
        let order = linearizable(&calls, None, |&there, &(what, answer)| {
            let (then, answered) = then(there, what);
            answer
                .is_none_or(|answer| answer == answered)
                .then_some(then)
        });
        assert_eq!(order, Ok(()), "the calls of key {key}: {calls:#?}");
    }
    let store = Store::open(store).unwrap();
    assert!(store.check().unwrap().is_sound());
}

/// What a log tells, and how many calls had no time to end.
fn read(log: &str) -> (History, usize) {
    let mut calls = Vec::new();
    let mut at_it = HashMap::new();
    let mut killed = 0;
    for (now, line) in log.lines().enumerate() {
        match serde_json::from_str(line).unwrap() {
            Line::Begins(who, key, what) => {
                at_it.insert(who, calls.len());
                let call = Call {
                    what: (what, None),
                    begun: now,
                    ended: usize::MAX,
                    answered: false,
                };
                calls.push((key, call));
            }
            Line::Ends(who, answer) => {
                let (_, call) = &mut calls[at_it.remove(&who).unwrap()];
                (call.what.1, call.ended, call.answered) = (Some(answer), now, true);
            }
            Line::Killed(who) => {
                if let Some(at) = at_it.remove(&who) {
                    calls[at].1.ended = now;
                    killed += 1;
                }
            }
        }
    }
    let mut of_keys = HashMap::<_, Vec<_>>::new();
    for (key, call) in calls {
        of_keys.entry(key).or_default().push(call);
    }
    (of_keys, killed)
}
