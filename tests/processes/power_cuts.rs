//! Power cuts, at each step at which something is taken from the disk.
//!
//! A process changes a store while another one watches its system calls, and knows at each what the disk would have left. A value
//! file was unlinked at once while the row that no longer names it was only in the unsynced log: after a cut the row was
//! back and its file gone, for a value that had been there for hours.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diskette::{Deque, Durability, Index, Store};
use diskette_store::Problem;
use diskette_testkit::{Child, PATIENCE, PowerCuts, Unsynced, eventually, role};
use serde_bytes::ByteBuf;

const CHANGES: [&str; 8] = [
    "replace", "pop", "claim", "remove", "clear", "truncate", "compact", "push",
];
const LEFT_OUT: &[&str] = &["store.db-shm", "board", "bell", "owners/", "locks/", "copy"];

/// The first bytes of all items, and of all entries by key.
type Content = (Vec<u8>, BTreeMap<u8, u8>);

struct Contents {
    store: Store,
    items: Deque<ByteBuf>,
    entries: Index<u8, ByteBuf>,
}

impl Contents {
    fn open(path: &Path, durability: &str) -> Self {
        let durability = match durability {
            "power" => Durability::Power,
            _ => Durability::Process,
        };
        let store = Store::options().durability(durability).open(path).unwrap();
        Contents {
            items: Deque::new(&store, "items").unwrap(),
            entries: Index::new(&store, "entries").unwrap(),
            store,
        }
    }

    fn read(&self) -> Content {
        let first = |value: ByteBuf| {
            assert!(
                value.iter().all(|byte| *byte == value[0]),
                "{} is not whole",
                value[0]
            );
            value[0]
        };
        (
            self.items.iter().map(|item| first(item.unwrap())).collect(),
            self.entries
                .iter()
                .map(Result::unwrap)
                .map(|(key, value)| (key, first(value)))
                .collect(),
        )
    }

    fn change(&self, how: &str) {
        match how {
            "replace" => self.entries.insert(&1, &large(9)).unwrap(),
            "pop" => drop(self.items.pop_front().unwrap().unwrap()),
            "claim" => self
                .items
                .try_claim_front()
                .unwrap()
                .unwrap()
                .complete_now()
                .unwrap(),
            "remove" => drop(self.entries.remove(&1).unwrap().unwrap()),
            "clear" => self.entries.clear().unwrap(),
            "truncate" => self.items.truncate(1).unwrap(),
            "push" => self.items.push_back(&large(13)).unwrap(),
            _ => self.store.compact().unwrap(),
        }
    }
}

/// What a change makes of what was there before.
fn after(how: &str, mut content: Content) -> Content {
    match how {
        "replace" => drop(content.1.insert(1, 9)),
        "pop" | "claim" => drop(content.0.remove(0)),
        "remove" => drop(content.1.remove(&1)),
        "clear" => content.1.clear(),
        "truncate" => content.0.truncate(1),
        "push" => content.0.push(13),
        _ => {}
    }
    content
}

fn large(fill: u8) -> ByteBuf {
    ByteBuf::from(vec![fill; 550_000])
}

fn files(below: &Path) -> u64 {
    let entries = fs::read_dir(below)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

role! {
    /// Changes a store, and stays until what the change leaves is swept away.
    fn actor(parent) {
        let (path, how, durability): (PathBuf, String, String) = (parent.arg(0), parent.arg(1), parent.arg(2));
        let contents = Contents::open(&path, &durability);
        for fill in 1..=3 {
            contents.items.push_back(&large(fill + 9)).unwrap();
            contents.entries.insert(&fill, &large(fill)).unwrap();
        }
        contents.store.compact().unwrap();
        parent.say("ready");
        parent.hear();
        contents.change(&how);
        parent.say("changed");
        eventually(PATIENCE, || files(&path.join("values")) == contents.store.stats().unwrap().value_files);
        parent.say("swept");
        // One more thing that is taken from the disk, so that this is heard.
        for n in 0.. {
            let file = path.join(format!("copy{n}"));
            fs::write(&file, "").unwrap();
            fs::remove_file(file).unwrap();
        }
    }
}

role! {
    /// Watches an actor, and looks at what each power cut would leave.
    fn watcher(parent) {
        let (home, how, durability): (PathBuf, String, String) = (parent.arg(0), parent.arg(1), parent.arg(2));
        let path = home.join("store");
        let mut child = Child::spawn(actor, &[&path.display(), &how, &durability]);
        assert_eq!(child.hear(PATIENCE), "ready");
        let before: Content = (vec![10, 11, 12], (1..=3).map(|key| (key, key)).collect());
        let after = after(&how, before.clone());

        let heard = RefCell::new(Vec::new());
        let mut cuts = 0;
        PowerCuts::of(&path, LEFT_OUT).watch(&mut child, "go", |child, disk| {
            heard.borrow_mut().extend(child.heard());
            let acknowledged = !heard.borrow().is_empty();
            let swept = heard.borrow().iter().any(|line| line == "swept");
            for unsynced in [Unsynced::Kept, Unsynced::Lost] {
                cuts += 1;
                let image = home.join(format!("image{cuts}"));
                disk.image(&image, unsynced);
                let contents = Contents::open(&image, "process");
                let wrong: Vec<_> = contents.store.check().unwrap().problems.into_iter()
                    .filter(|problem| !matches!(problem, Problem::Orphan { .. }))
                    .collect();
                assert_eq!(wrong, [], "{how} at {durability}, {unsynced:?}");
                let found = contents.read();
                if acknowledged && durability == "power" {
                    assert_eq!(found, after, "{how}, {unsynced:?}: what was acknowledged is lost");
                } else {
                    assert!(found == before || found == after, "{how} at {durability}, {unsynced:?}: {found:?}");
                }
                drop(contents);
                fs::remove_dir_all(image).unwrap();
            }
            !swept
        });
        parent.say(cuts);
    }
}

#[test]
fn a_power_cut_takes_nothing_that_was_there_and_leaves_no_half() {
    for durability in ["process", "power"] {
        for how in CHANGES {
            let home = tempfile::tempdir().unwrap();
            let mut child = Child::spawn(watcher, &[&home.path().display(), &how, &durability]);
            let cuts: u32 = child.hear(PATIENCE).parse().unwrap();
            assert!(cuts > 0, "{how} at {durability}");
        }
    }
}

role! {
    /// Makes a store and its backup.
    fn copier(parent) {
        let home: PathBuf = parent.arg(0);
        parent.say("ready");
        parent.hear();
        let contents = Contents::open(&home.join("a/new/store"), "process");
        contents.items.push_back(&large(1)).unwrap();
        contents.entries.insert(&2, &large(2)).unwrap();
        contents.store.backup(home.join("another/new/backup")).unwrap();
        parent.say("copied");
        for n in 0.. {
            let file = home.join(format!("copy{n}"));
            fs::write(&file, "").unwrap();
            fs::remove_file(file).unwrap();
        }
    }
}

role! {
    /// Watches a copier until it has its backup, and looks what a power cut would leave of that.
    fn insurer(parent) {
        let home: PathBuf = parent.arg(0);
        let disk_home = home.join("disk");
        fs::create_dir(&disk_home).unwrap();
        let mut child = Child::spawn(copier, &[&disk_home.display()]);
        assert_eq!(child.hear(PATIENCE), "ready");
        PowerCuts::of(&disk_home, &["copy"]).watch(&mut child, "go", |child, disk| {
            if child.heard().is_none() {
                return true;
            }
            disk.image(&home.join("image"), Unsynced::Lost);
            false
        });
        let left = Contents::open(&home.join("image/another/new/backup"), "process");
        assert_eq!(left.read(), (vec![1], [(2, 2)].into()));
        assert_eq!(left.store.check().unwrap().problems, []);
        assert!(home.join("image/a/new/store/store.db").exists(), "the store itself");
        parent.say("there");
    }
}

/// Neither a backup nor the directory of a store was ever synced.
#[test]
fn a_power_cut_takes_no_backup_that_was_made() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Child::spawn(insurer, &[&home.path().display()]);
    assert_eq!(child.hear(PATIENCE), "there");
}
