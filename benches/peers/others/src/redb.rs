//! Without `power`, by `Durability::None`: what was not followed by a synced commit is lost with the process.

use std::hint::black_box;
use std::rc::Rc;

use redb::{Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};

use crate::here;
use crate::subject::{Item, Subject};

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
    let set = Rc::new(Open {
        database,
        durability,
    });
    let [get, delete] = [Rc::clone(&set), Rc::clone(&set)];
    Subject::default()
        .with("set", move |items| set.set(items))
        .with("get", move |items| get.get(items))
        .with("delete", move |items| delete.delete(items))
}

impl Open {
    fn begin(&self) -> WriteTransaction {
        let mut txn = self.database.begin_write().expect("a transaction");
        txn.set_durability(self.durability).expect("a setting");
        txn
    }

    fn set(&self, items: &[Item]) -> usize {
        let txn = self.begin();
        let mut table = txn.open_table(TABLE).expect("a table");
        for Item { key, value } in items {
            table.insert(key.as_str(), value.as_str()).expect("a write");
        }
        drop(table);
        txn.commit().expect("a write");
        items.len()
    }

    fn get(&self, items: &[Item]) -> usize {
        let txn = self.database.begin_read().expect("a transaction");
        let table = txn.open_table(TABLE).expect("a table");
        for Item { key, .. } in items {
            let value = table.get(key.as_str()).expect("a read");
            black_box(value.expect("a value").value().to_owned());
        }
        items.len()
    }

    fn delete(&self, items: &[Item]) -> usize {
        let txn = self.begin();
        let mut table = txn.open_table(TABLE).expect("a table");
        for Item { key, .. } in items {
            let deleted = table.remove(key.as_str()).expect("a write");
            assert!(deleted.is_some());
        }
        drop(table);
        txn.commit().expect("a write");
        items.len()
    }
}
