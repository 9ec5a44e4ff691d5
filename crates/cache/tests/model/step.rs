//! What is done to a cache.

use diskette_cache::Policy;
use diskette_store::INLINE;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Two fields, so that it has a prefix.
pub(crate) type Key = (u8, u8);

pub(crate) const POLICIES: [Policy; 5] = [
    Policy::Sieve,
    Policy::LeastRecentlyStored,
    Policy::LeastRecentlyUsed,
    Policy::LeastFrequentlyUsed,
    Policy::Refuse,
];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    Insert(Key, Value),
    InsertWith(Key, Value, Terms),
    InsertIfAbsent(Key, Value, Terms),
    InsertMany(Vec<(Key, Value)>, Terms),
    Replace(Key, Value, Terms),
    Update(Key, Option<Value>),
    UpdateOn(Key, Terms, Option<Value>),
    Entry(Key, Value),
    CompareAndSwap(Key, Option<Value>, Option<Value>),
    Increment(Key, i64),
    GetOrInsert(Key, Value, Terms),
    Get(Key),
    GetMany(Vec<Key>),
    GetWithMeta(Key),
    ContainsKey(Key),
    Tagged(u8),
    Range(Key, Key),
    Prefix(u8),
    Touch(Key, Option<u16>),
    Remove(Key),
    Delete(Key),
    RemoveMany(Vec<Key>),
    EvictTag(u8),
    Expire,
    Cull,
    Clear,
    SetPolicy(usize),
    SetMaxBytes(Option<u64>),
    SetMaxEntries(Option<u64>),
    /// So many milliseconds go by.
    Wait(u16),
    /// The time of day is set, by seconds.
    SetClock(i16),
    Reopen,
    /// The first in a transaction, the second in a part of it that is undone.
    Commit(Vec<Step>, Vec<Step>),
    RollBack(Vec<Step>),
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) expires_in: Option<u16>,
    pub(crate) tag: Option<u8>,
    pub(crate) cost: Option<u8>,
}

/// A number that takes more or less room, and is sometimes so long that it is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Value(pub(crate) u8);

impl Value {
    pub(crate) const END: u8 = 64;

    fn length(self) -> usize {
        match self.0 {
            63 => INLINE,
            n => 2 + usize::from(n % 8) * 4,
        }
    }

    /// What an entry with it counts for: its bytes as MessagePack has them, if they are a file whole pages, those of the key twice, and 96.
    pub(crate) fn cost(self) -> u64 {
        let bytes = match self.0 {
            63 => (16 + self.length() + 5).next_multiple_of(4096),
            _ => self.length() + 1,
        };
        (bytes + 2 * KEY + 96) as u64
    }
}

/// The bytes of a key.
const KEY: usize = 3 + 2;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = self.0.to_string();
        let rest = " ".repeat(self.length() - number.len());
        serializer.serialize_str(&(number + &rest))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.split(' ').next().unwrap_or_default();
        number.parse().map(Value).map_err(D::Error::custom)
    }
}

impl From<Value> for i128 {
    fn from(value: Value) -> Self {
        value.0.into()
    }
}

impl TryFrom<i128> for Value {
    type Error = ();

    fn try_from(n: i128) -> Result<Self, ()> {
        let n = u8::try_from(n).ok().filter(|&n| n < Value::END);
        n.map(Value).ok_or(())
    }
}

/// First it gets its limits. `true`: the other process does it.
pub(crate) fn steps() -> impl Strategy<Value = Vec<(bool, Step)>> {
    let limits = (policy(), max_bytes(), max_entries());
    let first = limits.prop_map(|(policy, bytes, entries)| [policy, bytes, entries]);
    (first, vec((any::<bool>(), step()), 1..80)).prop_map(|(first, steps)| {
        let first = first.into_iter().map(|step| (false, step));
        first.chain(steps).collect()
    })
}

fn key() -> impl Strategy<Value = Key> {
    (0_u8..3, 0_u8..3)
}

fn value() -> impl Strategy<Value = Value> {
    (0..Value::END).prop_map(Value)
}

fn terms() -> impl Strategy<Value = Terms> {
    (of(0_u16..80), of(0_u8..3), of(0_u8..200)).prop_map(|(expires_in, tag, cost)| Terms {
        expires_in,
        tag,
        cost,
    })
}

fn policy() -> impl Strategy<Value = Step> {
    (0..POLICIES.len()).prop_map(Step::SetPolicy)
}

fn max_bytes() -> impl Strategy<Value = Step> {
    let some = prop_oneof![50_u64..1000, Just(2 * INLINE as u64)];
    of(some).prop_map(Step::SetMaxBytes)
}

fn max_entries() -> impl Strategy<Value = Step> {
    of(1_u64..6).prop_map(Step::SetMaxEntries)
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || vec(key(), 0..5);
    let maybe = || of(value());
    let writes = prop_oneof![
        4 => (key(), value()).prop_map(|(k, v)| Step::Insert(k, v)),
        4 => (key(), value(), terms()).prop_map(|(k, v, t)| Step::InsertWith(k, v, t)),
        2 => (key(), value(), terms()).prop_map(|(k, v, t)| Step::InsertIfAbsent(k, v, t)),
        2 => (vec((key(), value()), 0..5), terms()).prop_map(|(e, t)| Step::InsertMany(e, t)),
        1 => (key(), value(), terms()).prop_map(|(k, v, t)| Step::Replace(k, v, t)),
        1 => (key(), maybe()).prop_map(|(k, v)| Step::Update(k, v)),
        1 => (key(), terms(), maybe()).prop_map(|(k, t, v)| Step::UpdateOn(k, t, v)),
        1 => (key(), value()).prop_map(|(k, v)| Step::Entry(k, v)),
        1 => (key(), maybe(), maybe()).prop_map(|(k, a, b)| Step::CompareAndSwap(k, a, b)),
        1 => (key(), -40_i64..40).prop_map(|(k, by)| Step::Increment(k, by)),
        2 => (key(), value(), terms()).prop_map(|(k, v, t)| Step::GetOrInsert(k, v, t)),
    ];
    let reads = prop_oneof![
        8 => key().prop_map(Step::Get),
        2 => keys().prop_map(Step::GetMany),
        2 => key().prop_map(Step::GetWithMeta),
        1 => key().prop_map(Step::ContainsKey),
        1 => (0_u8..3).prop_map(Step::Tagged),
        1 => (key(), key()).prop_map(|(from, to)| Step::Range(from, to)),
        1 => (0_u8..3).prop_map(Step::Prefix),
    ];
    let removals = prop_oneof![
        2 => key().prop_map(Step::Remove),
        2 => key().prop_map(Step::Delete),
        1 => keys().prop_map(Step::RemoveMany),
        1 => (0_u8..3).prop_map(Step::EvictTag),
        1 => Just(Step::Expire),
        1 => Just(Step::Cull),
        1 => Just(Step::Clear),
    ];
    let others = prop_oneof![
        2 => (key(), of(0_u16..80)).prop_map(|(k, millis)| Step::Touch(k, millis)),
        3 => (0_u16..40).prop_map(Step::Wait),
        1 => any::<i16>().prop_map(Step::SetClock),
        1 => policy(),
        1 => max_bytes(),
        1 => max_entries(),
    ];
    let simple = prop_oneof![8 => writes, 12 => reads, 2 => removals, 3 => others].boxed();
    let several = |most| vec(simple.clone(), 0..most);
    prop_oneof![
        20 => simple.clone(),
        1 => (several(8), several(4)).prop_map(|(steps, part)| Step::Commit(steps, part)),
        1 => several(8).prop_map(Step::RollBack),
        1 => Just(Step::Reopen),
    ]
}
