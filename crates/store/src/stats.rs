use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use crate::access::Access;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::removal::{self, Part};
use crate::shards::Shard;
use crate::store::Store;

/// What a store holds; made by [`Store::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The structures, in the order in which they were made.
    pub structures: Vec<StructureStats>,
    /// The database, in bytes.
    pub database_bytes: u64,
    /// The part of it that is free, to be used again or given back by [`Store::compact`].
    pub free_bytes: u64,
    /// The write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Large values that are files.
    pub value_files: u64,
    /// What they hold, in bytes.
    pub value_bytes: u64,
}

/// One structure of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StructureStats {
    /// Its name.
    pub name: String,
    /// Its kind: `deque`, `index`, …
    pub kind: String,
    /// The codec of its values; empty, if it has none.
    pub codec: String,
    /// How many values it holds, those that are claimed among them.
    pub len: u64,
    /// What they take, encoded, in bytes, the files of large ones among them.
    pub bytes: u64,
    /// How many of them are files.
    pub value_files: u64,
}

impl Store {
    /// What the store holds, and how large it is.
    ///
    /// # Cost
    ///
    /// It goes through all values without reading them: some 100 ns for each.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn stats(&self) -> Result<Stats> {
        let all = || {
            let (mut stats, numbers) = self.stats_of_part()?;
            for store in self.all_shards()? {
                let of = store.shard().map(Shard::structure);
                let whose = numbers.iter().position(|&number| of == Some(number));
                let (shard, _) = store.stats_of_part()?;
                stats.add(shard, whose);
            }
            Ok(stats)
        };
        all().map_err(|error: Error| error.at(|| format!("measuring {}", self.path().display())))
    }

    fn stats_of_part(&self) -> Result<(Stats, Vec<i64>)> {
        self.snapshot(|snapshot| {
            snapshot.read(|db| {
                let one = |sql| {
                    let number = db.query_one(sql, &[], |row| row.int(0))?;
                    Ok(u64::try_from(number.unwrap_or(0)).unwrap_or(0))
                };
                let page = one("PRAGMA page_size")?;
                let (numbers, structures) = structures(db)?.into_iter().unzip();
                let stats = Stats {
                    structures,
                    database_bytes: page * one("PRAGMA page_count")?,
                    free_bytes: page * one("PRAGMA freelist_count")?,
                    wal_bytes: fs::metadata(self.directory().wal()).map_or(0, |wal| wal.len()),
                    value_files: one("SELECT count(*) FROM value_files")?,
                    value_bytes: one("SELECT coalesce(sum(bytes), 0) FROM value_files")?,
                };
                Ok((stats, numbers))
            })
        })
    }
}

impl Stats {
    /// What is in a shard is that of its structure, `whose` place this is.
    fn add(&mut self, shard: Stats, whose: Option<usize>) {
        if let Some(sum) = whose.and_then(|whose| self.structures.get_mut(whose)) {
            for part in shard.structures {
                sum.len += part.len;
                sum.bytes += part.bytes;
                sum.value_files += part.value_files;
            }
        }
        self.database_bytes += shard.database_bytes;
        self.free_bytes += shard.free_bytes;
        self.wal_bytes += shard.wal_bytes;
        self.value_files += shard.value_files;
        self.value_bytes += shard.value_bytes;
    }
}

impl Store {
    /// What the directory of the store takes on the disk, in bytes, as `du` says: the database and its log, value files, those
    /// that are about to be removed among them, and the rest. [`stats`](Self::stats) says what is in it.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    ///
    /// # Cost
    ///
    /// Asks for the size of each file.
    pub fn disk_bytes(&self) -> Result<u64> {
        let failed = |error| Error::io(format!("can't measure {}", self.path().display()), error);
        disk_bytes(self.path()).map_err(failed)
    }
}

/// What others remove meanwhile takes nothing.
fn disk_bytes(path: &Path) -> io::Result<u64> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if gone(&error) => return Ok(0),
        metadata => metadata?,
    };
    // In units of 512 bytes, whatever the file system's own are.
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        match fs::read_dir(path) {
            Err(error) if gone(&error) => {}
            entries => {
                for entry in entries? {
                    bytes += disk_bytes(&entry?.path())?;
                }
            }
        }
    }
    Ok(bytes)
}

/// With their numbers.
fn structures(db: &Db<'_>) -> Result<Vec<(i64, StructureStats)>> {
    const ALL: &str = "SELECT id, name, kind, codec FROM structures ORDER BY id";
    const PARTS: &str = "SELECT name, whose, items FROM tables WHERE kind = $1 AND items <> 0";
    let all = db.query(ALL, &[], |row| {
        let stats = StructureStats {
            name: row.text(1)?.to_owned(),
            kind: row.text(2)?.to_owned(),
            codec: row.text(3)?.to_owned(),
            ..StructureStats::default()
        };
        Ok((row.int(0)?, stats))
    })?;
    let mut kinds = BTreeMap::new();
    for (_, stats) in &all {
        if !kinds.contains_key(&stats.kind) {
            let parts = removal::parts(db, PARTS, &[stats.kind.as_str().into()])?;
            kinds.insert(stats.kind.clone(), parts);
        }
    }
    let measured = all.into_iter().map(|(id, mut stats)| {
        for part in kinds.get(&stats.kind).into_iter().flatten() {
            part.measure(db, id, &mut stats)?;
        }
        Ok((id, stats))
    });
    measured.collect()
}

impl Part {
    fn measure(&self, db: &Db<'_>, structure: i64, stats: &mut StructureStats) -> Result<()> {
        let Part { table, column, .. } = self;
        let sql = format!(
            "SELECT count(*), count(file), coalesce(sum(length(value)), 0) + coalesce(sum(bytes), 0) FROM {table} \
             LEFT JOIN value_files ON value_files.id = file \
             WHERE {table}.{column} >= $1 AND {table}.{column} < $2 AND (value IS NOT NULL OR file IS NOT NULL)"
        );
        db.query_one(&sql, &self.rows(structure)?, |row| {
            for (sum, column) in [&mut stats.len, &mut stats.value_files, &mut stats.bytes]
                .into_iter()
                .zip(0..)
            {
                *sum += u64::try_from(row.int(column)?).unwrap_or(0);
            }
            Ok(())
        })?;
        Ok(())
    }
}
