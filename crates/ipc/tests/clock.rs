//! What all processes agree on.
#![allow(clippy::unwrap_used)]

use diskette_ipc::{Clock, SystemClock};
use diskette_testkit::{Child, PATIENCE, role};

role! {
    fn reader(parent) {
        let reading = SystemClock::new().unwrap().read();
        parent.say(format!("{} {}", reading.boot, reading.uptime.as_nanos()));
        parent.hear();
    }
}

#[test]
fn the_run_of_the_system_and_its_uptime_are_the_same_in_every_process() {
    let clock = SystemClock::new().unwrap();
    let before = clock.read();
    let said = Child::spawn(reader, &[]).hear(PATIENCE);
    let after = clock.read();

    let (boot, uptime) = said.split_once(' ').unwrap();
    assert_eq!(boot.parse(), Ok(before.boot));
    let uptime: u128 = uptime.parse().unwrap();
    assert!((before.uptime.as_nanos()..after.uptime.as_nanos()).contains(&uptime));
}
