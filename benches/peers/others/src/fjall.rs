//! Its journal is in the kernel's buffers when a write returns, and synced on demand.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::here;
use crate::keyed::{self, Keyed};
use crate::subject::Subject;

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
    keyed::subject(Open {
        database,
        keyspace,
        power,
    })
}

impl Keyed for Open {
    fn write<'i>(&self, changes: impl ExactSizeIterator<Item = (&'i str, Option<&'i str>)>) {
        let mut batch = (changes.len() > 1).then(|| self.database.batch());
        for (key, value) in changes {
            match (value, &mut batch) {
                (Some(value), None) => self.keyspace.insert(key, value).expect("a write"),
                (None, None) => self.keyspace.remove(key).expect("a write"),
                (Some(value), Some(batch)) => batch.insert(&self.keyspace, key, value),
                (None, Some(batch)) => batch.remove(&self.keyspace, key),
            }
        }
        if let Some(batch) = batch {
            batch.commit().expect("a write");
        }
        if self.power {
            self.database.persist(PersistMode::SyncAll).expect("a sync");
        }
    }

    fn read<'i>(&self, keys: impl Iterator<Item = &'i str>, found: impl Fn(&[u8])) {
        for key in keys {
            let value = self.keyspace.get(key).expect("a read");
            found(&value.expect("a value"));
        }
    }
}
