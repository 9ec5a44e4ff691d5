use std::collections::BTreeMap;

use serde::Serialize;

use crate::db::Db;
use crate::error::Result;
use crate::removal::{self, Part};

/// What a store holds; made by [`Store::stats`](crate::Store::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The structures, in the order in which they were made.
    pub structures: Vec<StructureStats>,
    /// The database, in bytes.
    pub database_bytes: u64,
    /// The part of it that is free, to be used again or given back by [`Store::compact`](crate::Store::compact).
    pub free_bytes: u64,
    /// The write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Large values that are files.
    pub value_files: u64,
    /// What they hold, in bytes.
    pub value_bytes: u64,
    /// What this process keeps in [memory](crate::Options::memory) of what it has read, in bytes.
    pub memory_bytes: u64,
    /// How many reads were answered from there.
    pub memory_hits: u64,
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

/// With their numbers.
pub(crate) fn structures(db: &Db<'_>) -> Result<Vec<(i64, StructureStats)>> {
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

impl Stats {
    /// What is in a shard is that of its structure, `whose` place this is.
    pub(crate) fn add(&mut self, shard: Stats, whose: Option<usize>) {
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
        self.memory_bytes += shard.memory_bytes;
        self.memory_hits += shard.memory_hits;
    }
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
