//! By heed. With `NO_SYNC` a killed process loses nothing, but a power cut may corrupt all of it.

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};

use crate::here;
use crate::keyed::{self, Keyed};
use crate::subject::Subject;

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
    keyed::subject(Open { env, database })
}

impl Keyed for Open {
    fn write<'i>(&self, changes: impl ExactSizeIterator<Item = (&'i str, Option<&'i str>)>) {
        let mut txn = self.env.write_txn().expect("a transaction");
        for (key, value) in changes {
            let (database, key) = (self.database, key.as_bytes());
            match value {
                Some(value) => database.put(&mut txn, key, value.as_bytes()),
                None => database
                    .delete(&mut txn, key)
                    .map(|deleted| assert!(deleted)),
            }
            .expect("a write");
        }
        txn.commit().expect("a write");
    }

    fn read<'i>(&self, keys: impl Iterator<Item = &'i str>, found: impl Fn(&[u8])) {
        let txn = self.env.read_txn().expect("a transaction");
        for key in keys {
            let value = self.database.get(&txn, key.as_bytes()).expect("a read");
            found(value.expect("a value"));
        }
    }
}
