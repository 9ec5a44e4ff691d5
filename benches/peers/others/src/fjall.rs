//! Its journal is in the kernel's buffers when a write returns, and synced on demand.

use std::hint::black_box;
use std::rc::Rc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::here;
use crate::subject::{Item, Subject};

struct Open {
    database: Database,
    keyspace: Keyspace,
    power: bool,
}

pub(crate) fn open(power: bool) -> Subject {
    let database = Database::builder(here("fjall")).open().expect("a database");
    let keyspace = database
        .keyspace("bench", KeyspaceCreateOptions::default)
        .expect("a keyspace");
    let set = Rc::new(Open {
        database,
        keyspace,
        power,
    });
    let [get, delete] = [Rc::clone(&set), Rc::clone(&set)];
    Subject::default()
        .with("set", move |items| set.set(items))
        .with("get", move |items| get.get(items))
        .with("delete", move |items| delete.delete(items))
}

impl Open {
    fn set(&self, items: &[Item]) -> usize {
        if let [Item { key, value }] = items {
            self.keyspace.insert(key, value).expect("a write");
        } else {
            let mut batch = self.database.batch();
            for Item { key, value } in items {
                batch.insert(&self.keyspace, key.as_str(), value.as_str());
            }
            batch.commit().expect("a write");
        }
        self.sync();
        items.len()
    }

    fn get(&self, items: &[Item]) -> usize {
        for Item { key, .. } in items {
            let value = self.keyspace.get(key).expect("a read");
            black_box(value.expect("a value").to_vec());
        }
        items.len()
    }

    fn delete(&self, items: &[Item]) -> usize {
        for Item { key, .. } in items {
            self.keyspace.remove(key.as_str()).expect("a write");
        }
        self.sync();
        items.len()
    }

    fn sync(&self) {
        if self.power {
            self.database.persist(PersistMode::SyncAll).expect("a sync");
        }
    }
}
