//! Power cuts, at each step of a change: nothing is half done, and nothing is lost that a call at `Durability::Power`
//! returned from.
//!
//! A disk writes down what it likes, in the order that it likes, until it is told to sync. A value file was unlinked while
//! the row that had named it was gone in the unsynced log only: after a cut the row was back, and its file gone, for a value
//! that had been there for hours.

use std::error::Error;
use std::path::{Path, PathBuf};

use diskette::{Deque, Durability, Index, Problem, Store};
use diskette_store::INLINE;
use diskette_testkit::{
    Child, PATIENCE, Parent, PowerCut, eventually, files_below, power_cuts, role,
};
use serde_bytes::ByteBuf;

use crate::crashes::durability;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The items of a deque and the values of an index, each of them large and filled with this.
type State = (Vec<u8>, Vec<u8>);

struct Contents {
    store: Store,
    items: Deque<ByteBuf>,
    entries: Index<u8, ByteBuf>,
}

impl Contents {
    fn open(path: &Path, durability: Durability) -> Result<Self> {
        let store = Store::options().durability(durability).open(path)?;
        Ok(Contents {
            items: Deque::new(&store, "items")?,
            entries: Index::new(&store, "entries")?,
            store,
        })
    }

    fn back_up(&self, beside: &str) {
        let to = self.store.path().with_file_name(beside);
        self.store.backup(to).unwrap();
    }

    /// Whether no file is on the disk but those that are named.
    fn are_swept(&self) -> bool {
        let named = self.items.len().unwrap() + self.entries.len().unwrap();
        files_below(&self.store.path().join("values")).len() == named
    }
}

fn large(fill: u8) -> ByteBuf {
    ByteBuf::from(vec![fill; INLINE + 1])
}

fn fill_of(value: &ByteBuf) -> Result<u8> {
    match value.first() {
        Some(&fill) if *value == large(fill) => Ok(fill),
        fill => Err(format!("the value of {fill:?} is not whole").into()),
    }
}

/// What is in the store at `path`, which is sound but for files that nobody names.
fn left(path: &Path) -> Result<State> {
    let contents = Contents::open(path, Durability::Process)?;
    let mut problems = contents.store.check()?.problems;
    problems.retain(|problem| !matches!(problem, Problem::Orphan { .. }));
    if !problems.is_empty() {
        return Err(format!("{problems:?}").into());
    }
    let mut state = State::default();
    for entry in contents.entries.range::<u8, _>(..) {
        state.1.push(fill_of(&entry?.1)?);
    }
    while let Some(item) = contents.items.pop_front()? {
        state.0.push(fill_of(&item)?);
    }
    Ok(state)
}

role! {
    /// Fills a store, and has it all synced.
    fn filler(parent) {
        let path: PathBuf = parent.arg(0);
        let contents = Contents::open(&path, Durability::Power).unwrap();
        for fill in before().0 {
            contents.items.push_back(&large(fill)).unwrap();
        }
        for fill in before().1 {
            contents.entries.insert(&fill, &large(fill)).unwrap();
        }
        contents.store.compact().unwrap();
    }
}

fn before() -> State {
    (vec![10, 11], vec![1, 2])
}

/// Opens a store, takes the steps, says when each has returned, and stays until all that they leave is swept away.
fn act(parent: &Parent, steps: &[fn(&Contents)]) {
    parent.hear();
    let (path, power): (PathBuf, bool) = (parent.arg(0), parent.arg(1));
    let contents = Contents::open(&path, durability(power)).unwrap();
    parent.say("opened");
    for (number, step) in (1..).zip(steps) {
        step(&contents);
        parent.say(format!("step {number}"));
    }
    eventually(PATIENCE, || contents.are_swept());
}

/// Fails if a power cut leaves a store at `below` that isn't whole, or that has what `history` doesn't know: what was
/// there before and after each of the steps that `actor` takes.
#[track_caller]
fn survives_at<F: Fn() + Copy>(
    below: &str,
    actor: F,
    history: &[State],
    also: impl Fn(&PowerCut<'_>, &Path) -> Result<()>,
) {
    let mut losses = Vec::new();
    for power in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(below);
        if history[0] != State::default() {
            let mut filler = Child::spawn(filler, &[&path.display()]);
            assert!(filler.wait(PATIENCE).success());
        }
        power_cuts(actor, &[&path.display(), &power], home.path(), |cut| {
            let image = tempfile::tempdir().unwrap();
            cut.restore(image.path());
            let steps = cut.said().len().saturating_sub(1);
            let possible = &history[if power { steps } else { 0 }..];
            let whole =
                left(&image.path().join(below)).and_then(|state| match possible.contains(&state) {
                    true => also(cut, image.path()),
                    false => Err(format!("{state:?} is left, not one of {possible:?}").into()),
                });
            if let Err(wrong) = whole {
                losses.push(format!("{:?}: {wrong}: {cut}", durability(power)));
            }
        });
    }
    let count = losses.len();
    assert!(count == 0, "{count} power cuts, such as\n{}", losses[0]);
}

#[track_caller]
fn survives<F: Fn() + Copy>(actor: F, history: &[State]) {
    survives_at("store", actor, history, |_, _| Ok(()));
}

role! {
    fn founder(parent) {
        act(parent, &[
            |contents| contents.items.push_back(&large(7)).unwrap(),
            |contents| contents.entries.insert(&8, &large(8)).unwrap(),
        ]);
    }
}

#[test]
fn a_new_store_is_there_with_all_that_it_was_given() {
    let history = [(vec![], vec![]), (vec![7], vec![]), (vec![7], vec![8])];
    survives_at("store", founder, &history, |_, _| Ok(()));
}

/// The directory of a store was synced, but none that was made on the way to it.
#[test]
fn the_way_to_a_new_store_is_there() {
    let history = [(vec![], vec![]), (vec![7], vec![]), (vec![7], vec![8])];
    survives_at("a/new/store", founder, &history, |_, _| Ok(()));
}

role! {
    fn inserter(parent) {
        act(parent, &[|contents| contents.entries.insert(&3, &large(3)).unwrap()]);
    }
}

#[test]
fn a_value_that_is_inserted_is_whole_or_not_there() {
    survives(inserter, &[before(), (vec![10, 11], vec![1, 2, 3])]);
}

role! {
    fn replacer(parent) {
        act(parent, &[|contents| contents.entries.insert(&1, &large(9)).unwrap()]);
    }
}

#[test]
fn a_value_that_is_replaced_is_the_old_or_the_new() {
    survives(replacer, &[before(), (vec![10, 11], vec![9, 2])]);
}

role! {
    fn remover(parent) {
        act(parent, &[|contents| assert!(contents.entries.remove(&1).unwrap().is_some())]);
    }
}

#[test]
fn a_value_that_is_removed_is_whole_until_then() {
    survives(remover, &[before(), (vec![10, 11], vec![2])]);
}

role! {
    fn clearer(parent) {
        act(parent, &[
            |contents| contents.entries.clear().unwrap(),
            |contents| contents.items.clear().unwrap(),
        ]);
    }
}

#[test]
fn what_is_cleared_is_there_or_gone_all_at_once() {
    let history = [before(), (vec![10, 11], vec![]), (vec![], vec![])];
    survives(clearer, &history);
}

role! {
    fn popper(parent) {
        act(parent, &[
            |contents| assert!(contents.items.pop_front().unwrap().is_some()),
            |contents| assert!(contents.items.pop_front().unwrap().is_some()),
        ]);
    }
}

/// A deque whose front had lost its file could not be popped any more.
#[test]
fn a_deque_can_always_be_popped_through() {
    let history = [before(), (vec![11], vec![1, 2]), (vec![], vec![1, 2])];
    survives(popper, &history);
}

role! {
    fn claimer(parent) {
        act(parent, &[|contents| {
            let claim = contents.items.try_claim_front().unwrap().unwrap();
            claim.complete_now().unwrap();
        }]);
    }
}

#[test]
fn an_item_that_is_claimed_is_back_until_it_is_complete() {
    survives(claimer, &[before(), (vec![11], vec![1, 2])]);
}

role! {
    fn truncater(parent) {
        act(parent, &[|contents| contents.items.truncate(1).unwrap()]);
    }
}

#[test]
fn a_deque_that_is_truncated_keeps_its_beginning() {
    survives(truncater, &[before(), (vec![10], vec![1, 2])]);
}

role! {
    fn compacter(parent) {
        act(parent, &[
            |contents| contents.entries.insert(&1, &large(9)).unwrap(),
            |contents| contents.store.compact().unwrap(),
            |contents| assert!(contents.items.pop_back().unwrap().is_some()),
        ]);
    }
}

#[test]
fn a_store_that_is_compacted_is_all_there() {
    let replaced = (vec![10, 11], vec![9, 2]);
    let history = [before(), replaced.clone(), replaced, (vec![10], vec![9, 2])];
    survives(compacter, &history);
}

role! {
    fn copier(parent) {
        act(parent, &[
            |contents| contents.entries.insert(&1, &large(9)).unwrap(),
            |contents| contents.back_up("copy"),
            |contents| contents.entries.clear().unwrap(),
        ]);
    }
}

/// Nothing of a backup was synced: neither its database nor the names of its value files, nor its own name.
#[test]
fn a_backup_that_was_made_is_there_at_either_durability() {
    survives_with_backup(copier, "copy");
}

role! {
    fn traveller(parent) {
        act(parent, &[
            |contents| contents.entries.insert(&1, &large(9)).unwrap(),
            |contents| contents.back_up("a/new/copy"),
            |contents| contents.entries.clear().unwrap(),
        ]);
    }
}

/// The directory of a backup was synced, but none that was made on the way to it.
#[test]
fn the_way_to_a_backup_is_there() {
    survives_with_backup(traveller, "a/new/copy");
}

#[track_caller]
fn survives_with_backup<F: Fn() + Copy>(actor: F, copy: &str) {
    let copied: State = (vec![10, 11], vec![9, 2]);
    let cleared = (vec![10, 11], vec![]);
    let history = [before(), copied.clone(), copied.clone(), cleared];
    survives_at("store", actor, &history, |cut, image| {
        if cut.said().iter().any(|line| line == "step 2") {
            let found = left(&image.join(copy))?;
            if found != copied {
                return Err(format!("{found:?} is left of the backup").into());
            }
        }
        Ok(())
    });
}
