//! Rates as text.

use std::time::Duration;

use diskette_throttle::Rate;
use proptest::prelude::*;

#[test]
fn rates_are_written_as_people_write_them() {
    for (text, rate) in [
        ("10/s", Rate::per_second(10)),
        ("600/min", Rate::per_minute(600)),
        ("1000/h", Rate::per_hour(1000)),
        ("1/7d", Rate::new(1, Duration::from_secs(7 * 24 * 3600))),
        ("5/2s", Rate::new(5, Duration::from_secs(2))),
        ("3/1500ms", Rate::new(3, Duration::from_millis(1500))),
        ("1/us", Rate::new(1, Duration::from_micros(1))),
        ("20/s burst 5", Rate::per_second(20).burst(5)),
    ] {
        assert_eq!(text.parse::<Rate>().unwrap(), rate);
        assert_eq!(rate.to_string(), text);
    }
    assert_eq!("60/60s".parse::<Rate>().unwrap(), Rate::per_minute(60));
    assert_eq!("1/s burst 1".parse::<Rate>().unwrap(), Rate::per_second(1));
}

#[test]
fn what_is_no_rate_is_refused_with_the_part_that_is_wrong() {
    for (text, why) in [
        ("", "no \"/\""),
        ("10", "no \"/\""),
        ("10 per s", "no \"/\""),
        ("/s", "\"\" is no whole number"),
        ("ten/s", "\"ten\" is no whole number"),
        ("-1/s", "\"-1\" is no whole number"),
        ("+1/s", "\"+1\" is no whole number"),
        ("1.5/s", "\"1.5\" is no whole number"),
        ("5000000000/s", "5000000000 is too large"),
        ("10/", "has no unit"),
        ("10/60", "the period \"60\" has no unit"),
        ("10/m", "\"m\" is no unit of time"),
        ("10/ s", "\" s\" is no unit of time"),
        ("10/1.5s", "\".5s\" is no unit of time"),
        ("1/99999999999999999999d", "is too long"),
        ("10/s burst", "\"s burst\" is no unit of time"),
        ("10/s burst ", "\"\" is no whole number"),
        ("10/s burst 5 ", "\"5 \" is no whole number"),
    ] {
        let error = text.parse::<Rate>().unwrap_err();
        assert!(error.is_invalid_input());
        let said = error.to_string();
        assert!(
            said.contains(why) && said.contains("10/s"),
            "{text}: {said}"
        );
        let json = serde_json::to_string(text).unwrap();
        let error = serde_json::from_str::<Rate>(&json).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let error = serde_json::from_str::<Rate>("10").unwrap_err();
    assert!(error.to_string().contains("a rate such as"), "{error}");
}

fn periods() -> impl Strategy<Value = Duration> {
    let whole = (0..100_000_u32, 0..7_usize).prop_map(|(times, unit)| {
        let units = [1, 1_000, 1_000_000, 1_000_000_000, 60_000_000_000];
        Duration::from_nanos(units[unit % units.len()]) * times
    });
    prop_oneof![whole, any::<Duration>(), Just(Duration::MAX)]
}

proptest! {
    #[test]
    fn every_rate_is_read_as_it_was_written(n: u32, per in periods(), burst: u32) {
        let rate = Rate::new(n, per).burst(burst);
        prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
        let json = serde_json::to_string(&rate).unwrap();
        prop_assert_eq!(&json, &format!("\"{rate}\""));
        prop_assert_eq!(serde_json::from_str::<Rate>(&json).unwrap(), rate);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-z/. \u{b5}]{0,20}") {
        if let Ok(rate) = text.parse::<Rate>() {
            prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
        }
    }
}
