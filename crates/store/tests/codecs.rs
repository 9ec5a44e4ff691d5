//! What each codec takes it gives back; what it can't give back it refuses; and rotten bytes do no harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap, LinkedList};
use std::ffi::{CString, OsString};
use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use diskette_store::{Bincode, Codec, Error, Json, MessagePack, Zstd};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rich {
    flag: bool,
    small: (i8, u16, char),
    large: (i64, u64, i128, u128),
    single: f32,
    double: f64,
    text: String,
    bytes: Vec<u8>,
    array: [u32; 3],
    option: Option<String>,
    list: Vec<Kind>,
    map: BTreeMap<String, Vec<u64>>,
    path: PathBuf,
    unit: (),
    wrapped: Wrapped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Option<Box<Wrapped>>, f64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    One(String),
    Boxed(Box<Kind>),
    Two(u8, Box<Kind>),
    Named { size: i32, inside: Vec<Kind> },
}

/// Recursive by sequences alone.
#[derive(Debug, Deserialize)]
struct Tree(#[expect(dead_code)] Vec<Tree>);

/// Reads itself without reading a byte, unless there is nothing.
#[derive(Debug, Deserialize)]
struct Endless(#[expect(dead_code)] Option<Box<Endless>>);

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![Just(Kind::Plain), any::<String>().prop_map(Kind::One)];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Kind::Boxed(Box::new(inner))),
            (any::<u8>(), inner.clone()).prop_map(|(size, inner)| Kind::Two(size, Box::new(inner))),
            (any::<i32>(), vec(inner, 0..3))
                .prop_map(|(size, inside)| Kind::Named { size, inside }),
        ]
    })
}

fn rich() -> impl Strategy<Value = Rich> {
    let numbers = (
        any::<bool>(),
        any::<(i8, u16, char)>(),
        any::<(i64, u64, i128, u128)>(),
    );
    let floats = (any::<f32>(), any::<f64>(), any::<[u32; 3]>());
    let texts = (
        any::<String>(),
        vec(any::<u8>(), 0..40),
        any::<Option<String>>(),
        any::<String>(),
    );
    let nested = (
        vec(kind(), 0..4),
        btree_map(any::<String>(), any::<Vec<u64>>(), 0..3),
    );
    (numbers, floats, texts, nested).prop_map(|(numbers, floats, texts, nested)| Rich {
        flag: numbers.0,
        small: numbers.1,
        large: numbers.2,
        single: floats.0,
        double: floats.1,
        array: floats.2,
        text: texts.0,
        bytes: texts.1,
        option: texts.2,
        path: texts.3.into(),
        list: nested.0,
        map: nested.1,
        unit: (),
        wrapped: Wrapped(Some(Box::new(Wrapped(None, floats.1))), 0.5),
    })
}

fn encode<C: Codec>(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut bytes = b"before".to_vec();
    C::encode(value, &mut bytes).unwrap();
    bytes.split_off(b"before".len())
}

fn refusal<T>(result: Result<T, Error>) -> String {
    let error = result.err().expect("refused");
    assert!(error.is_codec(), "{error}");
    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn comes_back<C: Codec, T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = encode::<C>(value);
    assert_eq!(&C::decode::<T>(&bytes).unwrap(), value);

    let mut file = Vec::new();
    C::encode_to(value, &mut file).unwrap();
    assert_eq!(file, bytes);
    let length = file.len() as u64;
    assert_eq!(&C::decode_from::<T, _>(&*file, length).unwrap(), value);
    refusal(C::decode_from::<T, _>(&*file, length + 1));
    refusal(C::decode_from::<T, _>(&*file, length - 1));

    for cut in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
        refusal(C::decode::<T>(&bytes[..cut]));
    }
    for extra in [0x00, 0x01, b'x', 0x91, 0xC0, 0xC1, 0xFF] {
        refusal(C::decode::<T>(&[&*bytes, &[extra]].concat()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_come_back(value in rich()) {
        comes_back::<Bincode, _>(&value);
        comes_back::<MessagePack, _>(&value);
        comes_back::<Json, _>(&value);
        comes_back::<Zstd<Bincode>, _>(&value);
        comes_back::<Zstd<MessagePack>, _>(&value);
        comes_back::<Zstd<Json>, _>(&value);
    }

    #[test]
    fn floats_come_back_to_the_bit(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assert_eq!(Bincode::decode::<f64>(&encode::<Bincode>(&float)).unwrap().to_bits(), bits);
        prop_assert_eq!(MessagePack::decode::<f64>(&encode::<MessagePack>(&float)).unwrap().to_bits(), bits);
        if float.is_finite() {
            prop_assert_eq!(Json::decode::<f64>(&encode::<Json>(&float)).unwrap().to_bits(), bits);
        }
    }
}

proptest! {
    #[test]
    fn rotten_bytes_do_no_harm(noise in vec(any::<u8>(), 0..64), value in rich(), at in any::<prop::sample::Index>()) {
        fn survives<C: Codec>(noise: &[u8], value: &Rich, at: prop::sample::Index) {
            reads_as_anything::<C>(noise);
            let mut bytes = encode::<C>(value);
            let at = at.index(bytes.len());
            for (byte, noise) in bytes[at..].iter_mut().zip(&noise[..noise.len().min(3)]) {
                *byte = *noise;
            }
            reads_as_anything::<C>(&bytes);
            reads_as_anything::<C>(&bytes[at..]);
        }
        survives::<Bincode>(&noise, &value, at);
        survives::<MessagePack>(&noise, &value, at);
        survives::<Json>(&noise, &value, at);
        survives::<Zstd<Bincode>>(&noise, &value, at);
        survives::<Zstd<MessagePack>>(&noise, &value, at);
        survives::<Zstd<Json>>(&noise, &value, at);
    }
}

fn reads_as_anything<C: Codec>(bytes: &[u8]) {
    fn reads_as<C: Codec, T: DeserializeOwned>(bytes: &[u8]) {
        if let Err(error) = C::decode::<T>(bytes) {
            assert!(error.is_codec());
        }
    }
    reads_as::<C, Rich>(bytes);
    reads_as::<C, Kind>(bytes);
    reads_as::<C, String>(bytes);
    reads_as::<C, CString>(bytes);
    reads_as::<C, Vec<u8>>(bytes);
    reads_as::<C, Vec<[u64; 16]>>(bytes);
    reads_as::<C, Vec<()>>(bytes);
    reads_as::<C, LinkedList<()>>(bytes);
    reads_as::<C, HashMap<u64, String>>(bytes);
    reads_as::<C, OsString>(bytes);
    reads_as::<C, Tree>(bytes);
    reads_as::<C, Endless>(bytes);
    reads_as::<C, IgnoredAny>(bytes);
    reads_as::<C, serde_json::Value>(bytes);
    reads_as::<C, std::time::SystemTime>(bytes);
}

/// A few bytes that claim to be the beginning of gigabytes, of endless sequences, of endless depth.
#[test]
fn hostile_claims_are_refused() {
    for length in [1 << 16, 1 << 31, 1 << 40, 1 << 62, u64::MAX] {
        let claim = [&[253][..], &length.to_le_bytes()].concat();
        reads_as_anything::<Bincode>(&claim);
        reads_as_anything::<Bincode>(&claim.repeat(99));
        refusal(Bincode::decode::<String>(&claim));
        refusal(Bincode::decode::<Vec<()>>(&claim));
        refusal(Bincode::decode::<Tree>(&claim.repeat(99)));
    }
    for marker in [0xC6, 0xC9, 0xDB, 0xDD, 0xDF] {
        let claim = [marker, 0xFF, 0xFF, 0xFF, 0xFF];
        reads_as_anything::<MessagePack>(&claim);
        reads_as_anything::<MessagePack>(&claim.repeat(99));
    }
    for deep in [&b"\x00"[..], b"\x01", b"\x02", b"\x03\x00", b"\x04\x00\x01"] {
        reads_as_anything::<Bincode>(&deep.repeat(100_000));
    }
    for deep in [
        &b"\x91"[..],
        b"\x81\xa3Two\x92\x00",
        b"\x81\xa1a",
        b"\x81\xc0",
        b"\xd4\x00",
    ] {
        reads_as_anything::<MessagePack>(&deep.repeat(100_000));
    }
    for deep in ["[", "{\"Boxed\":", "{\"Two\":[1,", "{\"a\":", "[[],"] {
        reads_as_anything::<Json>(deep.repeat(100_000).as_bytes());
    }
    let honest = Zstd::<MessagePack>::decode::<IgnoredAny>(&bomb(1 << 20, 8));
    assert!(refusal(honest).contains("expand"));
    for claim in [0, 1, 1 << 20, 1 << 31, 1 << 62, u64::MAX] {
        for blocks in [0, 1, 8, 9, 8000] {
            let bomb = bomb(claim, blocks);
            refusal(Zstd::<MessagePack>::decode::<IgnoredAny>(&bomb));
            reads_as_anything::<Zstd<Bincode>>(&[&bomb[..], &bomb[1..].repeat(500)].concat());
        }
    }
}

/// Bytes that `Zstd` is to believe to be compressed: a frame of blocks of 128 KiB in 4 bytes each, whatever length it claims.
fn bomb(claim: u64, blocks: usize) -> Vec<u8> {
    const SIZE_OF_8_BYTES_AND_NO_WINDOW: u8 = 0xE0;
    let block = |last: usize| {
        let [a, b, c, _] = (((128 * 1024) << 3) | (1 << 1) | last as u32).to_le_bytes();
        [a, b, c, b'"']
    };
    let mut bytes = vec![1, 0x28, 0xB5, 0x2F, 0xFD, SIZE_OF_8_BYTES_AND_NO_WINDOW];
    bytes.extend(claim.to_le_bytes());
    bytes.extend((1..=blocks).flat_map(|at| block(usize::from(at == blocks))));
    bytes
}

/// As above, where a process that believed the claims would run out of memory.
#[test]
#[cfg(target_os = "linux")]
fn hostile_claims_cost_no_memory() {
    let limited = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -v 262144 && exec \"$0\" --exact hostile_claims_are_refused --test-threads 1",
        ])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    assert!(limited.status.success(), "{limited:?}");
    assert!(
        String::from_utf8_lossy(&limited.stdout).contains("1 passed"),
        "{limited:?}"
    );
}

/// A value that `encode` takes and `decode` refuses would be lost.
#[test]
fn depth_is_bounded_alike_in_both_directions() {
    fn bounded<C: Codec, T: Serialize + DeserializeOwned + PartialEq + Debug>(
        nested: fn(usize) -> T,
    ) {
        for depth in 0..120 {
            let mut bytes = Vec::new();
            match C::encode(&nested(depth), &mut bytes) {
                Ok(()) => assert_eq!(C::decode::<T>(&bytes).unwrap(), nested(depth)),
                Err(error) => assert!(depth > 30 && error.is_codec() && bytes.is_empty()),
            }
        }
        assert!(refusal(C::encode(&nested(120), &mut Vec::new())).contains("deeper"));
    }
    fn boxed(depth: usize) -> Kind {
        (0..depth).fold(Kind::Plain, |inner, _| Kind::Boxed(Box::new(inner)))
    }
    fn two(depth: usize) -> Kind {
        (0..depth).fold(Kind::Plain, |inner, _| Kind::Two(0, Box::new(inner)))
    }
    fn named(depth: usize) -> Kind {
        (0..depth).fold(Kind::Plain, |inner, _| Kind::Named {
            size: 0,
            inside: vec![inner],
        })
    }
    fn wrapped(depth: usize) -> Wrapped {
        (0..depth).fold(Wrapped(None, 0.0), |inner, _| {
            Wrapped(Some(Box::new(inner)), 0.0)
        })
    }
    fn all<C: Codec>() {
        bounded::<C, _>(boxed);
        bounded::<C, _>(two);
        bounded::<C, _>(named);
        bounded::<C, _>(wrapped);
    }
    all::<Bincode>();
    all::<MessagePack>();
    all::<Json>();
    all::<Zstd<Json>>();
    let array = |depth| (0..depth).fold(serde_json::Value::Null, |inner, _| vec![inner].into());
    for depth in [99, 100, 101, 127, 128, 1000] {
        let mut bytes = Vec::new();
        if Json::encode(&array(depth), &mut bytes).is_ok() {
            assert_eq!(
                Json::decode::<serde_json::Value>(&bytes).unwrap(),
                array(depth)
            );
        }
    }
}

/// Bincode writes such elements as nothing, so their number can't be bounded by the bytes.
#[test]
fn elements_of_nothing_are_bounded_alike_in_both_directions() {
    for count in (0..10).chain(4090..4110) {
        let mut bytes = Vec::new();
        if Bincode::encode(&vec![(); count], &mut bytes).is_ok() {
            assert_eq!(Bincode::decode::<Vec<()>>(&bytes).unwrap().len(), count);
        } else {
            assert!(count > 4096);
        }
    }
    assert!(refusal(Bincode::encode(&vec![(); 1_000_000], &mut Vec::new())).contains("nothing"));
    comes_back::<MessagePack, _>(&vec![(); 10_000]);
}

#[test]
fn what_would_not_come_back_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Gappy {
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u8>,
        name: String,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Any {
        Number(u64),
        Text(String),
    }

    let gappy = Gappy {
        size: None,
        name: "a".into(),
    };
    assert!(refusal(Bincode::encode(&gappy, &mut Vec::new())).contains("`size`"));
    comes_back::<MessagePack, _>(&gappy);
    comes_back::<Json, _>(&gappy);

    for value in [Any::Number(7), Any::Text("a".into())] {
        let mut bytes = b"before".to_vec();
        let refused = Bincode::encode_as::<Any, _>(&value, &mut bytes);
        assert!(refusal(refused).contains("MessagePack"));
        assert_eq!(bytes, b"before");
    }
    comes_back::<MessagePack, _>(&Any::Text("a".into()));
    comes_back::<Json, _>(&(Any::Number(7), ()));

    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut bytes = b"before".to_vec();
        refusal(Json::encode(&vec![1.0, float], &mut bytes));
        assert_eq!(bytes, b"before", "what was refused leaves nothing behind");
        refusal(Json::encode(&[float as f32], &mut bytes));
    }
}

/// The store must tell a full disk from a value that can't be written.
#[test]
fn a_failing_file_is_not_a_failing_codec() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl io::Read for Full {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    fn fails<C: Codec>() {
        for value in ["small", &"large".repeat(100_000)] {
            assert!(
                C::encode_to(&(value, value), Full)
                    .unwrap_err()
                    .is_disk_full()
            );
        }
        assert!(
            C::decode_from::<String, _>(Full, 7)
                .unwrap_err()
                .is_disk_full()
        );
    }
    fails::<Bincode>();
    fails::<MessagePack>();
    fails::<Json>();
    fails::<Zstd<Json>>();
}

/// What serde's attributes make of an enum, and what is hard to give back in it.
mod shapes {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Unit;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Newtype<T>(pub(super) T);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Flat<T: Ord> {
        pub(super) name: String,
        #[serde(flatten)]
        pub(super) rest: Rest<T>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) struct Rest<T: Ord> {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) maybe: Option<String>,
        pub(super) map: BTreeMap<T, i64>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum External<T> {
        Nothing,
        One(T),
        Two(T, u8),
        Named { inner: T },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    pub(super) enum Internal<T> {
        Nothing,
        Named { inner: T },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "what")]
    pub(super) enum Adjacent<T> {
        Nothing,
        One(T),
        Named { inner: T },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Untagged<T> {
        Named { inner: T },
        Two(T, u8),
    }
}

/// Any value of this type comes back as it was, or is refused before anybody relies on it.
fn comes_back_or_is_refused<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    fn by<C: Codec, T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
        let mut bytes = Vec::new();
        match C::encode_as::<T, _>(value, &mut bytes) {
            Ok(()) => assert_eq!(&C::decode::<T>(&bytes).unwrap(), value, "{}", C::NAME),
            Err(error) => {
                let said = error.to_string();
                assert!(error.is_codec() && bytes.is_empty());
                assert!(
                    !said.contains("NotSupported") && !said.contains("OtherString"),
                    "{said}"
                );
            }
        }
    }
    by::<Bincode, T>(value);
    by::<MessagePack, T>(value);
    by::<Json, T>(value);
    by::<Zstd<Bincode>, T>(value);
    by::<Zstd<MessagePack>, T>(value);
    by::<Zstd<Json>, T>(value);
}

fn in_all_shapes<T>(inner: &T)
where
    T: Clone + Debug + PartialEq + Serialize + DeserializeOwned,
{
    use shapes::{Adjacent, External, Internal, Newtype, Untagged};
    let all = || [inner.clone(), inner.clone()];
    comes_back_or_is_refused(inner);
    comes_back_or_is_refused(&Some(Some(inner.clone())));
    comes_back_or_is_refused(&[Some(inner.clone()), None]);
    comes_back_or_is_refused(&(inner.clone(), vec![inner.clone()], Newtype(inner.clone())));
    let [one, two] = all().map(External::One);
    comes_back_or_is_refused(&vec![
        External::Nothing,
        one,
        External::Two(inner.clone(), 7),
    ]);
    comes_back_or_is_refused(&(
        two,
        External::Named {
            inner: inner.clone(),
        },
    ));
    comes_back_or_is_refused(&Internal::Named {
        inner: inner.clone(),
    });
    comes_back_or_is_refused(&vec![Adjacent::Nothing, Adjacent::One(inner.clone())]);
    comes_back_or_is_refused(&Adjacent::Named {
        inner: inner.clone(),
    });
    comes_back_or_is_refused(&vec![Internal::<u8>::Nothing]);
    comes_back_or_is_refused(&Untagged::Named {
        inner: inner.clone(),
    });
    comes_back_or_is_refused(&Untagged::Two(inner.clone(), 0));
    comes_back_or_is_refused(&BTreeMap::from([(7_i64, inner.clone())]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Stored and acknowledged, and never to be read again, were: through bincode whatever asks the bytes what they are, and
    /// through the others `Some(None)` and `Some(())`.
    #[test]
    fn whatever_is_written_can_be_read(
        (number, large, float) in any::<(i64, i128, f64)>(),
        (text, flag, letter) in any::<(String, bool, char)>(),
        bytes in vec(any::<u8>(), 0..9),
        key in any::<(u8, i8)>(),
    ) {
        in_all_shapes(&number);
        in_all_shapes(&large);
        in_all_shapes(&large.cast_unsigned());
        in_all_shapes(&float);
        in_all_shapes(&(float as f32));
        in_all_shapes(&text);
        in_all_shapes(&(flag, letter));
        in_all_shapes(&serde_bytes::ByteBuf::from(bytes));
        in_all_shapes(&());
        in_all_shapes(&shapes::Unit);
        in_all_shapes(&shapes::Newtype(None::<u8>));
        in_all_shapes(&shapes::Newtype(Some(shapes::Newtype(()))));
        in_all_shapes(&BTreeMap::from([(key, text.clone())]));
        in_all_shapes(&BTreeMap::from([(number, text.clone())]));
        in_all_shapes(&BTreeMap::from([(Some(flag), text.clone())]));
        for map in [BTreeMap::from([(text.clone(), number)]), BTreeMap::new()] {
            let rest = shapes::Rest { maybe: Some(text.clone()).filter(|_| flag), map };
            in_all_shapes(&shapes::Flat { name: text.clone(), rest });
        }
        let rest = shapes::Rest { maybe: None, map: BTreeMap::from([(large, number)]) };
        in_all_shapes(&shapes::Flat { name: text.clone(), rest });
        in_all_shapes(&std::time::Duration::from_nanos(number.unsigned_abs()));
        in_all_shapes(&serde_json::json!({ "a": [number, null, text], "b": { "c": flag } }));
    }
}

/// Of values longer than what is read at once, those that hold what not every type reads back.
#[test]
fn long_values_that_can_not_be_read_are_refused() {
    let long = "x".repeat(100_000);
    let odd = (
        long.clone(),
        vec![shapes::Untagged::Named { inner: 7_i128 }],
    );
    let mut bytes = Vec::new();
    for refused in [
        Bincode::encode_as::<(String, Vec<shapes::Untagged<i128>>), _>(&odd, &mut bytes),
        MessagePack::encode_as::<(String, Vec<shapes::Untagged<i128>>), _>(&odd, &mut bytes),
        Zstd::<Bincode>::encode_as::<(String, Vec<shapes::Untagged<i128>>), _>(&odd, &mut bytes),
    ] {
        refusal(refused);
        assert!(bytes.is_empty());
    }
    comes_back_or_is_refused(&(long, odd.0));
}
