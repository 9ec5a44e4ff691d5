//! Looking after a store on this engine.

use crate::access::Access;
use crate::error::{Error, Result};
use crate::postgres::Postgres;
use crate::postgres::dialect::quoted;
use crate::report::{Problem, Report};
use crate::stats::{Stats, structures};

const LOST: &str = "SELECT id FROM value_files WHERE NOT EXISTS \
    (SELECT 1 FROM pg_largeobject_metadata WHERE CAST(oid AS BIGINT) = object) ORDER BY id";
const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class \
    WHERE CAST(relnamespace AS BIGINT) = $1 AND relkind = 'r'";
const TABLES: &str = "SELECT relname FROM pg_class WHERE CAST(relnamespace AS BIGINT) = $1 AND relkind = 'r' ORDER BY relname";
const FILES: &str = "SELECT count(*), coalesce(sum(bytes), 0) FROM value_files";

impl Postgres {
    pub(crate) fn check(&self) -> Result<Report> {
        let all = || {
            let mut problems = self.lost()?;
            for (_, shard) in self.all_shards()? {
                let name = shard.shared.address.schema.clone();
                problems.extend(shard.lost()?.into_iter().map(|problem| Problem::InShard {
                    shard: name.clone(),
                    problem: Box::new(problem),
                }));
            }
            Ok(Report { problems })
        };
        self.saying("checking", all())
    }

    pub(crate) fn repair(&self) -> Result<Report> {
        let me = self.claimant()?;
        let settled = self
            .lend()
            .and_then(|connection| self.settle_the_dead(&connection, me));
        self.saying("repairing", settled)?;
        self.check()
    }

    pub(crate) fn stats(&self) -> Result<Stats> {
        let all = || {
            let (mut stats, numbers) = self.stats_of_part()?;
            for (of, shard) in self.all_shards()? {
                let whose = numbers.iter().position(|&number| number == of.structure);
                stats.add(shard.stats_of_part()?.0, whose);
            }
            Ok(stats)
        };
        self.saying("measuring", all())
    }

    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let stats = self.stats()?;
        Ok(stats.database_bytes + stats.value_bytes)
    }

    /// Gives the room of what was removed back to the system. Each table is locked while it is written anew.
    pub(crate) fn compact(&self) -> Result<()> {
        let all = || {
            self.compact_part()?;
            let mut shards = self.all_shards()?.into_iter();
            shards.try_for_each(|(_, shard)| shard.compact_part())
        };
        self.saying("compacting", all())
    }

    /// The server sees to its own pages; what can be missing is a large object, which an administrator may have removed.
    fn lost(&self) -> Result<Vec<Problem>> {
        let problem = |id| Problem::ValueFile {
            id,
            structure: None,
            place: None,
            how: "its large object is gone".into(),
        };
        self.store()
            .read_one(|db| db.query(LOST, &[], |row| row.int(0).map(problem)))
    }

    fn stats_of_part(&self) -> Result<(Stats, Vec<i64>)> {
        self.store().snapshot(|snapshot| {
            snapshot.read(|db| {
                let of_this = [self.shared.number.into()];
                let number = |number: i64| u64::try_from(number).unwrap_or(0);
                let size = db.query_one(SIZE, &of_this, |row| row.int(0))?;
                let files = db.query_one(FILES, &[], |row| Ok((row.int(0)?, row.int(1)?)))?;
                let (files, bytes) = files.unwrap_or_default();
                let (numbers, structures) = structures(db)?.into_iter().unzip();
                let stats = Stats {
                    structures,
                    database_bytes: number(size.unwrap_or(0)),
                    value_files: number(files),
                    value_bytes: number(bytes),
                    ..Stats::default()
                };
                Ok((stats, numbers))
            })
        })
    }

    fn compact_part(&self) -> Result<()> {
        let connection = self.lend()?;
        let of_this = [self.shared.number.into()];
        for row in connection.query(TABLES, &of_this)? {
            connection.batch(&format!("VACUUM FULL {}", quoted(row.get(0))))?;
        }
        Ok(())
    }

    fn saying<R>(&self, doing: &str, result: Result<R>) -> Result<R> {
        result.map_err(|error: Error| error.at(|| format!("{doing} {}", self.path().display())))
    }
}
