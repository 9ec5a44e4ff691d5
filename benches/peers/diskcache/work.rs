//! A process of the benchmark, on diskette. The other side, in the same words, is work.py.

use std::collections::BTreeMap;
use std::io::{Write, stdin, stdout};
use std::path::Path;
use std::time::Instant;

use diskette::{Cache, Policy};
use serde_bytes::ByteBuf;

use crate::report::Measured;

const KEYS: u64 = 100;
const WARM_UP: u64 = 1000;

/// What diskcache is by default.
fn open(directory: &Path) -> Cache<ByteBuf, ByteBuf> {
    let options = Cache::options()
        .max_bytes(1 << 30)
        .policy(Policy::LeastRecentlyStored);
    options.open(directory).expect("a cache")
}

pub(crate) fn fill(directory: &Path) {
    let cache = open(directory);
    for key in 0..KEYS {
        let text = ByteBuf::from(key.to_string());
        cache.insert(&text, &text).expect("an insert");
    }
}

#[allow(clippy::disallowed_methods)]
pub(crate) fn work(directory: &Path, number: u64, operations: u64) {
    let cache = open(directory);
    let mut random = numbers(number + 1);
    let mut next = |below| random.next().unwrap_or_default() % below;
    println!("ready");
    stdin().read_line(&mut String::new()).expect("a start");
    let mut measured: BTreeMap<&str, Measured> = BTreeMap::new();
    for n in 0..operations {
        let key = ByteBuf::from(next(KEYS).to_string());
        let value = ByteBuf::from(n.to_string().repeat(1 + next(99) as usize));
        let choice = next(1000);
        let start = Instant::now();
        let (name, found) = if choice < 900 {
            ("get", cache.get(&key).expect("a get").is_some())
        } else if choice < 990 {
            cache.insert(&key, &value).expect("an insert");
            ("set", true)
        } else {
            ("delete", cache.delete(&key).expect("a delete"))
        };
        let took = start.elapsed();
        if n > WARM_UP {
            measured.entry(name).or_default().add(took, found);
        }
    }
    println!("{}", serde_json::to_string(&measured).expect("numbers"));
    stdout().flush().expect("a parent that listens");
}

/// The same for both sides.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let step = |state: &u64| {
        Some(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407),
        )
    };
    std::iter::successors(step(&seed), step).map(|state| state >> 33)
}
