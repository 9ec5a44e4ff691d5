//! Without `power`, by `Durability::None`: what was not followed by a synced commit is lost with the process.

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use crate::here;
use crate::keyed::{self, Keyed};
use crate::subject::Subject;

const TABLE: TableDefinition<'_, &str, &str> = TableDefinition::new("bench");

struct Open {
    database: Database,
    durability: Durability,
}

pub(crate) fn open(power: bool) -> Subject {
    let database = Database::create(here("redb")).expect("a database");
    let durability = match power {
        true => Durability::Immediate,
        false => Durability::None,
    };
    keyed::subject(Open {
        database,
        durability,
    })
}

impl Keyed for Open {
    fn write<'i>(&self, changes: impl ExactSizeIterator<Item = (&'i str, Option<&'i str>)>) {
        let mut txn = self.database.begin_write().expect("a transaction");
        txn.set_durability(self.durability).expect("a setting");
        let mut table = txn.open_table(TABLE).expect("a table");
        for (key, value) in changes {
            match value {
                Some(value) => drop(table.insert(key, value).expect("a write")),
                None => assert!(table.remove(key).expect("a write").is_some()),
            }
        }
        drop(table);
        txn.commit().expect("a write");
    }

    fn read<'i>(&self, keys: impl Iterator<Item = &'i str>, found: impl Fn(&[u8])) {
        let txn = self.database.begin_read().expect("a transaction");
        let table = txn.open_table(TABLE).expect("a table");
        for key in keys {
            let value = table.get(key).expect("a read");
            found(value.expect("a value").value().as_bytes());
        }
    }
}
