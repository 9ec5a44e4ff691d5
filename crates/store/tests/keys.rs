//! Keys sort as their types do, come back as they were, and are found by what they begin with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Debug;

use diskette_store::key;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Shape {
    Point,
    Line(i64),
    Box(u8, String),
    Text { size: i16, text: String },
    Nested(Option<Box<Shape>>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    country: String,
    zone: Zone,
    street: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Zone(i32);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Nothing;

/// Bytes as `serde_bytes` writes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// A float in the order of keys: one NaN, last; -0.0 is 0.0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Float<F>(F);

impl<F: PartialOrd> PartialEq for Float<F> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<F: PartialOrd> Eq for Float<F> {}

impl<F: PartialOrd> PartialOrd for Float<F> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<F: PartialOrd> Ord for Float<F> {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_nan = |float: &F| float.partial_cmp(float).is_none();
        self.0
            .partial_cmp(&other.0)
            .unwrap_or_else(|| is_nan(&self.0).cmp(&is_nan(&other.0)))
    }
}

fn bytes<K: Serialize + ?Sized>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key::encode(key, &mut bytes).unwrap();
    bytes
}

fn is_ordered<K: Ord + Debug + Serialize + DeserializeOwned>(a: &K, b: &K) {
    assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(b), "{a:?} and {b:?}");
    assert_eq!(&key::decode::<K>(&bytes(a)).unwrap(), a);
    assert!(
        !bytes(b).starts_with(&bytes(a)) || a == b,
        "{a:?} begins {b:?}"
    );
}

/// Integers of all sizes and both signs.
fn integer() -> impl Strategy<Value = i128> {
    (any::<i128>(), 0..128u32).prop_map(|(bits, shift)| bits >> shift)
}

/// Strings that often begin alike, and hold what the format must escape.
fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        Just('\0'),
        Just('\u{1}'),
        Just('a'),
        Just('b'),
        any::<char>()
    ];
    vec(char, 0..6).prop_map(String::from_iter)
}

fn blob() -> impl Strategy<Value = Bytes> {
    let byte = prop_oneof![Just(0), Just(1), Just(0xFE), Just(0xFF), any::<u8>()];
    vec(byte, 0..6).prop_map(Bytes)
}

fn float() -> impl Strategy<Value = Float<f64>> {
    let named = [
        0.0,
        -0.0,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
    ];
    let float = prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        (-3i8..3).prop_map(f64::from),
        prop::sample::select(named.to_vec()),
    ];
    float.prop_map(Float)
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Point),
        integer().prop_map(|line| Shape::Line(line as i64)),
        (any::<u8>(), text()).prop_map(|(sides, name)| Shape::Box(sides, name)),
        (-2i16..2, text()).prop_map(|(size, text)| Shape::Text { size, text }),
    ];
    leaf.prop_recursive(4, 8, 1, |inner| {
        prop::option::of(inner).prop_map(|inner| Shape::Nested(inner.map(Box::new)))
    })
}

fn place() -> impl Strategy<Value = Place> {
    (text(), -2..2, prop::option::of(text())).prop_map(|(country, zone, street)| Place {
        country,
        zone: Zone(zone),
        street,
    })
}

macro_rules! ordered {
    ($($name:ident: $strategy:expr;)*) => {
        proptest! {$(
            #[test]
            fn $name(a in $strategy, b in $strategy) {
                is_ordered(&a, &b);
            }
        )*}
    };
}

ordered! {
    u8_is_ordered: any::<u8>();
    u16_is_ordered: integer().prop_map(|i| i as u16);
    u32_is_ordered: integer().prop_map(|i| i as u32);
    u64_is_ordered: integer().prop_map(|i| i as u64);
    u128_is_ordered: integer().prop_map(|i| i as u128);
    usize_is_ordered: integer().prop_map(|i| i as usize);
    i8_is_ordered: any::<i8>();
    i16_is_ordered: integer().prop_map(|i| i as i16);
    i32_is_ordered: integer().prop_map(|i| i as i32);
    i64_is_ordered: integer().prop_map(|i| i as i64);
    i128_is_ordered: integer();
    isize_is_ordered: integer().prop_map(|i| i as isize);
    f64_is_ordered: float();
    f32_is_ordered: float().prop_map(|Float(float)| Float(float as f32));
    bool_is_ordered: any::<bool>();
    char_is_ordered: any::<char>();
    string_is_ordered: text();
    bytes_are_ordered: blob();
    option_is_ordered: prop::option::of(prop::option::of(integer()));
    tuple_is_ordered: (text(), integer(), any::<bool>());
    nested_tuple_is_ordered: ((text(), blob()), prop::option::of(text()), float());
    array_is_ordered: [text(), text(), text()];
    vec_is_ordered: vec(integer(), 0..4);
    vec_of_strings_in_a_tuple_is_ordered: (vec(text(), 0..3), text());
    vec_of_vecs_is_ordered: vec(vec(any::<u8>(), 0..3), 0..3);
    vec_of_nothing_is_ordered: vec(Just((Nothing, (), [0u8; 0])), 0..4);
    enum_is_ordered: shape();
    struct_is_ordered: (place(), any::<i8>());
}

proptest! {
    #[test]
    fn numbers_are_written_by_value(small in any::<i8>(), single in any::<f32>()) {
        prop_assert_eq!(bytes(&small), bytes(&i128::from(small)));
        prop_assert_eq!(bytes(&small.unsigned_abs()), bytes(&u64::from(small.unsigned_abs())));
        prop_assert_eq!(bytes(&single), bytes(&f64::from(single)));
    }

    #[test]
    fn a_string_begins_what_starts_with_it(start in text(), all in text(), rest in integer()) {
        let expected = all.starts_with(&start);
        prop_assert_eq!(begins(&start, &all), expected);
        prop_assert_eq!(begins(&start, &(&all, rest)), expected);
        prop_assert_eq!(begins(&Some(&start), &Some(&all)), expected);
        prop_assert!(begins(&start, &(start.clone() + &all)));
    }

    #[test]
    fn bytes_begin_what_starts_with_them(start in blob(), all in blob()) {
        prop_assert_eq!(begins(&start, &all), all.0.starts_with(&start.0));
    }

    #[test]
    fn a_sequence_begins_what_starts_with_it(start in vec(text(), 0..3), all in vec(text(), 0..5)) {
        prop_assert_eq!(begins(&start, &all), all.starts_with(&start));
    }

    #[test]
    fn a_tuple_begins_what_has_its_fields_first(
        (a, b) in (text(), -2..3i32),
        key in (text(), -2..3i64, prop::option::of(text())),
    ) {
        prop_assert_eq!(begins(&(&a,), &key), key.0 == a);
        prop_assert_eq!(begins(&(&a, b), &key), key.0 == a && key.1 == i64::from(b));
        prop_assert_eq!(begins(&(&a, b, ()), &key), false);
        prop_assert_eq!(begins(&(&key.0, b), &(&key, 7)), key.1 == i64::from(b));
        prop_assert!(begins(&(), &key));
    }

    #[test]
    fn a_number_begins_itself(a in integer(), b in integer()) {
        prop_assert_eq!(begins(&a, &b), a == b);
        prop_assert!(begins(&a, &(a, b)));
    }

    #[test]
    fn rotten_bytes_are_an_error_or_a_key(mut rotten in rotten(), shape in shape(), at in any::<prop::sample::Index>()) {
        reads_as_anything(&rotten);
        let mut almost = bytes(&(shape, 7u64));
        let at = at.index(almost.len());
        almost[at] = rotten.pop().unwrap_or(0);
        reads_as_anything(&almost);
        reads_as_anything(&almost[..at]);
    }
}

fn begins<P: Serialize + ?Sized, K: Serialize + ?Sized>(prefix: &P, key: &K) -> bool {
    let (start, end) = key::prefix(prefix).unwrap();
    start <= bytes(key) && end.is_none_or(|end| bytes(key) < end)
}

/// Bytes that mean something, in no order.
fn rotten() -> impl Strategy<Value = Vec<u8>> {
    let tags = (0x00..=0x05)
        .chain(0x1E..=0x22)
        .chain(0xDE..=0xE2)
        .chain(0xEE..=0xF6)
        .chain([0xFF]);
    vec(
        prop_oneof![prop::sample::select(tags.collect::<Vec<u8>>()), any::<u8>()],
        0..24,
    )
}

fn reads_as_anything(rotten: &[u8]) {
    fn reads_as<K: Serialize + DeserializeOwned>(rotten: &[u8]) {
        match key::decode::<K>(rotten) {
            Ok(key) => assert_eq!(bytes(&key), rotten, "a key has one form only"),
            Err(error) => assert!(error.is_codec()),
        }
    }
    reads_as::<(Shape, u64)>(rotten);
    reads_as::<Place>(rotten);
    reads_as::<Vec<Shape>>(rotten);
    reads_as::<Vec<(String, Bytes)>>(rotten);
    reads_as::<(Vec<()>, Option<char>, Nothing)>(rotten);
    reads_as::<[i128; 2]>(rotten);
    reads_as::<(u128, u8, bool)>(rotten);
    reads_as::<(f32, f64)>(rotten);
    reads_as::<BTreeMap<u8, u8>>(rotten);
}

/// Stores are full of these bytes: a change here is a new format.
#[test]
fn the_format_is_as_documented() {
    let golden: [(Vec<u8>, &[u8]); 20] = [
        (bytes(&None::<u8>), b"\x01"),
        (bytes(&Some(7)), b"\x02\x27"),
        (bytes(&()), b"\x03"),
        (bytes(&(false, true)), b"\x04\x05"),
        (bytes(&i128::MIN), b"\x10\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        (bytes(&-257), b"\x1e\xfe\xff"),
        (bytes(&-1), b"\x1f\xff"),
        (bytes(&0), b"\x20"),
        (bytes(&191), b"\xdf"),
        (bytes(&192), b"\xe0\xc0"),
        (bytes(&256), b"\xe1\x01\0"),
        (bytes(&1.5), b"\xf0\xbf\xf8\0\0\0\0\0\0"),
        (bytes(&-1.5), b"\xf0\x40\x07\xff\xff\xff\xff\xff\xff"),
        (bytes(&'a'), b"\xf1\0\0a"),
        (bytes("a\0b"), b"\xf2a\x01\x01b\0"),
        (bytes(&Bytes(vec![0, 1])), b"\xf3\x01\x01\x01\x02\0"),
        (bytes(&vec!["a", "b"]), b"\xf4\xf2a\0\xf2b\0\0"),
        (bytes(&Shape::Point), b"\xf5\x20"),
        (bytes(&Shape::Box(2, "x".into())), b"\xf5\x22\x22\xf2x\0"),
        (bytes(&(Zone(1), [2, 3])), b"\x21\x22\x23"),
    ];
    for (written, golden) in golden {
        assert_eq!(written, golden);
    }
}

#[test]
fn what_has_no_order_is_refused_and_leaves_nothing_behind() {
    #[derive(Serialize)]
    struct Gappy {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u8>,
    }

    let mut into = b"before".to_vec();
    let map = BTreeMap::from([(1, 2)]);
    let error = key::encode(&("a", map), &mut into).unwrap_err();
    assert!(
        error.is_codec() && error.to_string().contains("map"),
        "{error}"
    );

    let gappy = Gappy {
        name: "a".into(),
        size: None,
    };
    let error = key::encode(&gappy, &mut into).unwrap_err();
    assert!(error.to_string().contains("`size`"), "{error}");
    assert_eq!(into, b"before");
}

#[test]
fn a_key_of_another_type_says_what_it_is() {
    let error = |result: diskette_store::Result<u32>| result.unwrap_err().to_string();
    assert!(error(key::decode(&bytes("tea"))).contains("expected an integer, found a string"));
    assert!(error(key::decode(&bytes(&(1, 2)))).contains("left over"));
    assert!(error(key::decode(&bytes(&-1))).contains("-1 does not fit in u32"));
    assert!(error(key::decode(&[])).contains("end early"));
}

/// A recursive key type, and bytes that nest for ever, must not end the process on its stack.
#[test]
fn depth_is_bounded_alike_in_both_directions() {
    let nested = |depth| {
        (0..depth).fold(Shape::Point, |inner, _| {
            Shape::Nested(Some(Box::new(inner)))
        })
    };
    for depth in 0..60 {
        let mut written = Vec::new();
        match key::encode(&nested(depth), &mut written) {
            Ok(()) => assert_eq!(key::decode::<Shape>(&written).unwrap(), nested(depth)),
            Err(error) => assert!(depth > 40 && error.is_codec()),
        }
    }
    assert!(key::encode(&nested(200), &mut Vec::new()).is_err());
    assert!(key::decode::<Shape>(&b"\xf5\x24\x02".repeat(1_000_000)).is_err());
}

#[test]
fn a_key_is_shown_as_it_was_given() {
    fn shown(key: &(impl Serialize + ?Sized)) -> String {
        let mut bytes = Vec::new();
        key::encode(key, &mut bytes).unwrap();
        key::show(&bytes)
    }
    assert_eq!(shown("tea\0\n\"pot\""), r#""tea\0\n\"pot\"""#);
    assert_eq!(
        shown(&("a", -300, 1.5, 'x', true, ())),
        r#"("a", -300, 1.5, 'x', true, ())"#
    );
    assert_eq!(shown(&(Some(7), None::<u8>)), "(Some 7, None)");
    assert_eq!(
        shown(&vec![vec![1], vec![], vec![2, 3]]),
        "[[1], [], [2, 3]]"
    );
    assert_eq!(shown(serde_bytes::Bytes::new(b"\0\xff")), "0x00ff");
    let long = shown(&"x".repeat(100_000));
    assert!(
        long.ends_with("xx…") && long.chars().count() == 61,
        "{long}"
    );
    assert_eq!(key::show(&[0xFF, 0, 1]), "0xff0001");
    assert_eq!(key::show(&[0xF2, b'x']), "0xf278");
}
