//! Eight processes that contend for a lock or for permits, and are killed at random and started again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use diskette::{BoundedSemaphore, Lock};
use diskette_ipc::{Deadline, clock};
use diskette_testkit::{Child, PATIENCE, eventually, role};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::{Home, store, uptime};

const PROCESSES: u64 = 8;
const FOR: Duration = Duration::from_secs(10);
const A_KILL_EVERY: Duration = Duration::from_millis(50);
const PERMITS: u64 = 3;

role! {
    /// Counts under a lock, and writes down each turn.
    fn counter(parent) {
        let (home, me): (String, u64) = (parent.arg(0), parent.arg(1));
        let ledger = Ledger::open(home.as_ref());
        let lock = Lock::new(&store(&home), "count").unwrap();
        let mut turns = 0;
        while !ledger.is_closed() {
            let guard = lock.lock().unwrap();
            let place = ledger.alone(|| ledger.enter(1, 1));
            turns += 1;
            ledger.write_down(&Turn::of(me, turns, guard.token()));
            ledger.acknowledge(me, turns);
            ledger.leave(&place);
            guard.release().unwrap();
        }
        parent.say(turns);
    }
}

role! {
    /// Takes one permit or two, over and over.
    fn worker(parent) {
        let (home, me): (String, u64) = (parent.arg(0), parent.arg(1));
        let ledger = Ledger::open(home.as_ref());
        let permits = BoundedSemaphore::new(&store(&home), "permits", PERMITS as u32).unwrap();
        let mut turns = 0;
        while !ledger.is_closed() {
            turns += 1;
            let n = 1 + turns % 2;
            let permit = permits.acquire_n(n as u32).unwrap();
            let places = ledger.alone(|| {
                ledger.write_down(&Turn::of(me, turns, 0));
                ledger.enter(n, PERMITS)
            });
            ledger.leave(&places);
            permit.release().unwrap();
        }
        parent.say(turns);
    }
}

#[test]
fn a_lock_is_exclusive_whoever_is_killed_and_no_turn_is_lost() {
    let home = Home::new();
    let (ledger, said) = killing_at_random(&home, counter);
    let turns = ledger.turns();
    for (one, next) in turns.iter().zip(&turns[1..]) {
        assert!(
            one.token < next.token && one.at <= next.at,
            "{one:?} {next:?}"
        );
    }
    let mut counts = BTreeMap::new();
    for turn in &turns {
        let count = counts.entry(turn.process).or_insert(0);
        *count += 1;
        assert_eq!(
            turn.number, *count,
            "a turn of {} was overwritten",
            turn.process
        );
    }
    for (&process, &count) in &counts {
        // Who was killed may have had no time to say so.
        let acknowledged = ledger.acknowledged(process);
        assert!(count == acknowledged || count == acknowledged + 1);
    }
    for (process, turns) in said {
        assert_eq!(counts.get(&process).copied().unwrap_or(0), turns);
    }
    let lock = Lock::new(&home.store(), "count").unwrap();
    assert!(lock.try_lock().unwrap().is_some(), "the dead hold the lock");
}

#[test]
fn permits_are_never_more_than_there_are_whoever_is_killed() {
    let home = Home::new();
    killing_at_random(&home, worker);
    let permits = BoundedSemaphore::new(&home.store(), "permits", PERMITS as u32).unwrap();
    let all = permits.try_acquire_n(PERMITS as u32).unwrap();
    assert!(all.is_some(), "the dead hold permits");
}

/// Lets processes play `role`, kills any of them now and then and starts another; in the end kills half of the rest.
/// Returns what the other half says, by process.
fn killing_at_random<F: Fn() + Copy>(home: &Home, role: F) -> (Ledger, BTreeMap<u64, u64>) {
    let ledger = Ledger::open(home.0.path());
    let spawn = |process: u64| (process, Child::spawn(role, &[&home.path(), &process]));
    let mut children: Vec<_> = (0..PROCESSES).map(spawn).collect();
    let mut deaths = Vec::new();
    let (mut started, end) = (PROCESSES, Deadline::after(FOR));
    while !end.is_past() {
        clock::sleep(A_KILL_EVERY);
        let victim = (started.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % children.len();
        children[victim].1.kill();
        deaths.push(nanoseconds(uptime()));
        children[victim] = spawn(started);
        started += 1;
    }
    let last = deaths[deaths.len() - 1];
    eventually(PATIENCE, || {
        ledger.last_turn().is_some_and(|turn| turn.at > last)
    });
    let mut survivors = children.split_off(children.len() / 2);
    children.iter_mut().for_each(|(_, child)| child.kill());
    ledger.close();
    let say =
        |(process, child): &mut (u64, Child)| (*process, child.hear(PATIENCE).parse().unwrap());
    let said = survivors.iter_mut().map(say).collect();

    let turns = ledger.turns();
    let next_after = |&death: &u64| turns[turns.partition_point(|turn| turn.at < death)].at - death;
    let mut gaps: Vec<u64> = deaths.iter().map(next_after).collect();
    gaps.sort_unstable();
    let [median, longest] = [gaps.len() / 2, gaps.len() - 1].map(|i| Duration::from_nanos(gaps[i]));
    assert!(median < Duration::from_millis(250), "{median:?}");
    // This is for each of them, were it not for what else the machine has to do.
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    (ledger, said)
}

/// What the processes write down, in a file, and how they find out that more of them are in than may be: by record locks. Of
/// these the kernel relieves a killed process before it does of its owner file: that was opened later, and files are
/// closed in this order.
struct Ledger(File);

#[derive(Debug)]
struct Turn {
    process: u64,
    number: u64,
    token: u64,
    at: u64,
}

impl Ledger {
    fn open(home: &Path) -> Self {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Self(options.open(home.join("ledger")).unwrap())
    }

    fn close(&self) {
        self.set_word(CLOSED, 1);
    }

    fn is_closed(&self) -> bool {
        self.word(CLOSED) == 1
    }

    /// Without any atomic increment: what keeps it from being lost is the lock that is tested.
    fn write_down(&self, turn: &Turn) {
        let count = self.word(COUNT);
        let words = [turn.process, turn.number, turn.token, turn.at];
        let bytes = words.map(u64::to_ne_bytes).concat();
        self.0.write_all_at(&bytes, TURNS + count * TURN).unwrap();
        self.set_word(COUNT, count + 1);
    }

    fn turns(&self) -> Vec<Turn> {
        (0..self.word(COUNT)).map(|i| self.turn(i)).collect()
    }

    fn last_turn(&self) -> Option<Turn> {
        Some(self.turn(self.word(COUNT).checked_sub(1)?))
    }

    fn turn(&self, i: u64) -> Turn {
        let word = |k: u64| self.word(TURNS + i * TURN + k * 8);
        Turn {
            process: word(0),
            number: word(1),
            token: word(2),
            at: word(3),
        }
    }

    fn acknowledge(&self, process: u64, turns: u64) {
        self.set_word(ACKNOWLEDGED + process * 8, turns);
    }

    fn acknowledged(&self, process: u64) -> u64 {
        self.word(ACKNOWLEDGED + process * 8)
    }

    /// While nobody else does anything in here.
    fn alone<T>(&self, act: impl FnOnce() -> T) -> T {
        assert!(self.lock(MUTEX, libc::F_WRLCK, true));
        let result = act();
        self.lock(MUTEX, libc::F_UNLCK, true);
        result
    }

    /// Takes `n` of some places. Nobody else takes any meanwhile, so that they are there unless too many are in.
    fn enter(&self, n: u64, places: u64) -> Vec<u64> {
        let free = |place: &u64| self.lock(*place, libc::F_WRLCK, false);
        let taken: Vec<_> = (0..places).filter(free).take(n as usize).collect();
        assert_eq!(taken.len() as u64, n, "more than {places} are in");
        taken
    }

    fn leave(&self, places: &[u64]) {
        for &place in places {
            self.lock(place, libc::F_UNLCK, true);
        }
    }

    fn lock(&self, place: u64, kind: libc::c_int, waits: bool) -> bool {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: place as libc::off_t,
            l_len: 1,
            l_pid: 0,
        };
        let how = match waits {
            true => FcntlArg::F_SETLKW(&lock),
            false => FcntlArg::F_SETLK(&lock),
        };
        fcntl(&self.0, how).is_ok()
    }

    fn word(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        match self.0.read_exact_at(&mut bytes, at) {
            Ok(()) => u64::from_ne_bytes(bytes),
            Err(_) => 0, // nobody has written so far
        }
    }

    fn set_word(&self, at: u64, word: u64) {
        self.0.write_all_at(&word.to_ne_bytes(), at).unwrap();
    }
}

impl Turn {
    fn of(process: u64, number: u64, token: u64) -> Self {
        Self {
            process,
            number,
            token,
            at: nanoseconds(uptime()),
        }
    }
}

/// Where in the file there is what.
const CLOSED: u64 = 0;
const COUNT: u64 = 8;
const ACKNOWLEDGED: u64 = 16;
const TURNS: u64 = 1 << 16;
const TURN: u64 = 32;
/// Where the mutex of [`Ledger::alone`] is among the locks, which begin at 0.
const MUTEX: u64 = 1 << 40;

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}
