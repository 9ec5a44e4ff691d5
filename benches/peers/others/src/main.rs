//! A process of a peer: `others NAME [power]`, in the directory where it has its files. With `power`, what is written is on the disk
//! when a call returns; without, it outlives the process, or as the peer's own file says.
#![allow(clippy::expect_used, reason = "a bench that fails has nothing to say")]

mod fjall;
mod keyed;
mod lmdb;
mod memcached;
mod redb;
mod redis;
#[path = "../../subject.rs"]
mod subject;

use std::env;
use std::path::PathBuf;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let power = arguments.iter().any(|argument| argument == "power");
    let subject = match arguments.first().map(String::as_str) {
        Some("fjall") => fjall::open(power),
        Some("lmdb") => lmdb::open(power),
        Some("memcached") => memcached::connect(),
        Some("redb") => redb::open(power),
        Some("redis") => redis::connect(),
        _ => panic!("who?"),
    };
    subject.serve();
}

fn here(name: &str) -> PathBuf {
    env::current_dir().expect("a directory").join(name)
}
