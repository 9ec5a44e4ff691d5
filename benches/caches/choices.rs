use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use diskette::{Cache, Policy, Store};
use diskette_benches::scaled;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};

const REQUESTS: usize = scaled(200_000, 500);
const CAPACITY: u64 = scaled(1_000, 20);

/// Keys that are asked for, and how many of them a cache may have.
struct Load {
    name: String,
    keys: Vec<u64>,
    capacity: u64,
}

const POLICIES: [Policy; 4] = [
    Policy::Sieve,
    Policy::LeastRecentlyUsed,
    Policy::LeastFrequentlyUsed,
    Policy::LeastRecentlyStored,
];

pub(crate) fn compare(trace: Option<&str>) {
    let mut loads = vec![
        zipf(10_000, 0.9, CAPACITY / 2),
        zipf(10_000, 0.9, CAPACITY),
        scanned(zipf(10_000, 0.9, CAPACITY)),
        shifting(CAPACITY),
    ];
    loads.extend(trace.into_iter().flat_map(of_trace));
    print!("{:<46}{:>10}", "share of reads that hit, in %", "capacity");
    for policy in POLICIES {
        print!("{:>22}", format!("{policy:?}"));
    }
    println!("{:>10}{:>13}", "moka", "quick_cache");
    for load in loads {
        print!("{:<46}{:>10}", load.name, load.capacity);
        for policy in POLICIES {
            print!("{:>22.1}", share(&load, ours(&load, policy)));
        }
        println!(
            "{:>10.1}{:>13.1}",
            share(&load, moka(&load)),
            share(&load, quick(&load))
        );
    }
}

fn share(load: &Load, hits: usize) -> f64 {
    100.0 * hits as f64 / load.keys.len() as f64
}

fn ours(load: &Load, policy: Policy) -> usize {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    let store = Store::open(dir.path().join("store")).expect("a store");
    let options = Cache::<u64, ()>::options().max_entries(load.capacity);
    let cache = options
        .policy(policy)
        .new(&store, "cache")
        .expect("a cache");
    let miss = |&key: &u64| {
        let found = cache.get(&key).expect("a read").is_some();
        if !found {
            cache.insert(&key, &()).expect("a write");
        }
        found
    };
    load.keys.iter().filter(|key| miss(key)).count()
}

fn moka(load: &Load) -> usize {
    let cache = moka::sync::Cache::new(load.capacity);
    let hit = |key: &u64| {
        let found = cache.get(key).is_some();
        if !found {
            cache.insert(*key, ());
        }
        // It works in batches, in the background otherwise.
        cache.run_pending_tasks();
        found
    };
    load.keys.iter().filter(|key| hit(key)).count()
}

fn quick(load: &Load) -> usize {
    let cache = quick_cache::sync::Cache::new(usize::try_from(load.capacity).expect("a capacity"));
    let hit = |key: &u64| {
        let found = cache.get(key).is_some();
        if !found {
            cache.insert(*key, ());
        }
        found
    };
    load.keys.iter().filter(|key| hit(key)).count()
}

/// Few keys are asked for often, as pages of a site are.
fn zipf(keys: u32, exponent: f64, capacity: u64) -> Load {
    let mut random = StdRng::seed_from_u64(7);
    let zipf = Zipf::new(f64::from(keys), exponent).expect("a distribution");
    Load {
        name: format!("Zipf {exponent} of {keys}"),
        keys: (0..REQUESTS)
            .map(|_| zipf.sample(&mut random) as u64)
            .collect(),
        capacity,
    }
}

/// Now and then somebody reads three times as many keys as the cache holds, each once.
fn scanned(mut load: Load) -> Load {
    let mut next = 1 << 32;
    let keys = load.keys.chunks(20_000).flat_map(|chunk| {
        let scan = next..next + 3 * load.capacity;
        next = scan.end;
        chunk.iter().copied().chain(scan).collect::<Vec<_>>()
    });
    load.keys = keys.collect();
    load.name += ", with scans of 3 x the capacity";
    load
}

/// What is asked for often changes.
fn shifting(capacity: u64) -> Load {
    let mut random = StdRng::seed_from_u64(8);
    let zipf = Zipf::new(5_000.0, 0.9).expect("a distribution");
    let hash = BuildHasherDefault::<DefaultHasher>::new();
    let keys = (0..REQUESTS).map(|n| {
        let season = (n / 20_000) as u64 + u64::from(random.random_bool(0.1));
        hash.hash_one((season, zipf.sample(&mut random) as u64))
    });
    Load {
        name: "Zipf 0.9 of 5000, others every 20,000 reads".into(),
        keys: keys.collect(),
        capacity,
    }
}

/// Caches of a hundredth and a tenth of the keys that there are.
fn of_trace(trace: &str) -> Vec<Load> {
    let hash = BuildHasherDefault::<DefaultHasher>::new();
    let keys: Vec<_> = trace.lines().map(|line| hash.hash_one(line)).collect();
    let different = keys.iter().collect::<HashSet<_>>().len() as u64;
    let load = |part: u64| Load {
        name: format!("the trace, {} reads of {different} keys", keys.len()),
        keys: keys.clone(),
        capacity: (different / part).max(1),
    };
    [100, 10].map(load).into()
}
