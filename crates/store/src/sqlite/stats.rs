//! How large it all is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::access::Access;
use crate::error::{Error, Result};
use crate::sqlite::Sqlite;
use crate::sqlite::shards::Shard;
use crate::stats::{Stats, structures};

impl Sqlite {
    pub(crate) fn stats(&self) -> Result<Stats> {
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
        self.store().snapshot(|snapshot| {
            snapshot.read(|db| {
                let one = |sql| {
                    let number = db.query_one(sql, &[], |row| row.int(0))?;
                    Ok(u64::try_from(number.unwrap_or(0)).unwrap_or(0))
                };
                let page = one("PRAGMA page_size")?;
                let (numbers, structures) = structures(db)?.into_iter().unzip();
                let (memory_bytes, memory_hits) = self.shared.memory.usage();
                let stats = Stats {
                    structures,
                    database_bytes: page * one("PRAGMA page_count")?,
                    free_bytes: page * one("PRAGMA freelist_count")?,
                    wal_bytes: fs::metadata(self.directory().wal()).map_or(0, |wal| wal.len()),
                    value_files: one("SELECT count(*) FROM value_files")?,
                    value_bytes: one("SELECT coalesce(sum(bytes), 0) FROM value_files")?,
                    memory_bytes,
                    memory_hits,
                };
                Ok((stats, numbers))
            })
        })
    }

    pub(crate) fn disk_bytes(&self) -> Result<u64> {
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
