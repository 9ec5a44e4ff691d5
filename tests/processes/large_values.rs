//! Large values, whose memory comes and goes with each call.

use std::fs;
use std::path::PathBuf;

use diskette::{Index, Store};
use diskette_testkit::{Child, PATIENCE, role};

const ROUNDS: u64 = 100;

role! {
    /// Writes and reads a value of a length again and again; says how often the kernel had to give it a page meanwhile.
    fn copyist(parent) {
        let (path, length): (PathBuf, usize) = (parent.arg(0), parent.arg(1));
        let store = Store::open(path).unwrap();
        let values = Index::<u64, String>::new(&store, "values").unwrap();
        let value = "x".repeat(length);
        let round = || {
            values.insert(&1, &value.clone()).unwrap();
            assert_eq!(values.get(&1).unwrap().map(|value| value.len()), Some(length));
        };
        (0..ROUNDS).for_each(|_| round());
        let before = faults();
        (0..ROUNDS).for_each(|_| round());
        parent.say(faults() - before);
    }
}

/// Of this process, each of one page.
fn faults() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name in brackets, in which there may be anything.
    let behind = stat.rsplit_once(')').unwrap().1;
    behind.split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// glibc gave the memory of each value back to the kernel and was given it anew, page by page, which took ten times as long as to
/// read it: a `get` of 500 KiB had 200 faults.
#[test]
fn a_large_value_doesn_t_get_its_memory_anew_each_time() {
    // Within the database, and in a file of its own.
    for length in [500 << 10, 600 << 10] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let mut child = Child::spawn(copyist, &[&path.display(), &length]);
        let faults: u64 = child.hear(PATIENCE).parse().unwrap();
        let pages = ROUNDS * length as u64 / 4096;
        assert!(faults < pages / 4, "{faults} faults for {pages} pages");
    }
}
