//! Stores that are looked at by who may only read them: as another user, on a read-only mount, beside a writer and without.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use diskette::{
    Barrier, BoundedSemaphore, Cache, Deque, Index, Lock, RLock, Rate, RwLock, Store, Throttle,
};
use diskette_testkit::{Child, Forked, PATIENCE, SmallDisk, files_below, role};

role! {
    /// Looks at a store, whenever it is told to.
    fn onlooker(parent) {
        let path: PathBuf = parent.arg(0);
        let error = Store::open(&path).unwrap_err();
        assert!(error.is_read_only() && error.to_string().contains("Options::read_only"), "{error}");
        let store = look_at(&path);
        let todo = Deque::<u64>::find(&store, "todo").unwrap().unwrap();
        let pages = Index::<u64, String>::find(&store, "pages").unwrap().unwrap();
        assert!(Index::<u64, String>::find(&store, "none").unwrap().is_none());
        parent.say("open");
        loop {
            match parent.hear().as_str() {
                "look" => {
                    let lengths: usize = pages.iter().map(|page| page.unwrap().1.len()).sum();
                    parent.say(format!("{:?} {lengths}", todo.to_vec().unwrap()));
                }
                "look twice" => store
                    .snapshot(|snapshot| {
                        let look = || pages.within(snapshot).get(&0).unwrap().unwrap();
                        let before = look();
                        parent.say("once");
                        parent.hear();
                        parent.say(before == look());
                        diskette::Ok(())
                    })
                    .unwrap(),
                _ => break,
            }
        }
        assert!(store.check().unwrap().is_sound());
        assert_eq!(store.stats().unwrap().structures.len(), 2);
        assert!(todo.push_back(&1).unwrap_err().is_read_only());
        parent.say("done");
    }
}

role! {
    /// Writes into a store, whenever it is told to.
    fn writer(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        let todo = Deque::<u64>::new(&store, "todo").unwrap();
        let pages = Index::<u64, String>::new(&store, "pages").unwrap();
        parent.say("open");
        loop {
            match parent.hear().as_str() {
                "close" => break,
                "page" => pages.insert(&0, &large('a')).unwrap(),
                number => todo.push_back(&number.parse::<u64>().unwrap()).unwrap(),
            }
            parent.say("written");
        }
        drop((todo, pages, store));
        parent.say("closed");
    }
}

role! {
    /// May not even read.
    fn stranger(parent) {
        let store = Store::options().read_only(true).open(parent.arg::<PathBuf>(0));
        parent.say(store.unwrap_err());
    }
}

role! {
    /// Removes a structure.
    fn remover(parent) {
        let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
        parent.say(store.remove_structure("todo").unwrap());
    }
}

role! {
    /// Opens a store, writes a number, closes the store, and says so after the writing or the closing.
    fn comers_and_goers(parent) {
        for number in 1..=parent.arg::<u64>(1) {
            let store = Store::open(parent.arg::<PathBuf>(0)).unwrap();
            let numbers = Index::<u64, u64>::new(&store, "numbers").unwrap();
            numbers.insert(&0, &number).unwrap();
            let closed_first = number % 2 == 0;
            if !closed_first {
                parent.say(number);
            }
            drop((numbers, store));
            if closed_first {
                parent.say(number);
            }
        }
        parent.hear();
    }
}

role! {
    /// Looks in a forked child as well.
    fn forker(parent) {
        let store = look_at(&parent.arg::<PathBuf>(0));
        loop {
            let seen = todo(&store);
            let child = Forked::child(|| {
                assert_eq!(todo(&store), seen);
                store.snapshot(|_| diskette::Ok(())).unwrap();
            });
            assert!(child.ended_well());
            assert_eq!(todo(&store), seen);
            parent.say(format!("{seen:?}"));
            parent.hear();
        }
    }
}

struct Writer(Child);

impl Writer {
    fn open(path: &Path) -> Self {
        let mut child = Child::spawn(writer, &[&path.display()]);
        assert_eq!(child.hear(PATIENCE), "open");
        Self(child)
    }

    fn write(&mut self, what: impl std::fmt::Display) {
        self.0.say(what);
        assert_eq!(self.0.hear(PATIENCE), "written");
    }

    fn close(mut self) {
        self.0.say("close");
        assert_eq!(self.0.hear(PATIENCE), "closed");
        self.0.wait(PATIENCE);
    }
}

fn large(letter: char) -> String {
    letter.to_string().repeat(600_000)
}

fn look_at(path: &Path) -> Store {
    Store::options().read_only(true).open(path).unwrap()
}

/// A store in which the todo is `[1]`, closed in order.
fn make(path: &Path) {
    let mut writer = Writer::open(path);
    writer.write(1);
    writer.close();
}

fn todo(store: &Store) -> Vec<u64> {
    let todo = Deque::<u64>::find(store, "todo").unwrap().unwrap();
    todo.to_vec().unwrap()
}

/// All files and directories of a store, with what tells whether one was changed.
fn state(path: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut all = files_below(path);
    all.extend(["", "locks", "owners", "values"].map(|it| path.join(it)));
    let state = |path: PathBuf| {
        let found = fs::metadata(&path).unwrap();
        (path, (found.size(), found.mtime(), found.mtime_nsec()))
    };
    all.into_iter().map(state).collect()
}

fn run(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}

/// What starts this program as another user, if it can be.
fn as_another() -> Option<[&'static str; 4]> {
    let starter = [
        "setpriv",
        "--reuid=54003",
        "--regid=54003",
        "--clear-groups",
    ];
    let this = std::env::current_exe().unwrap();
    let args = [&starter[1..], &[this.to_str().unwrap(), "--list"]].concat();
    if run(starter[0], &args) {
        return Some(starter);
    }
    eprintln!("not tested: this user can't become another, or that one can't run this program");
    None
}

/// An operator who may not write to a service's store couldn't look at it at all.
#[test]
fn another_user_looks_at_a_store_beside_its_writer() {
    let Some(another) = as_another() else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("store");
    make(&path);
    assert!(run("chmod", &["-R", "go+rX", path.to_str().unwrap()]));

    let mut writer = Writer::open(&path);
    let mut onlooker = Child::spawn_under(&another, onlooker, &[&path.display()]);
    assert_eq!(onlooker.hear(PATIENCE), "open");
    let mut look = || {
        onlooker.say("look");
        onlooker.hear(PATIENCE)
    };
    assert_eq!(look(), "[1] 0");
    for n in 2..5 {
        writer.write(n);
        let all: Vec<u64> = (1..=n).collect();
        assert_eq!(look(), format!("{all:?} 0"));
    }
    // A large value's file, made after the permissions were given, is for the same readers.
    writer.write("page");
    assert_eq!(look(), "[1, 2, 3, 4] 600000");

    // A value that a snapshot sees stays as long as the snapshot, whatever replaces it.
    onlooker.say("look twice");
    assert_eq!(onlooker.hear(PATIENCE), "once");
    writer.write("page");
    writer.close();
    let mut writer = Writer::open(&path);
    onlooker.say("again");
    assert_eq!(onlooker.hear(PATIENCE), "true");

    // What a killed writer has committed is seen, and what the next one does.
    writer.write(5);
    writer.0.kill();
    let mut look = || {
        onlooker.say("look");
        onlooker.hear(PATIENCE)
    };
    assert_eq!(look(), "[1, 2, 3, 4, 5] 600000");
    let mut writer = Writer::open(&path);
    writer.write(6);
    assert_eq!(look(), "[1, 2, 3, 4, 5, 6] 600000");
    onlooker.say("end");
    assert_eq!(onlooker.hear(PATIENCE), "done");
}

#[test]
fn who_may_not_read_is_told_so() {
    let Some(another) = as_another() else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("store");
    make(&path);
    for readable in [&path, &path.join("store.db")] {
        let mut stranger = Child::spawn_under(&another, stranger, &[&path.display()]);
        let error = stranger.hear(PATIENCE);
        assert!(error.contains("may not read"), "{error}");
        assert!(run("chmod", &["go+rx", readable.to_str().unwrap()]));
    }
}

/// Without a log, SQLite reads a database as one that never changes.
#[test]
fn writers_who_come_later_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a store? 100% of it, #1: ä");
    make(&path);
    let before = state(&path);
    let store = look_at(&path);
    assert_eq!(todo(&store), [1]);
    assert!(store.check().unwrap().is_sound());
    assert_eq!(state(&path), before);

    let pages = Index::<u64, String>::find(&store, "pages")
        .unwrap()
        .unwrap();
    let mut writer = Writer::open(&path);
    // One commit is all that a log needs to be read, and one statement sees it.
    writer.write("page");
    assert_eq!(pages.get(&0).unwrap(), Some(large('a')));
    writer.write(2);
    assert_eq!(todo(&store), [1, 2]);
    writer.close();
    assert_eq!(todo(&store), [1, 2]);
    let mut writer = Writer::open(&path);
    writer.write(3);
    assert_eq!(todo(&store), [1, 2, 3]);
    writer.0.kill();
    let before = state(&path);
    assert_eq!(todo(&store), [1, 2, 3]);
    assert!(store.check().unwrap().is_sound());
    drop((pages, store));
    assert_eq!(todo(&look_at(&path)), [1, 2, 3]);
    assert_eq!(state(&path), before);
    make(&path); // which is open to all again
    assert_eq!(todo(&look_at(&path)), [1, 2, 3, 1]);
}

/// Whatever a writer has said is done is seen, while the log comes and goes.
#[test]
fn nothing_stale_is_read_beside_writers_who_come_and_go() {
    const LAST: u64 = 150;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    let mut writers = Child::spawn(comers_and_goers, &[&path.display(), &LAST]);
    let mut done = 0;
    while done < LAST {
        // Sometimes there is no log yet, sometimes no more.
        let store = look_at(&path);
        while let Some(number) = writers.heard() {
            done = number.parse().unwrap();
        }
        let numbers = Index::<u64, u64>::find(&store, "numbers").unwrap();
        let look = || {
            let numbers = numbers.as_ref();
            let seen = numbers.and_then(|numbers| numbers.get(&0).unwrap());
            assert!(seen.unwrap_or(0) >= done, "{seen:?} instead of {done}");
        };
        thread::scope(|scope| {
            scope.spawn(look);
            scope.spawn(look);
        });
    }
}

#[test]
fn a_forked_child_looks_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    let mut forker = Child::spawn(forker, &[&path.display()]);
    assert_eq!(forker.hear(PATIENCE), "[1]");
    let mut writer = Writer::open(&path);
    writer.write(2);
    for _ in 0..2 {
        forker.say("look");
        assert_eq!(forker.hear(PATIENCE), "[1, 2]");
    }
    writer.close();
    forker.say("look");
    assert_eq!(forker.hear(PATIENCE), "[1, 2]");
}

/// A snapshot without a log can't go on beside a writer; it doesn't go on with a mixture.
#[test]
fn a_snapshot_before_the_first_writer_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    let store = look_at(&path);
    let todo = Deque::<u64>::find(&store, "todo").unwrap().unwrap();
    let mut writer = None;
    let looked = store.snapshot(|snapshot| {
        assert_eq!(todo.within(snapshot).len()?, 1);
        let there = writer.insert(Writer::open(&path));
        there.write(2);
        todo.within(snapshot).len()
    });
    let error = looked.unwrap_err();
    assert!(error.to_string().contains("begin anew"), "{error}");
    let len = store.snapshot(|snapshot| todo.within(snapshot).len());
    assert_eq!(len.unwrap(), 2);
}

#[test]
fn a_store_that_is_gone_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("store"), dir.path().join("aside"));
    make(&path);
    let store = look_at(&path);
    assert_eq!(todo(&store), [1]);
    fs::rename(&path, &aside).unwrap();
    let gone = |store: &Store| Deque::<u64>::find(store, "todo").unwrap_err();
    assert!(gone(&store).is_removed(), "{}", gone(&store));
    make(&path);
    assert!(gone(&store).is_removed());
    assert_eq!(todo(&look_at(&path)), [1]);

    let store = look_at(&path);
    let todo = Deque::<u64>::find(&store, "todo").unwrap().unwrap();
    let mut writer = Writer::open(&path);
    writer.write(2);
    assert_eq!(todo.len().unwrap(), 2);
    let mut child = Child::spawn(remover, &[&path.display()]);
    assert_eq!(child.hear(PATIENCE), "true");
    assert!(todo.get(0).unwrap_err().is_removed());
}

#[test]
fn a_store_is_read_on_a_read_only_mount() {
    let Some(disk) = SmallDisk::mount(32) else {
        eprintln!("not tested: this user may not mount");
        return;
    };
    let path = disk.path().join("store");
    make(&path);
    disk.remount("ro");
    let error = Store::open(&path).unwrap_err();
    assert!(
        error.is_read_only() && error.to_string().contains("Options::read_only"),
        "{error}"
    );
    assert_eq!(todo(&look_at(&path)), [1]);

    // Killed: what was committed is in the log.
    disk.remount("rw");
    let mut writer = Writer::open(&path);
    writer.write(2);
    writer.0.kill();
    disk.remount("ro");
    assert!(fs::metadata(path.join("store.db-wal")).unwrap().len() > 0);
    let store = look_at(&path);
    assert_eq!(todo(&store), [1, 2]);
    assert!(store.check().unwrap().is_sound());
    let copy = tempfile::tempdir().unwrap();
    store.backup(copy.path().join("copy")).unwrap();
    assert_eq!(
        todo(&Store::open(copy.path().join("copy")).unwrap()),
        [1, 2]
    );
    drop(store);

    // A log whose index is missing can't be read without making that.
    disk.remount("rw");
    fs::remove_file(path.join("store.db-shm")).unwrap();
    disk.remount("ro");
    let error = Store::options().read_only(true).open(&path).unwrap_err();
    assert!(
        error.is_read_only() && error.to_string().contains("a user who may write"),
        "{error}"
    );
    disk.remount("rw");
    drop(Store::open(&path).unwrap());
    disk.remount("ro");
    assert_eq!(todo(&look_at(&path)), [1, 2]);
}

/// Nothing is written by this way, and all by another.
#[test]
fn a_read_only_mount_shows_what_is_written_elsewhere() {
    let Some(disk) = SmallDisk::mount(32) else {
        eprintln!("not tested: this user may not mount");
        return;
    };
    let (path, mirror) = (disk.path().join("store"), disk.path().join("mirror"));
    make(&path);
    fs::create_dir(&mirror).unwrap();
    let mount = [path.to_str().unwrap(), mirror.to_str().unwrap()];
    assert!(run("mount", &["-o", "bind,ro", mount[0], mount[1]]));
    assert!(File::create(mirror.join("file")).is_err());
    {
        let store = look_at(&mirror);
        assert_eq!(todo(&store), [1]);
        let mut writer = Writer::open(&path);
        writer.write(2);
        assert_eq!(todo(&store), [1, 2]);
        writer.write(3);
        assert_eq!(todo(&store), [1, 2, 3]);
    }
    assert!(run("umount", &["-l", mount[1]]));
}

fn refused<R: Debug>(call: diskette::Result<R>) {
    match call {
        Ok(done) => panic!("it was done: {done:?}"),
        Err(error) => assert!(
            error.is_read_only() && error.to_string().contains("open for reading only"),
            "{error}"
        ),
    }
}

fn all_that_writes_is_refused(store: &Store) {
    let rate = Rate::per_second(10);
    refused(Lock::new(store, "lock"));
    refused(Lock::find(store, "lock"));
    refused(RLock::new(store, "rlock"));
    refused(RwLock::new(store, "rwlock"));
    refused(BoundedSemaphore::new(store, "semaphore", 2));
    refused(BoundedSemaphore::find(store, "semaphore"));
    let barrier = Barrier::find(store, "barrier").unwrap().unwrap();
    refused(barrier.wait_timeout(Duration::ZERO));
    let throttle = Throttle::new(store, "throttle", [rate]).unwrap();
    refused(throttle.try_acquire().map(drop));
    refused(throttle.reserve());

    let todo = Deque::<String>::new(store, "todo").unwrap();
    assert_eq!(todo.len().unwrap(), 1);
    refused(todo.push_back("item"));
    refused(todo.push_back(&large('b')));
    refused(todo.pop_front());
    refused(todo.pop_front_timeout(PATIENCE));
    refused(todo.claim_front(PATIENCE));
    refused(todo.try_claim_front());
    refused(todo.clear());
    let pages = Index::<u64, String>::new(store, "pages").unwrap();
    assert_eq!(pages.get(&1).unwrap().as_deref(), Some("one"));
    refused(pages.insert(&1, "two"));
    refused(pages.remove(&1));
    refused(pages.insert(&2, &large('b')));
    let cache = Cache::<u64, u64>::new(store, "cache").unwrap();
    assert_eq!(cache.get(&1).unwrap(), Some(1));
    assert_eq!(cache.memoize(&1, PATIENCE, || 2).unwrap(), 1);
    refused(cache.memoize(&2, PATIENCE, || 2));
    refused(cache.insert(&1, &2));
    refused(cache.insert_if_absent(&2, &2, PATIENCE));
    refused(cache.touch(&1, PATIENCE));
    refused(cache.cull());
    refused(cache.set_max_entries(Some(1)));
    refused(cache.upkeep(PATIENCE));
    refused(Deque::<String>::new(store, "new"));
    assert!(Deque::<String>::find(store, "new").unwrap().is_none());

    refused(store.transaction(|_| diskette::Ok(())));
    refused(store.remove_structure("todo"));
    refused(store.rename_structure("todo", "done"));
    refused(store.compact());
    refused(store.repair());
    store
        .snapshot(|snapshot| {
            assert_eq!(todo.within(snapshot).to_vec()?, ["item"]);
            diskette::Ok(())
        })
        .unwrap();
}

#[test]
fn all_that_writes_is_refused_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    {
        let store = Store::open(&path).unwrap();
        Lock::new(&store, "lock").unwrap();
        RLock::new(&store, "rlock").unwrap();
        RwLock::new(&store, "rwlock").unwrap();
        BoundedSemaphore::new(&store, "semaphore", 2).unwrap();
        Barrier::new(&store, "barrier", 2).unwrap();
        Throttle::new(&store, "throttle", [Rate::per_second(10)]).unwrap();
        let todo = Deque::<String>::new(&store, "todo").unwrap();
        todo.push_back("item").unwrap();
        let pages = Index::<u64, String>::new(&store, "pages").unwrap();
        pages.insert(&1, "one").unwrap();
        let cache = Cache::<u64, u64>::new(&store, "cache").unwrap();
        cache.insert(&1, &1).unwrap();
        // Beside one that writes, in one process.
        let looking = look_at(&path);
        assert!(looking.is_read_only() && !store.is_read_only());
        all_that_writes_is_refused(&looking);
        todo.pop_front().unwrap();
        todo.push_back("item").unwrap();
    }
    let before = state(&path);
    let store = look_at(&path);
    all_that_writes_is_refused(&store);
    assert!(store.check().unwrap().is_sound());
    assert_eq!(store.stats().unwrap().structures.len(), 9);
    let error = Store::open(&path).unwrap_err();
    assert!(error.is_misuse(), "{error}");
    drop(store);
    assert_eq!(state(&path), before);
    Store::open(&path).unwrap();

    let nowhere = dir.path().join("nowhere");
    let error = Store::options().read_only(true).open(&nowhere).unwrap_err();
    assert!(error.is_not_a_store() && !nowhere.exists(), "{error}");
}
