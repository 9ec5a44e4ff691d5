//! Structures in PostgreSQL, beside the same transactions by the client itself.
//!
//! `cargo bench --bench postgres`, or `-- PART` for one of push, pop, get, cost, wake, waiters and move only. In the last a store of 1 GB moves
//! there while others write to it. A server of its own is started, which syncs to the disk as it is shipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that fails has nothing to say"
)]

mod moving;
mod raw;

use std::env;
use std::thread;
use std::time::Duration;

use diskette::{Deque, Index, Store};
use diskette_benches::scaled;
use diskette_ipc::clock::{self, uptime};
use diskette_testkit::{Child, PATIENCE, Postgres, cpu_time, is_child, role, unique_store};

use crate::raw::Raw;

const TIME: Duration = Duration::from_millis(scaled(2000, 20));
const ROUNDS: usize = scaled(3, 1);
const ENTRIES: u64 = scaled(1000, 20);
const ITEMS: u64 = scaled(50_000, 500);
const CALLS: u32 = scaled(2000, 20);
const WAKE_UPS: u32 = scaled(300, 5);
const VALUE: [u8; 30] = [7; 30];

role! {
    /// Pops what comes, and says when it had it.
    fn popper(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let todo = Deque::<u64>::new(&store, "wake").unwrap();
        parent.say("ready");
        while todo.pop_front_timeout(PATIENCE).unwrap().is_some() {
            parent.say(uptime().as_nanos());
        }
    }
}

role! {
    /// Says when it was notified.
    fn listener(parent) {
        let mut raw = Raw::connect(&parent.arg::<String>(0));
        raw.batch("LISTEN raw");
        parent.say("ready");
        loop {
            raw.hear();
            parent.say(uptime().as_nanos());
        }
    }
}

role! {
    /// Removes what it was notified of, and says when it had.
    fn remover(parent) {
        let url = parent.arg::<String>(0);
        let (mut raw, mut removing) = (Raw::connect(&url), Raw::connect(&url));
        raw.batch("LISTEN raw");
        removing.pop();
        parent.say("ready");
        loop {
            raw.hear();
            removing.pop();
            parent.say(uptime().as_nanos());
        }
    }
}

role! {
    /// Has as many threads wait as it is told.
    fn waiters(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let todo = Deque::<u64>::new(&store, "wake").unwrap();
        thread::scope(|scope| {
            for _ in 0..parent.arg::<usize>(1) {
                scope.spawn(|| while todo.pop_front_timeout(PATIENCE).unwrap().is_some() {});
            }
            parent.say("ready");
        });
    }
}

role! {
    /// Pushes as fast as it can.
    fn pusher(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let todo = Deque::<u64>::new(&store, "wake").unwrap();
        parent.say("ready");
        while todo.push_back(&1).is_ok() {}
    }
}

fn main() {
    if is_child() {
        [
            popper as fn(),
            listener,
            remover,
            waiters,
            pusher,
            moving::write,
        ]
        .iter()
        .for_each(|role| role());
        return;
    }
    if !diskette_benches::is_asked_for() {
        return;
    }
    let settings = [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
    ];
    let Some(server) = Postgres::private(&settings) else {
        return;
    };
    let part = env::args().skip(1).find(|it| !it.starts_with('-'));
    let is_wanted = |it: &str| part.as_ref().is_none_or(|part| part == it);
    operations(&server, &is_wanted);
    if is_wanted("move") {
        moving::measure(&server);
    }
}

fn operations(server: &Postgres, is_wanted: &dyn Fn(&str) -> bool) {
    let url = server.url(&unique_store());
    let store = Store::open(&url).unwrap();
    Raw::connect(&url).make_tables();
    println!(
        "calls a second of all clients (medians of {ROUNDS} rounds of {TIME:?}); values of 30 bytes\n"
    );
    println!("{:<34} {:>9} {:>9} {:>7}", "", "raw", "diskette", "ratio");
    let todo = Deque::new(&store, "todo").unwrap();
    for clients in [1, 8, 64] {
        if is_wanted("push") {
            pushes(&url, &todo, clients);
        }
        if is_wanted("pop") {
            pops(&url, &todo, clients);
        }
    }
    if is_wanted("get") {
        gets(&url, &store);
    }
    if is_wanted("cost") {
        costs(server, &url, &store);
    }
    if is_wanted("wake") {
        wake_ups(&url, &store);
    }
    if is_wanted("waiters") {
        idle_waiters(&url);
    }
}

fn pushes(url: &str, todo: &Deque<[u8; 30]>, clients: usize) {
    let raw = median(|| rate(clients, || Raw::connect(url), |raw| raw.push(&VALUE)));
    let push = |todo: &mut Deque<_>| todo.push_back(&VALUE).unwrap();
    let ours = median(|| rate(clients, || todo.clone(), push));
    compare(&format!("Deque::push_back, {clients} clients"), raw, ours);
}

fn pops(url: &str, todo: &Deque<[u8; 30]>, clients: usize) {
    stock(url, todo);
    let raw = median(|| rate(clients, || Raw::connect(url), Raw::pop));
    let pop = |todo: &mut Deque<[u8; 30]>| {
        let popped = todo.pop_front().unwrap().is_some();
        assert!(scaled(popped, true));
    };
    let ours = median(|| rate(clients, || todo.clone(), pop));
    compare(&format!("Deque::pop_front, {clients} clients"), raw, ours);
}

/// What is popped.
fn stock(url: &str, todo: &Deque<[u8; 30]>) {
    todo.extend((0..ITEMS).map(|_| VALUE)).unwrap();
    Raw::connect(url).stock(ITEMS);
}

/// Processor time of a call, while there is one client.
fn costs(server: &Postgres, url: &str, store: &Store) {
    let todo = Deque::<[u8; 30]>::new(store, "cost").unwrap();
    let entries = Index::<u64, [u8; 30]>::new(store, "cost of get").unwrap();
    entries.insert(&1, &VALUE).unwrap();
    stock(url, &todo);
    let mut raw = Raw::connect(url);
    let key = u64::MAX.to_be_bytes();
    raw.insert(&key, &VALUE);
    println!(
        "\nprocessor time of a call, one client, in microseconds: of the client, of the server"
    );
    let cost = |what: &str, call: &mut dyn FnMut()| {
        (0..20).for_each(|_| call());
        let (me, sessions) = (std::process::id(), server.sessions());
        let spent = || {
            let of_sessions = sessions.iter().map(|&it| cpu_time(it)).sum();
            [cpu_time(me), of_sessions].map(|time: Duration| time.as_secs_f64() * 1e6)
        };
        let before = spent();
        (0..CALLS).for_each(|_| call());
        let after = spent();
        let [client, server] = [0, 1].map(|it| (after[it] - before[it]) / f64::from(CALLS));
        println!("{what:<34} {client:>9.1} {server:>9.1}");
    };
    cost("push, raw", &mut || raw.push(&VALUE));
    cost("Deque::push_back", &mut || todo.push_back(&VALUE).unwrap());
    cost("pop, raw", &mut || raw.pop());
    cost("Deque::pop_front", &mut || {
        assert!(todo.pop_front().unwrap().is_some())
    });
    cost("get, raw", &mut || raw.get(&key));
    cost("Index::get", &mut || {
        assert!(entries.get(&1).unwrap().is_some())
    });
}

fn gets(url: &str, store: &Store) {
    let entries = Index::<u64, [u8; 30]>::new(store, "entries").unwrap();
    entries
        .extend((0..ENTRIES).map(|key| (key, VALUE)))
        .unwrap();
    let mut raw = Raw::connect(url);
    (0..ENTRIES).for_each(|key| raw.insert(&key.to_be_bytes(), &VALUE));
    for clients in [1, 8] {
        let raw = median(|| {
            rate(
                clients,
                || (Raw::connect(url), 0_u64),
                |(raw, n)| {
                    *n += 1;
                    raw.get(&(*n % ENTRIES).to_be_bytes());
                },
            )
        });
        let ours = median(|| {
            rate(
                clients,
                || (entries.clone(), 0_u64),
                |(entries, n)| {
                    *n += 1;
                    entries.get(&(*n % ENTRIES)).unwrap().unwrap();
                },
            )
        });
        compare(&format!("Index::get, {clients} clients"), raw, ours);
    }
}

/// From before the push, or the NOTIFY, to the moment at which the other process has it.
fn wake_ups(url: &str, store: &Store) {
    let wake = Deque::<u64>::new(store, "wake").unwrap();
    let mut raw = Raw::connect(url);
    let measure = |child: &mut Child, mut call: Box<dyn FnMut() + '_>| {
        assert_eq!(child.hear(PATIENCE), "ready");
        let mut times: Vec<_> = (0..WAKE_UPS)
            .map(|_| {
                // It is asleep by then.
                clock::sleep(Duration::from_millis(3));
                let before = uptime().as_nanos();
                call();
                child.hear(PATIENCE).parse::<u128>().unwrap() - before
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2] as f64 / 1000.0
    };
    let mut child = Child::spawn(listener, &[&url]);
    let raw = measure(&mut child, Box::new(|| raw.batch("NOTIFY raw")));
    let mut child = Child::spawn(remover, &[&url]);
    let mut removed = Raw::connect(url);
    let removed = measure(&mut child, Box::new(|| removed.push_and_notify(&VALUE)));
    let mut child = Child::spawn(popper, &[&url]);
    let ours = measure(&mut child, Box::new(|| wake.push_back(&1).unwrap()));
    println!(
        "\nto wake another process, median: raw LISTEN and NOTIFY {raw:.0} µs, with an item in a table {removed:.0} µs, \
         a waiting pop {ours:.0} µs: {:.2} x, {:.2} x",
        ours / raw,
        ours / removed
    );
}

/// What others commit while somebody pushes, without and with many who wait for it.
fn idle_waiters(url: &str) {
    let mut raw = Raw::connect(url);
    let mut commits = |threads: usize| {
        let mut waiting = Child::spawn(waiters, &[&url, &threads]);
        let mut pushing = Child::spawn(pusher, &[&url]);
        for child in [&mut waiting, &mut pushing] {
            assert_eq!(child.hear(PATIENCE), "ready");
        }
        raw.commits(TIME) as f64 / TIME.as_secs_f64()
    };
    let (one, many) = (commits(1), commits(64));
    println!(
        "commits of an unrelated table a second beside a pusher: {one:.0} with 1 who waits, {many:.0} with 64: {:.2} x",
        many / one
    );
}

/// Calls a second, of so many threads together.
fn rate<C: Send>(
    clients: usize,
    client: impl Fn() -> C + Sync,
    call: impl Fn(&mut C) + Sync,
) -> f64 {
    let begin = std::sync::Barrier::new(clients);
    let calls: u64 = thread::scope(|scope| {
        let all: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = client();
                    call(&mut client);
                    begin.wait();
                    let end = clock::now() + TIME;
                    let mut calls = 0;
                    while clock::now() < end {
                        call(&mut client);
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    calls as f64 / TIME.as_secs_f64()
}

fn median(round: impl Fn() -> f64) -> f64 {
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn compare(what: &str, raw: f64, ours: f64) {
    println!("{what:<34} {raw:>9.0} {ours:>9.0} {:>7.2}", ours / raw);
}
