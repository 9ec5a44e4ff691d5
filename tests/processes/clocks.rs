//! Machines whose clocks are hours apart, with one store in PostgreSQL.

use std::time::Duration;

use diskette::{Cache, Push, Queue, Rate, RetryAfter, Store, Throttle};
use diskette_testkit::{Child, PATIENCE, Postgres, Shifted, eventually, role, unique_store};

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(50);

role! {
    /// A machine whose clock is so many hours ahead: does what it is told, and says what came of it.
    fn machine(parent) {
        let clock = Shifted::ahead(HOUR * parent.arg::<u32>(1));
        let store = Store::options().clock(clock).open(parent.arg::<String>(0)).unwrap();
        let slow = Throttle::new(&store, "slow", Rate::per_hour(1).burst(2)).unwrap();
        let fast = Throttle::new(&store, "fast", Rate::per_second(20)).unwrap();
        let cache = Cache::<u32, u32>::new(&store, "cache").unwrap();
        let queue = Queue::<u32>::new(&store, "queue").unwrap();
        loop {
            let done = match &*parent.hear() {
                "try" => match slow.try_acquire().unwrap() {
                    Ok(()) => "passed",
                    Err(RetryAfter(wait)) if wait <= HOUR => "refused",
                    Err(_) => "refused for too long",
                },
                "acquire" => {
                    fast.acquire().unwrap();
                    "passed"
                }
                "keep" => {
                    cache.insert_with(&1, &1, HOUR).unwrap();
                    cache.insert_with(&2, &2, SOON).unwrap();
                    "kept"
                }
                "look" => match (cache.get(&1).unwrap(), cache.get(&2).unwrap()) {
                    (Some(1), None) => "expired",
                    (Some(1), Some(2)) => "not yet",
                    _ => "lost",
                },
                "push" => {
                    queue.push_with(&1, &Push::new().delay(HOUR)).unwrap();
                    queue.push_with(&2, &Push::new().delay(SOON)).unwrap();
                    "pushed"
                }
                "claim" => match queue.claim_timeout(PATIENCE).unwrap() {
                    Some(claim) if *claim == 2 => {
                        claim.complete_now().unwrap();
                        match queue.try_claim().unwrap() {
                            None => "only what is due",
                            Some(_) => "too early",
                        }
                    }
                    _ => "not what is due",
                },
                other => panic!("{other}?"),
            };
            parent.say(done);
        }
    }
}

/// Each went by its own clock: a rate was exceeded by what the clocks differed by, and what one had stored for an hour was
/// expired for the other.
#[test]
fn machines_go_by_the_clock_of_the_server() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.url(&unique_store());
    let mut machines = [2, 9].map(|hours| Child::spawn(machine, &[&url, &hours]));
    let mut ask = |who: usize, what: &str| {
        machines[who].say(what);
        machines[who].hear(PATIENCE)
    };
    for round in 0..3 {
        for who in [0, 1] {
            let expected = if round == 0 { "passed" } else { "refused" };
            assert_eq!(ask(who, "try"), expected);
        }
        for who in [0, 1] {
            assert_eq!(ask(who, "acquire"), "passed");
        }
    }
    for (who, other) in [(0, 1), (1, 0)] {
        assert_eq!(ask(who, "keep"), "kept");
        eventually(PATIENCE, || match &*ask(other, "look") {
            "not yet" => false,
            looked => {
                assert_eq!(looked, "expired");
                true
            }
        });
        assert_eq!(ask(who, "push"), "pushed");
        assert_eq!(ask(other, "claim"), "only what is due");
    }
}
