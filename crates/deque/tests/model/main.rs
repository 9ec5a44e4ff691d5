//! Any sequence of operations does to a deque what it does to a `VecDeque`, claims and all.
#![allow(clippy::unwrap_used)]

mod ops;
mod places;

use diskette_deque::{Claim, Deque, WhenFull};
use diskette_store::{Access, Error, MessagePack, Store};
use diskette_testkit::{Place, cases};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::ops::{Op, Step, step};
use crate::places::{End, Places};

/// The claims that are held, and the number of the latest.
#[derive(Default)]
struct Claims {
    held: Vec<(usize, Claim<u32>)>,
    latest: usize,
}

impl Claims {
    fn take(&mut self, which: usize) -> Option<(usize, Claim<u32>)> {
        let which = which.checked_rem(self.held.len())?;
        Some(self.held.remove(which))
    }
}

fn full_or<R>(result: Result<R, Error>) -> Result<bool, Error> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.is_full() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does the same to both. `source` is for the items that `append` moves; a completed claim is handed to
/// `complete`.
fn apply<A: Access + Clone>(
    (deque, source): (&Deque<u32, MessagePack, A>, &Deque<u32, MessagePack, A>),
    model: &mut Places,
    claims: &mut Claims,
    complete: &mut dyn FnMut(usize, Claim<u32>) -> Result<(), Error>,
    op: &Op,
) -> TestCaseResult {
    let len = model.items().len();
    match op {
        Op::PushBack(value) => prop_assert_eq!(
            full_or(deque.push_back(value)).unwrap(),
            model.push(End::Back, &[*value])
        ),
        Op::PushFront(value) => prop_assert_eq!(
            full_or(deque.push_front(value)).unwrap(),
            model.push(End::Front, &[*value])
        ),
        Op::PopBack => prop_assert_eq!(deque.pop_back().unwrap(), model.pop(End::Back)),
        Op::PopFront => prop_assert_eq!(deque.pop_front().unwrap(), model.pop(End::Front)),
        Op::PopBackMany(count) => {
            let popped: Vec<u32> = (0..*count).map_while(|_| model.pop(End::Back)).collect();
            prop_assert_eq!(deque.pop_back_many(*count).unwrap(), popped);
        }
        Op::PopFrontMany(count) => {
            let popped: Vec<u32> = (0..*count).map_while(|_| model.pop(End::Front)).collect();
            prop_assert_eq!(deque.pop_front_many(*count).unwrap(), popped);
        }
        Op::Extend(values) => prop_assert_eq!(
            full_or(deque.extend(values)).unwrap(),
            model.push(End::Back, values)
        ),
        Op::ExtendFront(values) => prop_assert_eq!(
            full_or(deque.extend_front(values)).unwrap(),
            model.push(End::Front, values)
        ),
        Op::Append(values) => {
            source.clear().unwrap();
            source.extend(values).unwrap();
            prop_assert_eq!(
                full_or(deque.append(source)).unwrap(),
                model.push(End::Back, values)
            );
        }
        Op::Set(index, value) => match model.place(*index) {
            Some(place) => {
                model.places[place].0 = *value;
                deque.set(*index, value).unwrap();
            }
            None => prop_assert!(deque.set(*index, value).unwrap_err().is_invalid_input()),
        },
        Op::Insert(index, value) => {
            let full = model
                .bound
                .is_some_and(|(max_len, _)| model.places.len() >= max_len);
            match model.place(*index) {
                _ if full => prop_assert!(deque.insert(*index, value).unwrap_err().is_full()),
                Some(place) => {
                    model.places.insert(place, (*value, None));
                    deque.insert(*index, value).unwrap();
                }
                None if *index == len => {
                    model.places.push_back((*value, None));
                    deque.insert(*index, value).unwrap();
                }
                None => prop_assert!(deque.insert(*index, value).unwrap_err().is_invalid_input()),
            }
        }
        Op::Remove(index) => {
            let place = model.place(*index);
            let removed = place.and_then(|place| model.places.remove(place));
            prop_assert_eq!(
                deque.remove(*index).unwrap(),
                removed.map(|(value, _)| value)
            );
        }
        Op::RemoveValue(value) => {
            let place = model
                .places
                .iter()
                .position(|place| *place == (*value, None));
            place.map(|place| model.places.remove(place));
            prop_assert_eq!(deque.remove_value(value).unwrap(), place.is_some());
        }
        Op::RotateLeft(count) => {
            model.rotate_left(*count);
            deque.rotate_left(*count).unwrap();
        }
        Op::RotateRight(count) => {
            if len > 0 {
                model.rotate_left(len - count % len);
            }
            deque.rotate_right(*count).unwrap();
        }
        Op::Reverse => {
            model.places.make_contiguous().reverse();
            deque.reverse().unwrap();
        }
        Op::Retain(factor) => {
            model
                .places
                .retain(|(value, claim)| claim.is_some() || value % factor != 0);
            deque.retain(|value| value % factor != 0).unwrap();
        }
        Op::Truncate(to) => {
            let first = model.place(*to).unwrap_or(usize::MAX);
            let mut place = 0;
            model.places.retain(|(_, claim)| {
                place += 1;
                claim.is_some() || place <= first
            });
            deque.truncate(*to).unwrap();
        }
        Op::Clear => {
            model.places.retain(|(_, claim)| claim.is_some());
            deque.clear().unwrap();
        }
        Op::Find(value) => {
            let items = model.items();
            let position = items.iter().position(|item| item == value);
            let count = items.iter().filter(|item| *item == value).count();
            prop_assert_eq!(deque.position(value).unwrap(), position);
            prop_assert_eq!(deque.contains(value).unwrap(), position.is_some());
            prop_assert_eq!(deque.count(value).unwrap(), count);
        }
        Op::ClaimFront | Op::ClaimBack => {
            let (claim, place) = match op {
                Op::ClaimFront => (deque.try_claim_front(), model.place_at(End::Front)),
                _ => (deque.try_claim_back(), model.place_at(End::Back)),
            };
            let claim = claim.unwrap();
            prop_assert_eq!(
                claim.as_deref().copied(),
                place.map(|place| model.places[place].0)
            );
            if let (Some(claim), Some(place)) = (claim, place) {
                claims.latest += 1;
                model.places[place].1 = Some(claims.latest);
                claims.held.push((claims.latest, claim));
            }
        }
        Op::Complete(which) => {
            if let Some((number, claim)) = claims.take(*which) {
                let place = model.claimed(number).unwrap();
                model.places.remove(place);
                complete(number, claim).unwrap();
            }
        }
        Op::Release(which) => {
            if let Some((number, claim)) = claims.take(*which) {
                let place = model.claimed(number).unwrap();
                model.places[place].1 = None;
                claim.release().unwrap();
            }
        }
    }
    Ok(())
}

fn same(deque: &Deque<u32>, model: &Places) -> TestCaseResult {
    let items = model.items();
    let claimed = model.places.len() - items.len();
    prop_assert_eq!(&deque.to_vec().unwrap(), &items);
    prop_assert_eq!(deque.len().unwrap(), items.len());
    prop_assert_eq!(deque.is_empty().unwrap(), items.is_empty());
    prop_assert_eq!(deque.claimed().unwrap(), claimed);
    prop_assert_eq!(deque.is_idle().unwrap(), model.places.is_empty());
    prop_assert_eq!(deque.front().unwrap(), items.first().copied());
    prop_assert_eq!(deque.back().unwrap(), items.last().copied());
    for index in (0..items.len() + 2).step_by(7) {
        let from_back = items.iter().rev().nth(index);
        prop_assert_eq!(deque.get(index).unwrap(), items.get(index).copied());
        prop_assert_eq!(deque.get_back(index).unwrap(), from_back.copied());
    }
    Ok(())
}

/// From both ends, in turns, until they meet.
fn iterates(deque: &Deque<u32>, model: &Places) -> TestCaseResult {
    let (mut found, mut wanted) = (deque.iter(), model.items().into_iter());
    loop {
        let (front, back) = (found.next(), found.next_back());
        prop_assert_eq!(front.transpose().unwrap(), wanted.next());
        prop_assert_eq!(back.transpose().unwrap(), wanted.next_back());
        if wanted.len() == 0 {
            break;
        }
    }
    prop_assert!(found.next().is_none() && found.next_back().is_none());
    Ok(())
}

/// Several operations as one transaction, which is committed or rolled back.
fn together(
    store: &Store,
    (deque, source): (&Deque<u32>, &Deque<u32>),
    model: &mut Places,
    claims: &mut Claims,
    (ops, commit): (&[Op], bool),
) -> TestCaseResult {
    let (before, latest) = (model.clone(), claims.latest);
    let mut completed = Vec::new();
    let mut outcome = Ok(());
    let result = store.transaction(|tx| {
        for op in ops.iter().filter(|op| !matches!(op, Op::Release(_))) {
            let mut complete = |number, claim: Claim<u32>| {
                completed.push(number);
                claim.complete(tx)
            };
            let both = (&deque.within(tx), &source.within(tx));
            outcome = apply(both, model, claims, &mut complete, op);
            if outcome.is_err() {
                return Err(None);
            }
        }
        if commit { Ok(()) } else { Err(None) }
    });
    outcome?;
    match result {
        Ok(()) => {}
        Err(None::<Error>) => {
            *model = before;
            for number in completed {
                // Completed in vain: back in its place.
                if let Some(place) = model.claimed(number) {
                    model.places[place].1 = None;
                }
            }
            // Made in vain.
            claims.held.retain(|(number, _)| *number <= latest);
        }
        Err(Some(error)) => panic!("{error}"),
    }
    Ok(())
}

fn run(steps: &[Step], start: u32, bound: Option<(usize, WhenFull)>) -> TestCaseResult {
    let place = Place::new();
    let open = |first: bool| {
        let store = Store::open(place.path()).unwrap();
        let mut options = Deque::<u32>::options();
        if let Some((max_len, when_full)) = bound.filter(|_| first) {
            options = options.max_len(max_len).when_full(when_full);
        }
        let deque = options.new(&store, "deque").unwrap();
        let source = Deque::<u32>::new(&store, "source").unwrap();
        (store, deque, source)
    };
    let (mut store, mut deque, mut source) = open(true);
    let mut model = Places {
        bound,
        ..Places::default()
    };
    let mut claims = Claims::default();
    let start: Vec<u32> = (0..start).collect();
    prop_assert_eq!(
        full_or(deque.extend(&start)).unwrap(),
        model.push(End::Back, &start)
    );
    for step in steps {
        match step {
            Step::Alone(op) => {
                let mut complete = |_, claim: Claim<u32>| claim.complete_now();
                let both = (&deque, &source);
                apply(both, &mut model, &mut claims, &mut complete, op)?;
            }
            Step::Together { ops, commit } => {
                let both = (&deque, &source);
                together(&store, both, &mut model, &mut claims, (ops, *commit))?;
            }
            Step::Reopen => {
                claims.held.clear();
                for place in &mut model.places {
                    place.1 = None;
                }
                drop((store, deque, source));
                (store, deque, source) = open(false);
            }
        }
        same(&deque, &model)?;
    }
    iterates(&deque, &model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(100), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_deque_does_what_a_vec_deque_does(
        steps in vec(step(), 1..60),
        start in prop_oneof![Just(0), Just(10), Just(250)],
    ) {
        run(&steps, start, None)?;
    }

    #[test]
    fn a_bounded_deque_never_holds_too_many(
        steps in vec(step(), 1..60),
        max_len in prop_oneof![1_usize..6, Just(200)],
        when_full in prop_oneof![Just(WhenFull::Refuse), Just(WhenFull::DropOther)],
        start in prop_oneof![Just(0), Just(3), Just(250)],
    ) {
        run(&steps, start, Some((max_len, when_full)))?;
    }
}
