//! What is done, in any sequence.

use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    PushBack(u32),
    PushFront(u32),
    PopBack,
    PopFront,
    PopBackMany(usize),
    PopFrontMany(usize),
    Extend(Vec<u32>),
    ExtendFront(Vec<u32>),
    Append(Vec<u32>),
    Set(usize, u32),
    Insert(usize, u32),
    Remove(usize),
    RemoveValue(u32),
    RotateLeft(usize),
    RotateRight(usize),
    Reverse,
    /// Keeps what is no multiple.
    Retain(u32),
    Truncate(usize),
    Clear,
    Find(u32),
    ClaimFront,
    ClaimBack,
    Complete(usize),
    Release(usize),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Alone(Op),
    Together { ops: Vec<Op>, commit: bool },
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let value = || 0_u32..40;
    let values = || vec(0_u32..40, 0..8);
    let index = || 0_usize..250;
    prop_oneof![
        4 => value().prop_map(Op::PushBack),
        4 => value().prop_map(Op::PushFront),
        3 => Just(Op::PopBack),
        3 => Just(Op::PopFront),
        1 => (0_usize..20).prop_map(Op::PopBackMany),
        1 => (0_usize..20).prop_map(Op::PopFrontMany),
        1 => values().prop_map(Op::Extend),
        1 => values().prop_map(Op::ExtendFront),
        1 => values().prop_map(Op::Append),
        2 => (index(), value()).prop_map(|(at, value)| Op::Set(at, value)),
        2 => (index(), value()).prop_map(|(at, value)| Op::Insert(at, value)),
        4 => index().prop_map(Op::Remove),
        2 => value().prop_map(Op::RemoveValue),
        2 => index().prop_map(Op::RotateLeft),
        2 => index().prop_map(Op::RotateRight),
        1 => Just(Op::Reverse),
        1 => (2_u32..5).prop_map(Op::Retain),
        1 => (100_usize..250).prop_map(Op::Truncate),
        1 => Just(Op::Clear),
        2 => value().prop_map(Op::Find),
        4 => Just(Op::ClaimFront),
        4 => Just(Op::ClaimBack),
        3 => (0_usize..5).prop_map(Op::Complete),
        3 => (0_usize..5).prop_map(Op::Release),
    ]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let together = (vec(op(), 0..8), any::<bool>());
    prop_oneof![
        12 => op().prop_map(Step::Alone),
        2 => together.prop_map(|(ops, commit)| Step::Together { ops, commit }),
        1 => Just(Step::Reopen),
    ]
}
