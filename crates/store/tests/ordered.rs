//! Instants, ids and arrays of bytes in an `Ordered` sort as their types do, over all of their range, and come back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime, Timelike, Utc};
use diskette_store::key::{self, Ordered};
use diskette_store::{Bincode, Codec, Json, MessagePack};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A key as people make them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Event<T>(Option<T>, Wrapped<T>, u8);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Wrapped<T>(T);

fn bytes<K: Serialize>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key::encode(key, &mut bytes).unwrap();
    bytes
}

fn is_ordered<K: Ord + Debug + Serialize + DeserializeOwned>(a: &K, b: &K) {
    assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(b), "{a:?} and {b:?}");
    assert_eq!(&key::decode::<K>(&bytes(a)).unwrap(), a);
}

fn comes_back<V: PartialEq + Debug + Serialize + DeserializeOwned>(value: &V) {
    fn by<C: Codec, V: PartialEq + Debug + Serialize + DeserializeOwned>(value: &V) {
        let mut bytes = Vec::new();
        C::encode(value, &mut bytes).unwrap();
        assert_eq!(&C::decode::<V>(&bytes).unwrap(), value);
    }
    by::<MessagePack, V>(value);
    by::<Json, V>(value);
    by::<Bincode, V>(value);
}

/// Seconds and nanoseconds that are often alike, of often the same second, and as far as `seconds` goes.
fn instant(seconds: std::ops::RangeInclusive<i64>) -> impl Strategy<Value = (i64, u32)> {
    let second = prop_oneof![
        -2..3i64,
        1_764_000_000..1_764_000_003i64,
        seconds.clone(),
        Just(*seconds.start()),
        Just(*seconds.end()),
    ];
    let nanosecond = prop_oneof![
        Just(0),
        Just(500_000_000),
        Just(999_999_999),
        0..1_000_000_000u32
    ];
    (second, nanosecond)
}

fn system_time() -> impl Strategy<Value = SystemTime> {
    instant(i64::MIN..=i64::MAX).prop_map(|(second, nanosecond)| {
        let seconds = Duration::from_secs(second.unsigned_abs());
        let start = match second < 0 {
            true => SystemTime::UNIX_EPOCH - seconds,
            false => SystemTime::UNIX_EPOCH + seconds,
        };
        start + Duration::from_nanos(nanosecond.into())
    })
}

/// One in two is a leap second, at the end of a minute.
fn date_time() -> impl Strategy<Value = DateTime<Utc>> {
    let seconds = DateTime::<Utc>::MIN_UTC.timestamp()..=DateTime::<Utc>::MAX_UTC.timestamp();
    (instant(seconds), any::<bool>()).prop_map(|((second, nanosecond), is_leap)| match is_leap {
        true => leap(second.div_euclid(60) * 60 + 59, nanosecond),
        false => DateTime::from_timestamp(second, nanosecond).unwrap(),
    })
}

fn leap(second: i64, nanosecond: u32) -> DateTime<Utc> {
    let start = DateTime::from_timestamp(second, 0).unwrap().naive_utc();
    let into = nanosecond + 1_000_000_000;
    start.with_nanosecond(into).unwrap().and_utc()
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let seconds = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    instant(seconds).prop_map(|(second, nanosecond)| {
        let nanoseconds = i128::from(second) * 1_000_000_000 + i128::from(nanosecond);
        Timestamp::from_nanosecond(nanoseconds).unwrap()
    })
}

/// What the format of strings would escape, among others.
fn array<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    let byte = prop_oneof![Just(0), Just(1), Just(0xFF), any::<u8>()];
    let alike = (any::<u8>(), 0..=N).prop_map(|(byte, at)| {
        let mut bytes = [0; N];
        bytes[at..].fill(byte);
        bytes
    });
    prop_oneof![
        vec(byte, N).prop_map(|bytes| bytes.try_into().unwrap()),
        alike
    ]
}

fn id() -> impl Strategy<Value = Uuid> {
    array().prop_map(Uuid::from_bytes)
}

fn event<T: Clone + Debug>(
    of: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Event<Ordered<T>>> {
    let option = prop::option::of(of.clone().prop_map(Ordered));
    (option, of.prop_map(Ordered), 0..2u8).prop_map(|(a, b, c)| Event(a, Wrapped(b), c))
}

macro_rules! ordered {
    ($($name:ident: $strategy:expr;)*) => {
        proptest! {$(
            #[test]
            fn $name(a in $strategy, b in $strategy, c in event($strategy.boxed()), d in event($strategy.boxed())) {
                is_ordered(&Ordered(a), &Ordered(b));
                is_ordered(&c, &d);
                comes_back(&c);
            }
        )*}
    };
}

ordered! {
    system_time_is_ordered: system_time();
    date_time_is_ordered: date_time();
    timestamp_is_ordered: timestamp();
    uuid_is_ordered: id();
    no_bytes_are_ordered: array::<0>();
    few_bytes_are_ordered: array::<3>();
    a_chunk_of_bytes_is_ordered: array::<16>();
    chunks_and_a_rest_are_ordered: array::<20>();
    many_bytes_are_ordered: array::<64>();
}

/// Keys of chrono and jiff came out as 0.5 s, 0 s, 1 s: as text, `…00.500Z` is before `…00Z`.
#[test]
fn half_a_second_is_after_none() {
    let key = |text: &str| bytes(&Ordered(text.parse::<Timestamp>().unwrap()));
    let (none, half) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.500Z");
    assert!(none > half && key(none) < key(half));
    assert!(key(half) < key("2026-01-01T00:00:01Z"));
}

proptest! {
    /// Chrono has them where no clock does, though its text doesn't.
    #[test]
    fn leap_seconds_within_a_minute_are_ordered(a in instant(-99..=99), b in instant(-99..=99)) {
        is_ordered(&Ordered(leap(a.0, a.1)), &Ordered(leap(b.0, b.1)));
    }

    #[test]
    fn an_instant_is_one_key_whatever_its_type(timestamp in timestamp()) {
        let key = bytes(&Ordered(timestamp));
        let time: Ordered<SystemTime> = key::decode(&key).unwrap();
        let date: Ordered<DateTime<Utc>> = key::decode(&key).unwrap();
        let since_1970 = timestamp.as_nanosecond();
        let of_date = i128::from(date.timestamp()) * 1_000_000_000 + i128::from(date.nanosecond());
        let of_time = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        prop_assert_eq!((of_date, of_time), (since_1970, since_1970));
        prop_assert_eq!((bytes(&time), bytes(&date)), (key.clone(), key));
    }

    /// A store may have keys of a plain `SystemTime`, which stay where they are.
    #[test]
    fn a_system_time_is_the_key_that_it_was(seconds in any::<i64>(), nanos in 0..1_000_000_000u32) {
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds.unsigned_abs() >> 1, nanos);
        prop_assert_eq!(bytes(&time), bytes(&Ordered(time)));
    }

    #[test]
    fn addresses_and_durations_need_none_of_this(
        (a, b) in any::<(IpAddr, IpAddr)>(),
        (c, d) in any::<(u16, u16)>(),
        (e, f) in any::<(Duration, Duration)>(),
    ) {
        is_ordered(&a, &b);
        is_ordered(&SocketAddr::new(a, c), &SocketAddr::new(a, d));
        is_ordered(&e, &f);
    }

    #[test]
    fn rotten_bytes_are_an_error_or_a_key(rotten in rotten()) {
        fn reads_as<K: Serialize + DeserializeOwned>(rotten: &[u8]) {
            match key::decode::<K>(rotten) {
                Ok(key) => assert_eq!(bytes(&key), rotten, "a key has one form only"),
                Err(error) => assert!(error.is_codec()),
            }
        }
        reads_as::<Ordered<SystemTime>>(&rotten);
        reads_as::<Ordered<DateTime<Utc>>>(&rotten);
        reads_as::<Ordered<Timestamp>>(&rotten);
        reads_as::<Ordered<Uuid>>(&rotten);
        reads_as::<Ordered<[u8; 0]>>(&rotten);
        reads_as::<Ordered<[u8; 3]>>(&rotten);
        reads_as::<Ordered<[u8; 20]>>(&rotten);
    }
}

/// Two integers as keys have them, and bytes that mean nothing.
fn rotten() -> impl Strategy<Value = Vec<u8>> {
    let integer = || (any::<i128>(), 0..128u32).prop_map(|(bits, shift)| bits >> shift);
    let second = any::<i64>().prop_map(i128::from);
    prop_oneof![
        (integer(), integer()).prop_map(|pair| bytes(&pair)),
        (second, 0..2_100_000_000u32).prop_map(|pair| bytes(&pair)),
        integer().prop_map(|one| bytes(&one)),
        vec(any::<u8>(), 0..24),
    ]
}

/// Stores are full of these bytes: a change here is a new format.
#[test]
fn the_format_is_as_documented() {
    let leap: NaiveDateTime = "2016-12-31T23:59:60.5".parse().unwrap();
    let landed: DateTime<Utc> = "1969-07-20T20:18:04.25Z".parse().unwrap();
    let golden: [(Vec<u8>, &[u8]); 8] = [
        (bytes(&Ordered(Timestamp::UNIX_EPOCH)), b"\x20\x20"),
        (
            bytes(&Ordered(Timestamp::from_nanosecond(-1).unwrap())),
            b"\x1f\xff\xe3\x3b\x9a\xc9\xff",
        ),
        (
            bytes(&Ordered(landed)),
            b"\x1d\x27\x95\xfc\xe3\x0e\xe6\xb2\x80",
        ),
        (
            bytes(&Ordered(leap.and_utc())),
            b"\xe3\x58\x68\x46\x7f\xe3\x59\x68\x2f\x00",
        ),
        (bytes(&Ordered(Uuid::nil())), b"\x20"),
        (
            bytes(&Ordered(Uuid::max())),
            b"\xef\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ),
        (bytes(&Ordered([1, 0, 2])), b"\xe2\x01\x00\x02"),
        (bytes(&Ordered([0; 20])), b"\x20\x20"),
    ];
    for (written, golden) in golden {
        assert_eq!(written, golden);
    }
    let hash = [0xAB; 32];
    assert_eq!(bytes(&Ordered(hash)).len(), 34);
}

/// Serde buffers what is in a tagged enum, and then says of any format that people read it.
#[test]
fn a_tagged_enum_gives_back_what_it_holds() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Tagged {
        All {
            time: Ordered<SystemTime>,
            date: Ordered<DateTime<Utc>>,
            timestamp: Ordered<Timestamp>,
            id: Ordered<Uuid>,
        },
    }
    fn comes_back<C: Codec>(value: &Tagged) {
        let mut bytes = Vec::new();
        C::encode(value, &mut bytes).unwrap();
        assert_eq!(&C::decode::<Tagged>(&bytes).unwrap(), value);
    }
    let all = Tagged::All {
        time: Ordered(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)),
        date: Ordered(DateTime::<Utc>::MAX_UTC),
        timestamp: Ordered(Timestamp::MIN),
        id: Ordered(Uuid::max()),
    };
    comes_back::<MessagePack>(&all);
    comes_back::<Json>(&all);
}

#[test]
fn people_read_text_in_json() {
    let mut written = Vec::new();
    let time: DateTime<Utc> = "2026-01-01T00:00:00.500Z".parse().unwrap();
    Json::encode(&(Ordered(time), Ordered(Uuid::nil())), &mut written).unwrap();
    assert_eq!(
        String::from_utf8(written).unwrap(),
        r#"["2026-01-01T00:00:00.500Z","00000000-0000-0000-0000-000000000000"]"#
    );
}

#[test]
fn what_another_type_cannot_hold_is_an_error_that_says_so() {
    let last = bytes(&Ordered(DateTime::<Utc>::MAX_UTC));
    let error = key::decode::<Ordered<Timestamp>>(&last).unwrap_err();
    assert!(error.is_codec());
    let message = error.to_string();
    assert!(message.contains("out of the range of jiff::"), "{message}");

    let four = bytes(&Ordered([1, 2, 3, 4]));
    let message = key::decode::<Ordered<[u8; 3]>>(&four)
        .unwrap_err()
        .to_string();
    assert!(message.contains("more than the 3 bytes"), "{message}");
}
