use std::sync::Arc;

use diskette_ipc::random;
use diskette_store::{Db, Error, ErrorKind, Result, Row, ShardSet, Store, Structure};

use crate::config::Config;
use crate::inner::Inner;
use crate::shards::Shard;
use crate::sql;
use crate::way::Way;

/// What the store that the cache has its name in knows of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    pub(crate) config: Config,
    pub(crate) shards: u32,
    /// A number that is drawn for each set of databases.
    pub(crate) set: i64,
}

/// So many at most: each is a database.
const MOST: u32 = 256;

/// So many, if nobody says how many.
pub(crate) const UNSAID: u32 = 8;

/// The name of the cache in each database.
const NAME: &str = "cache";

impl Recorded {
    pub(crate) fn find(db: &Db<'_>, structure: &Structure) -> Result<Self> {
        db.query_one(sql::SHARDED, &[structure.id().into()], Recorded::of)?
            .ok_or_else(|| structure.missing(db))
    }

    /// Of a row that begins with `policy, max_bytes, max_entries, shards, shard_set`.
    fn of(row: &Row<'_>) -> Result<Self> {
        let shards = u32::try_from(row.int(3)?).unwrap_or(0);
        if check(shards).is_err() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "its row says that it has {shards} shards: Store::check says what is damaged"
                ),
            ));
        }
        Ok(Recorded {
            config: Config::of(row)?,
            shards,
            set: row.int(4)?,
        })
    }

    /// Its databases.
    pub(crate) fn set(&self, structure: &Structure) -> ShardSet {
        ShardSet {
            structure: structure.id(),
            set: self.set,
        }
    }

    pub(crate) fn create(&self, db: &Db<'_>, structure: &Structure) -> Result<()> {
        let [max_bytes, max_entries] = self.config.limits().map(Into::into);
        let (id, shards) = (structure.id().into(), i64::from(self.shards).into());
        let policy = self.config.policy.name().into();
        let row = [id, shards, self.set.into(), policy, max_bytes, max_entries];
        db.run(sql::CREATE_SHARDED, &row)
    }

    /// Opens the databases, or makes them, as far as one who was killed hasn't.
    pub(crate) fn open(
        &self,
        home: &Store,
        structure: &Structure,
        way: &Way,
    ) -> Result<Vec<Shard>> {
        let share = self.config.share(self.shards)?;
        let set = self.set(structure);
        let stores = home.shards(set, self.shards)?.into_iter();
        let open = |store: Store| {
            let structure = Inner::structure(&store, NAME, way.codec, share)?;
            let clock = way.clock.clone();
            let inner = Arc::new(Inner::open(&store, &structure, clock, self.shards)?);
            Ok(Shard { store, inner })
        };
        let parts = stores.map(open).collect::<Result<Vec<_>>>()?;
        let beginnings = parts.iter().map(|shard| shard.inner.structure.share());
        match beginnings
            .clone()
            .eq(beginnings.take(1).cycle().take(parts.len()))
        {
            true => Ok(parts),
            false => Err(Error::new(
                ErrorKind::Corrupt,
                format!("the databases in shards/{set} are not of one cache: remove the cache"),
            )),
        }
    }

    pub(crate) fn must_have(&self, shards: Option<u32>) -> Result<()> {
        match shards.is_none_or(|shards| shards == self.shards) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "it was made with {} shards: open it by `sharded()`, whatever their number is, and change that by `reshard`",
                    self.shards
                ),
            )),
        }
    }
}

/// Refuses a number of shards that can't be.
pub(crate) fn check(shards: u32) -> Result<()> {
    match (1..=MOST).contains(&shards) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("a cache has 1 to {MOST} shards, and {shards} were asked for"),
        )),
    }
}

/// A number for a set of databases.
pub(crate) fn draw() -> Result<i64> {
    random::number().map_err(|error| Error::io("can't draw a number", error))
}
