//! Several processes on one store, behind a gate that lets them start together, beside the same
//! processes on raw SQLite.
//!
//! `cargo bench --bench processes`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that fails has nothing to say"
)]

mod after_others;
mod holding;
mod report;
mod roles;

use std::path::Path;
use std::time::Duration;

use diskette::{Deque, Store};
use diskette_benches::scaled;
use diskette_testkit::{Child, Gate, PATIENCE, is_child};

use crate::report::Report;
use crate::roles::{
    Mix, now, work_on_diskette, work_on_one_cache, work_on_raw_sqlite, work_on_shards,
};

pub(crate) const PROCESSES: usize = scaled(8, 2);
pub(crate) const SECONDS: f64 = scaled(2.0, 0.02);
pub(crate) const ROUNDS: usize = scaled(3, 1);
const DEATHS: usize = scaled(20, 2);

fn main() {
    if is_child() {
        return roles::play();
    }
    if !diskette_benches::is_asked_for() {
        return;
    }
    println!(
        "{PROCESSES} processes, {SECONDS} s, medians of {ROUNDS} rounds; microseconds; share: smallest / largest\n"
    );
    Report::header();
    for mix in [Mix::Writes, Mix::Reads] {
        let raw =
            median((0..ROUNDS).map(|_| round(|args| Child::spawn(work_on_raw_sqlite, args), mix)));
        let ours =
            median((0..ROUNDS).map(|_| round(|args| Child::spawn(work_on_diskette, args), mix)));
        raw.print(&format!("raw SQLite, {}", mix.name()));
        ours.print(&format!("diskette, {}", mix.name()));
        println!(
            "  throughput of diskette / raw: {:.2}\n",
            ours.throughput() / raw.throughput()
        );
    }
    shards();
    after_others::compare();
    wake_ups();
    deaths();
    holding::contention();
    holding::hand_overs();
    holding::deaths();
}

/// All processes write to a cache in one store, and to one that has as many shards.
fn shards() {
    let mix = Mix::Writes;
    let one = median((0..ROUNDS).map(|_| round(|args| Child::spawn(work_on_one_cache, args), mix)));
    let shards = median((0..ROUNDS).map(|_| round(|args| Child::spawn(work_on_shards, args), mix)));
    one.print("Cache, writes");
    shards.print(&format!("ShardedCache of {PROCESSES}, writes"));
    println!(
        "  throughput of shards / one store: {:.2}\n",
        shards.throughput() / one.throughput()
    );
}

/// One round: all processes work for [`SECONDS`].
fn round(spawn: impl Fn(&[&dyn std::fmt::Display]) -> Child, mix: Mix) -> Report {
    let dir = tempdir();
    roles::create_raw_sqlite(dir.path());
    let gate = Gate::closed(dir.path().join("gate"));
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|me| spawn(&[&dir.path().display(), &me, &SECONDS, &mix.name()]))
        .collect();
    for child in &mut children {
        assert_eq!(child.hear(PATIENCE), "ready");
    }
    gate.open();
    Report::gather(
        children.iter_mut().map(|child| child.hear(PATIENCE)),
        SECONDS,
    )
}

/// The round in the middle, by throughput.
pub(crate) fn median(rounds: impl Iterator<Item = Report>) -> Report {
    let mut rounds: Vec<_> = rounds.collect();
    rounds.sort_by(|a, b| a.throughput().total_cmp(&b.throughput()));
    let middle = rounds.len() / 2;
    rounds.swap_remove(middle)
}

/// From a push in one process to the return of a waiting pop in another, beside a bare futex.
fn wake_ups() {
    let dir = tempdir();
    let mut futex = Child::spawn(roles::answer_by_futex, &[&dir.path().display()]);
    assert_eq!(futex.hear(PATIENCE), "ready");
    let raw = roles::ask_by_futex(dir.path());
    let mut deque = Child::spawn(roles::answer_by_deque, &[&dir.path().display()]);
    assert_eq!(deque.hear(PATIENCE), "ready");
    let ours = roles::ask_by_deque(dir.path());
    println!("\nthere and back between two waiting processes, halved");
    raw.print("raw futex");
    ours.print("Deque: push, pop_front_timeout");
}

/// From `kill -9` of a process with a claim to the claim of the next one.
fn deaths() {
    let dir = tempdir();
    let store = Store::open(dir.path().join("store")).expect("a store");
    let todo = Deque::<u64>::new(&store, "todo").expect("a deque");
    todo.push_back(&1).expect("a write");
    let mut took = Report::new(SECONDS);
    for _ in 0..DEATHS {
        let mut child = Child::spawn(roles::claim_and_wait, &[&dir.path().display()]);
        assert_eq!(child.hear(PATIENCE), "claimed");
        let killed = now();
        child.kill();
        let claim = todo
            .claim_front(Duration::from_secs(10))
            .expect("a read")
            .expect("the claim of the dead");
        took.record(killed.elapsed());
        drop(claim);
    }
    println!("\nfrom kill -9 of a claimer to the next claim");
    took.print("Deque::claim_front");
}

pub(crate) fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a directory on the disk")
}
