//! A store that moves to the server while processes write to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use diskette::{Deque, Index, Store};
use diskette_benches::scaled;
use diskette_ipc::clock;
use diskette_testkit::{Child, PATIENCE, Postgres, role, unique_store};
use serde_bytes::ByteBuf;

const MB: u64 = 1_000_000;
const BYTES: u64 = scaled(1000, 8) * MB;
const WRITERS: u64 = scaled(4, 2);

/// Half of it is in entries of this size, a quarter each in small items and in large values.
const ENTRY: u64 = 1000;
const ITEM: u64 = 100;
const LARGE: u64 = MB;
const ENTRIES: u64 = BYTES / 2 / ENTRY;

/// No caller waits for longer, which the pause is to stay far below.
const TIMEOUT: Duration = Duration::from_secs(300);

struct Things {
    entries: Index<u64, ByteBuf>,
    items: Deque<ByteBuf>,
    numbers: Deque<(u64, u64)>,
    last: Index<u64, u64>,
}

impl Things {
    fn of(store: &Store) -> Self {
        Things {
            entries: Index::new(store, "entries").unwrap(),
            items: Deque::new(store, "items").unwrap(),
            numbers: Deque::new(store, "numbers").unwrap(),
            last: Index::new(store, "last").unwrap(),
        }
    }

    fn fill(&self) {
        let filler = |bytes: u64| ByteBuf::from(vec![7; bytes as usize]);
        for first in (0..ENTRIES).step_by(1000) {
            let some = first..ENTRIES.min(first + 1000);
            let some = some.map(|key| (key, filler(ENTRY)));
            self.entries.extend(some).unwrap();
        }
        for _ in (0..BYTES / 4).step_by((1000 * ITEM) as usize) {
            self.items.extend((0..1000).map(|_| filler(ITEM))).unwrap();
        }
        for n in 0..BYTES / 4 / LARGE {
            self.entries.insert(&(ENTRIES + n), &filler(LARGE)).unwrap();
        }
    }
}

role! {
    /// Writes until it is told to stop: appends a number, and replaces entries all over. Says how often, and how long it took at most.
    pub(crate) fn write(parent) {
        let (path, me): (String, u64) = (parent.arg(0), parent.arg(1));
        let store = Store::options().timeout(TIMEOUT).open(path).unwrap();
        let things = Things::of(&store);
        let other = ByteBuf::from(vec![me as u8; ENTRY as usize]);
        let stop = AtomicBool::new(false);
        let work = || {
            let (mut n, mut longest) = (0, Duration::ZERO);
            while n == 0 || !stop.load(Ordering::Relaxed) {
                let key = (me << 32 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15) % ENTRIES;
                let begun = clock::now();
                things.numbers.push_back(&(me, n)).unwrap();
                things.last.insert(&me, &n).unwrap();
                things.entries.insert(&key, &other).unwrap();
                longest = longest.max(clock::now() - begun);
                n += 1;
            }
            (n, longest)
        };
        let (n, longest) = thread::scope(|scope| {
            let writing = scope.spawn(work);
            parent.say("ready");
            parent.hear();
            stop.store(true, Ordering::Relaxed);
            writing.join().unwrap()
        });
        parent.say(n);
        parent.say(longest.as_secs_f64());
    }
}

pub(crate) fn measure(server: &Postgres) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::options().timeout(TIMEOUT).open(&path).unwrap();
    Things::of(&store).fill();
    let start = |me| Child::spawn(write, &[&path.display(), &me]);
    let mut writers: Vec<_> = (0..WRITERS).map(start).collect();
    for writer in &mut writers {
        assert_eq!(writer.hear(PATIENCE), "ready");
    }
    let begun = clock::now();
    let moved = store.promote(&server.url(&unique_store()), |_| {}).unwrap();
    let took = clock::now() - begun;
    writers.iter_mut().for_each(|writer| writer.say("stop"));
    let things = Things::of(&moved.store);
    let mut next = [0; WRITERS as usize];
    let (mut written, mut longest) = (Vec::new(), 0.0_f64);
    for writer in &mut writers {
        written.push(writer.hear(PATIENCE).parse::<u64>().unwrap());
        longest = longest.max(writer.hear(PATIENCE).parse().unwrap());
    }
    for number in things.numbers.iter() {
        let (me, n) = number.unwrap();
        assert_eq!(n, next[me as usize], "each once, in order");
        next[me as usize] += 1;
    }
    assert_eq!(next, *written);
    for (me, written) in (0..).zip(&written) {
        assert_eq!(things.last.get(&me).unwrap(), Some(written - 1));
    }
    println!(
        "\na store of {} rows and {} MB, moved while {WRITERS} processes wrote {} times: {:.1} s, of which nobody could write for {:.2} s; a \
         writer did without for {longest:.2} s at most; all that was written is there once",
        moved.rows,
        moved.bytes / MB,
        written.iter().sum::<u64>() * 3,
        took.as_secs_f64(),
        moved.pause.as_secs_f64()
    );
}
