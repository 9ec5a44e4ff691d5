//! What is refused, and how it is said.

use std::time::Duration;

use diskette_store::{Access, Error, Store};
use diskette_throttle::{Chain, ManualClock, Rate, Throttle};

use crate::{HOUR, SECOND, named, passed, retry_after, store, throttle};

#[test]
fn the_rates_are_recorded() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    assert!(Throttle::find(&store, "calls").unwrap().is_none());
    let rate = Rate::per_second(20).burst(5);
    let calls = throttle(&store, &clock, rate);
    assert_eq!(passed(&calls), 5);

    let other = Throttle::new(&store, "calls", [rate, Rate::per_hour(100)]);
    let error = other.unwrap_err();
    assert!(error.is_invalid_input());
    let said = error.to_string();
    assert!(
        said.contains("it has 20/s burst 5, and was asked for with 20/s burst 5 and 100/h"),
        "{said}"
    );
    assert!(
        said.contains("Throttle::find") && said.contains("open_or_set"),
        "{said}"
    );

    let options = Throttle::options().clock(clock);
    let found = options.find(&store, "calls").unwrap().unwrap();
    assert_eq!(found.rates().unwrap(), [rate]);
    assert_eq!((found.name(), passed(&found)), ("calls", 0));
}

#[test]
fn a_new_release_opens_it_with_other_rates_which_hold_for_the_old_one_too() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let open_or_set = |rate| {
        let options = Throttle::options().clock(clock.clone());
        options.open_or_set(&store, "calls", rate)
    };
    let slow = Rate::per_hour(1).burst(2);
    let old = open_or_set(slow).unwrap(); // there was none
    assert_eq!(passed(&old), 2);
    open_or_set(slow).unwrap();
    assert_eq!(retry_after(&old), HOUR); // nothing was refilled

    let fast = Rate::per_second(1);
    let new = open_or_set(fast).unwrap();
    assert_eq!([old.rates().unwrap(), new.rates().unwrap()], [[fast]; 2]);
    assert_eq!(retry_after(&old), SECOND); // what has passed counts under the new rates

    assert!(
        open_or_set(Rate::per_second(0))
            .unwrap_err()
            .is_invalid_input()
    );
    let within = store.transaction(|_tx| open_or_set(slow).map(drop));
    assert!(within.unwrap_err().is_misuse());
    assert_eq!(old.rates().unwrap(), [fast]);
}

#[test]
fn rates_that_let_nobody_through_are_refused() {
    let (_dir, store) = store();
    let calls = Throttle::new(&store, "calls", Rate::per_second(1)).unwrap();
    for (rate, why) in [
        (Rate::per_second(0), "lets nobody through"),
        (Rate::new(1, Duration::ZERO), "lets nobody through"),
        (Rate::per_second(1).burst(0), "at least 1"),
        (Rate::new(1001, Duration::from_micros(1)), "nanosecond"),
        (Rate::new(1, Duration::MAX), "ten years"),
        (Rate::per_hour(1).burst(u32::MAX), "ten years"),
    ] {
        let new = Throttle::new(&store, "new", rate).unwrap_err();
        let set = calls.set_rates(rate).unwrap_err();
        for error in [new, set] {
            assert!(error.is_invalid_input());
            assert!(error.to_string().contains(why), "{error}");
        }
    }
    assert!(
        Throttle::new(&store, "new", [])
            .unwrap_err()
            .is_invalid_input()
    );
    assert!(
        calls
            .set_rates([Rate::per_second(1); 17])
            .unwrap_err()
            .is_invalid_input()
    );
    assert!(Throttle::find(&store, "new").unwrap().is_none());
    assert_eq!(calls.rates().unwrap(), [Rate::per_second(1)]);
}

#[test]
fn a_weight_of_nothing_or_above_the_burst_is_refused() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(20).burst(5));
    for weight in [0, 6] {
        let error = calls.try_acquire_n(weight).unwrap_err();
        assert!(error.is_invalid_input());
        assert!(calls.acquire_n(weight).unwrap_err().is_invalid_input());
        assert!(calls.reserve_n(weight).unwrap_err().is_invalid_input());
        let timed = calls.acquire_n_timeout(weight, SECOND);
        assert!(timed.unwrap_err().is_invalid_input());
    }
    let place = format!(
        "try_acquire on the throttle \"calls\" in {}: ",
        store.path().display()
    );
    let said = calls.try_acquire_n(6).unwrap_err().to_string();
    assert!(said.starts_with(&place), "{said}");
    assert!(
        said.contains("a weight of 6 is above the burst of 5"),
        "{said}"
    );
    assert_eq!(passed(&calls), 5);
}

#[test]
fn throttles_of_several_stores_and_transactions_of_another_are_refused() {
    let ((_dir, here), (_other_dir, there)) = (store(), store());
    let clock = ManualClock::new();
    let (calls, others) = (
        throttle(&here, &clock, Rate::per_second(1)),
        throttle(&there, &clock, Rate::per_second(1)),
    );
    let error = calls.and(&others).try_acquire().unwrap_err();
    assert!(error.is_misuse());
    assert!(error.to_string().contains("in one store"), "{error}");
    assert!(calls.and(&others).acquire().unwrap_err().is_misuse());
    let result = there.transaction(|tx| calls.within(tx).try_acquire());
    assert!(result.unwrap_err().is_misuse());
    assert!(Chain::new(&[]).unwrap_err().is_invalid_input());
    assert_eq!((passed(&calls), passed(&others)), (1, 1));
}

#[test]
fn a_rotten_row_is_reported_and_never_believed() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let next = calls.reserve().unwrap();
    let sound = meter(&store);
    for rotten in [
        vec![],
        sound[..sound.len() - 1].to_vec(),
        [&sound[..], &sound[48..]].concat()[..sound.len() + 3].to_vec(),
        sound.iter().map(|byte| !byte).collect(),
        vec![0xff; 1 << 20],
    ] {
        set(&store, "meter", &rotten);
        assert!(calls.try_acquire().unwrap_err().is_corrupt());
        assert!(calls.acquire().unwrap_err().is_corrupt());
        assert!(
            calls
                .set_rates(Rate::per_second(2))
                .unwrap_err()
                .is_corrupt()
        );
    }
    set(&store, "meter", &sound);
    set(&store, "rates", &[0; 16]);
    assert!(calls.try_acquire().unwrap_err().is_corrupt());
    assert!(
        Throttle::new(&store, "calls", Rate::per_second(1))
            .unwrap_err()
            .is_corrupt()
    );
    drop(next);
    store
        .write(|db| db.execute("DELETE FROM throttles WHERE id = $1", &[1.into()]))
        .unwrap();
    assert!(calls.rates().unwrap_err().is_corrupt());
}

#[test]
fn a_quiet_throttle_takes_48_bytes_and_no_more_than_ten_thousand_wait() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let calls = throttle(&store, &clock, Rate::per_second(1));
    calls.acquire().unwrap();
    let header = meter(&store);
    assert_eq!(header.len(), 48);
    let next = calls.reserve().unwrap();
    let appointment = &meter(&store)[48..];
    let crowd = [&header[..], &appointment.repeat(10_000)[..]].concat();
    set(&store, "meter", &crowd);
    let error = calls.reserve().unwrap_err();
    assert!(error.is_full(), "{error}");
    assert!(calls.acquire_timeout(HOUR).unwrap().is_err());
    next.cancel().unwrap();
    assert_eq!(retry_after(&calls), SECOND);
}

#[test]
fn all_throttles_of_a_store_are_rows_of_one_table() {
    let ((_dir, store), clock) = (store(), ManualClock::new());
    let rate = Rate::per_second(1);
    let hosts = ["a", "b", "c"].map(|host| named(&store, &clock, host, rate));
    assert_eq!(hosts.each_ref().map(passed), [1, 1, 1]);
    let rows = "SELECT count(*) FROM throttles";
    let rows = store.read_one(|db| db.query_one(rows, &[], |row| row.int(0)));
    assert_eq!(rows.unwrap(), Some(3));
    assert!(store.check().unwrap().is_sound());
}

fn meter(store: &Store) -> Vec<u8> {
    let meter = "SELECT meter FROM throttles";
    let meter = store.read_one(|db| db.query_one(meter, &[], |row| Ok(row.blob(0)?.to_vec())));
    meter.unwrap().unwrap()
}

fn set(store: &Store, column: &str, bytes: &[u8]) {
    let set = format!("UPDATE throttles SET {column} = $1");
    let set = store.write(|db| db.execute(&set, &[bytes.into()]));
    assert_eq!(set.map_err(|error: Error| error.to_string()), Ok(1));
}
