//! By heed. With `NO_SYNC` a killed process loses nothing, but a power cut may corrupt all of it.

use std::hint::black_box;
use std::rc::Rc;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};

use crate::here;
use crate::subject::{Item, Subject};

/// As large as it may become.
const MAP: usize = 64 << 30;

struct Open {
    env: Env,
    database: Database<Bytes, Bytes>,
}

pub(crate) fn open(power: bool) -> Subject {
    let path = here("lmdb");
    std::fs::create_dir_all(&path).expect("a directory");
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP);
    if !power {
        // SAFETY: nobody cuts the power.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: only processes of this bench have the file open, each of them once.
    let env = unsafe { options.open(path) }.expect("a database");
    let mut txn = env.write_txn().expect("a transaction");
    let database = env.create_database(&mut txn, None).expect("a database");
    txn.commit().expect("a write");
    let set = Rc::new(Open { env, database });
    let [get, delete] = [Rc::clone(&set), Rc::clone(&set)];
    Subject::default()
        .with("set", move |items| set.set(items))
        .with("get", move |items| get.get(items))
        .with("delete", move |items| delete.delete(items))
}

impl Open {
    fn set(&self, items: &[Item]) -> usize {
        let mut txn = self.env.write_txn().expect("a transaction");
        for Item { key, value } in items {
            self.database
                .put(&mut txn, key.as_bytes(), value.as_bytes())
                .expect("a write");
        }
        txn.commit().expect("a write");
        items.len()
    }

    fn get(&self, items: &[Item]) -> usize {
        let txn = self.env.read_txn().expect("a transaction");
        for Item { key, .. } in items {
            let value = self.database.get(&txn, key.as_bytes()).expect("a read");
            black_box(value.expect("a value").to_vec());
        }
        items.len()
    }

    fn delete(&self, items: &[Item]) -> usize {
        let mut txn = self.env.write_txn().expect("a transaction");
        for Item { key, .. } in items {
            let deleted = self.database.delete(&mut txn, key.as_bytes());
            assert!(deleted.expect("a write"));
        }
        txn.commit().expect("a write");
        items.len()
    }
}
