//! Shards on this engine: schemas of their own beside that of the store, named by its identity.

use crate::error::Result;
use crate::postgres::Postgres;
use crate::postgres::connection::Around;
use crate::postgres::dialect::quoted;
use crate::shards::ShardSet;

const LIKE: &str = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)";

impl Postgres {
    pub(crate) fn shards(&self, of: ShardSet, count: u32) -> Result<Vec<Self>> {
        let shard = |number| {
            let schema = format!("{}{of}-{number:03}", self.prefix());
            let address = self.shared.address.of_schema(schema);
            Self::open_at(
                address,
                self.shared.durability,
                !self.ways.read_only,
                self.ways.clone(),
            )
        };
        (0..count).map(shard).collect()
    }

    pub(crate) fn sets_of_shards(&self) -> Result<Vec<ShardSet>> {
        let mut sets = Vec::new();
        for schema in self.schemas(&self.prefix())? {
            let set = schema.strip_prefix(&self.prefix());
            let set = set.and_then(|set| set.rsplit_once('-')?.0.parse().ok());
            sets.extend(set.filter(|set| !sets.contains(set)));
        }
        Ok(sets)
    }

    pub(crate) fn remove_shards(&self, of: ShardSet) -> Result<()> {
        let connection = self.shared.pool.lend()?;
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

    /// Short enough for PostgreSQL, whatever the name of the store.
    fn prefix(&self) -> String {
        format!("diskette-{:016x}-", self.shared.identity)
    }

    fn schemas(&self, prefix: &str) -> Result<Vec<String>> {
        let connection = self.shared.pool.lend()?;
        let rows = connection.query(LIKE, &[prefix.into()], Around::default())?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
