//! Threads of the toolkit's own.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::mpsc;

use diskette_ipc::background;

/// A handler of the program's ran on a thread that the program doesn't know of, with the toolkit's locks held.
#[test]
fn no_signal_of_the_program_is_handled_there() {
    let blocked = || {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    let before = blocked();
    let (say, hear) = mpsc::channel();
    background::spawn("diskette-test", move || say.send(blocked()).unwrap()).unwrap();
    // SIGHUP to SIGTERM, but for SIGKILL, which can't be.
    assert_eq!(hear.recv().unwrap() & 0x7fff, 0x7eff);
    assert_eq!(blocked(), before);
}
