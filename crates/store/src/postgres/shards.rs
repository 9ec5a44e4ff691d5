//! Shards on this engine: schemas of their own beside that of the store, named by its identity.

use crate::error::Result;
use crate::postgres::Postgres;
use crate::postgres::connection::Connection;
use crate::postgres::dialect::quoted;
use crate::shards::ShardSet;

pub(crate) const LIKE: &str = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)";

impl Postgres {
    pub(crate) fn shards(&self, of: ShardSet, count: u32) -> Result<Vec<Self>> {
        (0..count)
            .map(|number| self.open_shard(schema_of(&self.prefix(), of, number), true))
            .collect()
    }

    /// One of those that there are.
    pub(crate) fn shard(&self, of: ShardSet, number: u32) -> Result<Self> {
        self.open_shard(schema_of(&self.prefix(), of, number), false)
    }

    pub(crate) fn sets_of_shards(&self) -> Result<Vec<ShardSet>> {
        let mut sets: Vec<_> = self
            .schemas_of_sets()?
            .into_iter()
            .map(|(set, _)| set)
            .collect();
        sets.dedup();
        Ok(sets)
    }

    /// All shards that there are, of all structures.
    pub(crate) fn all_shards(&self) -> Result<Vec<(ShardSet, Self)>> {
        let open = |(set, schema)| Ok((set, self.open_shard(schema, true)?));
        self.schemas_of_sets()?.into_iter().map(open).collect()
    }

    pub(crate) fn remove_shards(&self, of: ShardSet) -> Result<()> {
        let connection = self.lend()?;
        for schema in self.schemas(&format!("{}{of}-", self.prefix()))? {
            connection.batch(&format!(
                "DROP SCHEMA IF EXISTS {} CASCADE",
                quoted(&schema)
            ))?;
        }
        Ok(())
    }

    /// What is committed the server has written down.
    pub(crate) fn write_down(&self) -> Result<()> {
        Ok(())
    }

    fn schemas_of_sets(&self) -> Result<Vec<(ShardSet, String)>> {
        let prefix = self.prefix();
        let set_of = |schema: &str| {
            schema
                .strip_prefix(&prefix)?
                .rsplit_once('-')?
                .0
                .parse()
                .ok()
        };
        let mut all = self.schemas(&prefix)?;
        all.sort_unstable();
        let sets = all
            .into_iter()
            .filter_map(|schema| Some((set_of(&schema)?, schema)));
        Ok(sets.collect())
    }

    /// Of all shards of all structures, by the catalog that a transaction of this connection sees.
    pub(crate) fn schemas_of_shards(
        &self,
        connection: &Connection,
    ) -> Result<Vec<(ShardSet, u32, String)>> {
        let prefix = self.prefix();
        let rows = connection.query(LIKE, &[prefix.as_str().into()])?;
        let shard = |schema: String| {
            let (set, number) = schema.strip_prefix(&prefix)?.rsplit_once('-')?;
            Some((set.parse().ok()?, number.parse().ok()?, schema))
        };
        Ok(rows.iter().filter_map(|row| shard(row.get(0))).collect())
    }

    fn prefix(&self) -> String {
        prefix(self.shared.identity)
    }

    fn schemas(&self, prefix: &str) -> Result<Vec<String>> {
        let connection = self.lend()?;
        let rows = connection.query(LIKE, &[prefix.into()])?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// Short enough for PostgreSQL, whatever the name of the store.
pub(crate) fn prefix(identity: i64) -> String {
    format!("diskette-{identity:016x}-")
}

pub(crate) fn schema_of(prefix: &str, set: ShardSet, number: u32) -> String {
    format!("{prefix}{set}-{number:03}")
}
