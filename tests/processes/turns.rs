//! What is done within the turn to write, for which all others wait, and what is not.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::OnceLock;

use diskette::{Deque, Index, Store};
use diskette_ipc::{Deadline, clock};
use diskette_testkit::{Child, PATIENCE, eventually, role};
use serde_bytes::ByteBuf;

/// An item that, when it is read in a process that has a `DIRECTORY`, says so there and waits for a file.
#[derive(serde::Serialize)]
struct Slow(ByteBuf);

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

impl<'de> serde::Deserialize<'de> for Slow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if let Some(directory) = DIRECTORY.get() {
            File::create(directory.join("reading")).unwrap();
            let deadline = Deadline::after(PATIENCE / 3);
            while !directory.join("others have written").exists() {
                if deadline.is_past() {
                    return Err(serde::de::Error::custom("nobody could write meanwhile"));
                }
                clock::sleep(std::time::Duration::from_millis(1));
            }
        }
        ByteBuf::deserialize(deserializer).map(Slow)
    }
}

fn large() -> Slow {
    Slow(ByteBuf::from(vec![7; 600_000]))
}

role! {
    /// Takes a large item, in one of several ways.
    fn taker(parent) {
        let (path, how): (PathBuf, String) = (parent.arg(0), parent.arg(1));
        DIRECTORY.set(path.parent().unwrap().to_owned()).unwrap();
        let store = Store::open(&path).unwrap();
        let items = Deque::<Slow>::new(&store, "items").unwrap();
        let index = Index::<u8, Slow>::new(&store, "index").unwrap();
        let length = |item: Slow| item.0.len();
        parent.say(match how.as_str() {
            "pop" => items.pop_front().unwrap().map(length),
            "pop_many" => items.pop_back_many(3).unwrap().pop().map(length),
            "claim" => items.try_claim_front().unwrap().map(|item| item.0.len()),
            "remove" => index.remove(&1).unwrap().map(length),
            "replace" => index.replace(&1, &large()).unwrap().map(length),
            _ => index.pop_first().unwrap().map(|(_, item)| length(item)),
        }.unwrap_or(0));
    }
}

/// Others waited for 1.26 s while items of 200 MB were popped: each was read and decoded within the turn to write.
#[test]
fn a_large_item_is_read_while_others_write() {
    for how in ["pop", "pop_many", "claim", "remove", "replace", "pop_first"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let store = Store::open(&path).unwrap();
        Deque::<Slow>::new(&store, "items")
            .unwrap()
            .push_back(&large())
            .unwrap();
        Index::<u8, Slow>::new(&store, "index")
            .unwrap()
            .insert(&1, &large())
            .unwrap();
        let others = Deque::<u8>::new(&store, "others").unwrap();

        let mut child = Child::spawn(taker, &[&path.display(), &how]);
        eventually(PATIENCE, || dir.path().join("reading").exists());
        others.push_back(&1).unwrap();
        fs::write(dir.path().join("others have written"), "").unwrap();
        assert_eq!(child.hear(PATIENCE), "600000", "{how}");
    }
}

/// Nothing is lost by an item that can't be read.
#[test]
fn a_large_item_that_cannot_be_read_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let items = Deque::<Slow>::new(&store, "items").unwrap();
    items.push_back(&large()).unwrap();
    let wrong = Deque::<Vec<String>>::new(&store, "items").unwrap();
    assert!(wrong.pop_front().unwrap_err().is_codec());
    assert!(wrong.pop_front_many(2).unwrap_err().is_codec());
    assert!(wrong.try_claim_front().unwrap_err().is_codec());
    assert_eq!(items.pop_front().unwrap().unwrap().0.len(), 600_000);
}
