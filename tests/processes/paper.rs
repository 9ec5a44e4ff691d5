//! What is written about the store, held against the store.

use std::fs;
use std::path::Path;

use diskette::{Barrier, BoundedSemaphore, Deque, Index, Lock, Rate, Store, Throttle};
use diskette_testkit::files_below;
use rusqlite::Connection;

/// A table or a file that nobody wrote down is one that nobody can repair by hand.
#[test]
fn every_table_and_file_is_in_the_description_of_the_format() {
    let paper = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format.md");
    let paper = fs::read_to_string(paper).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    {
        let store = Store::open(&path).unwrap();
        Deque::<u8>::new(&store, "deque").unwrap();
        let index = Index::<u8, String>::new(&store, "index").unwrap();
        index.insert(&1, &"x".repeat(600_000)).unwrap();
        Lock::new(&store, "lock")
            .unwrap()
            .lock()
            .unwrap()
            .release()
            .unwrap();
        BoundedSemaphore::new(&store, "semaphore", 1).unwrap();
        Throttle::new(&store, "throttle", Rate::per_second(1)).unwrap();
        Barrier::new(&store, "barrier", 1).unwrap();
        for file in files_below(&path) {
            let file = file
                .strip_prefix(&path)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let (top, name) = file.split_once('/').unwrap_or(("", &file));
            let described = match top {
                "values" | "owners" => paper.contains(&format!("`{top}/<")),
                "locks" => {
                    paper.contains(&format!("`{name}`"))
                        || paper.contains(&format!("`{top}/{name}`"))
                }
                _ => {
                    paper.contains(&format!("`{name}`"))
                        || paper.contains(&name.replace("store.db", "`store.db"))
                }
            };
            assert!(described || file == "store.db-shm", "{file}");
        }
    }
    #[allow(clippy::disallowed_methods, reason = "nobody has it open")]
    let database = Connection::open(path.join("store.db")).unwrap();
    let mut tables = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
        .unwrap();
    let tables = tables.query_map((), |row| row.get::<_, String>(0)).unwrap();
    for table in tables
        .map(Result::unwrap)
        .filter(|name| !name.starts_with("sqlite_"))
    {
        let described = [format!("`{table}`"), format!("`{table} (")];
        assert!(described.iter().any(|it| paper.contains(it)), "{table}");
    }
}
