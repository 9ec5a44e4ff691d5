use diskette_store::{Access, Db, Error, ErrorKind, Result, Row};

use crate::cache::Cache;
use crate::inner::Inner;
use crate::part::Part;
use crate::policy::Policy;
use crate::reach::Reach;
use crate::sql;

/// What is recorded of a cache, for all who use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub(crate) policy: Policy,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_entries: Option<u64>,
}

/// What an opening asks for; what it doesn't name is as it is recorded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) policy: Option<Policy>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) max_entries: Option<u64>,
}

impl Asked {
    /// Of a cache that is made by it.
    pub(crate) fn config(self) -> Config {
        Config {
            policy: self.policy.unwrap_or_default(),
            max_bytes: self.max_bytes,
            max_entries: self.max_entries,
        }
    }

    /// Refuses what differs from what is recorded.
    pub(crate) fn must_be(self, config: &Config) -> Result<()> {
        let differs = self.policy.is_some_and(|policy| policy != config.policy)
            || self.max_bytes.is_some() && self.max_bytes != config.max_bytes
            || self.max_entries.is_some() && self.max_entries != config.max_entries;
        match differs {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "it was made with other limits or another policy ({config:?}): open it without, and change them by \
                     `set_max_bytes`, `set_max_entries` and `set_policy`"
                ),
            )),
        }
    }
}

/// How far a cache is over its limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excess {
    pub(crate) bytes: i64,
    pub(crate) entries: i64,
}

impl Excess {
    pub(crate) fn is_none(self) -> bool {
        self.bytes <= 0 && self.entries <= 0
    }
}

impl Config {
    pub(crate) fn is_limited(&self) -> bool {
        self.max_bytes.is_some() || self.max_entries.is_some()
    }

    pub(crate) fn excess(&self, bytes: i64, entries: i64) -> Excess {
        let over =
            |max: Option<u64>, now: i64| max.map_or(0, |max| now.saturating_sub(signed(max)));
        Excess {
            bytes: over(self.max_bytes, bytes),
            entries: over(self.max_entries, entries),
        }
    }

    /// What each of so many shards may hold, so that together they are never over the limits.
    pub(crate) fn share(&self, shards: u32) -> Result<Self> {
        let part = |max: Option<u64>| match max.map(|max| max / u64::from(shards)) {
            Some(0) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("a limit is divided among {shards} shards, and this one is less: {self:?}"),
            )),
            part => Ok(part),
        };
        Ok(Config {
            policy: self.policy,
            max_bytes: part(self.max_bytes)?,
            max_entries: part(self.max_entries)?,
        })
    }

    /// Refuses an entry that is larger than all the room there could be, in one of so many shards.
    pub(crate) fn must_fit(&self, cost: i64, shards: u32) -> Result<()> {
        match self.max_bytes {
            Some(max) if cost > signed(max) && shards > 1 => Err(Error::new(
                ErrorKind::Full,
                format!(
                    "the entry counts for {cost} bytes, and its shard, one of {shards}, may have {max}, its part of the limit: \
                     nothing was changed; raise the limit by `set_max_bytes`, or take fewer shards by `reshard`"
                ),
            )),
            Some(max) if cost > signed(max) => Err(Error::new(
                ErrorKind::Full,
                format!(
                    "the entry counts for {cost} bytes, and the cache may have {max}: nothing was changed; \
                     raise the limit by `set_max_bytes`"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Of a row that begins with `policy, max_bytes, max_entries`.
    pub(crate) fn of(row: &Row<'_>) -> Result<Self> {
        let limit = |column| {
            Ok(row
                .opt_int(column)?
                .map(|max| u64::try_from(max).unwrap_or(0)))
        };
        Ok::<_, Error>(Config {
            policy: row.text(0)?.parse()?,
            max_bytes: limit(1)?,
            max_entries: limit(2)?,
        })
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.max_bytes == Some(0) || self.max_entries == Some(0) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a cache with a limit of 0 could never hold anything; choose 1 or more, or none",
            ));
        }
        Ok(())
    }

    /// The limits as parameters of statements.
    pub(crate) fn limits(&self) -> [Option<i64>; 2] {
        [self.max_bytes.map(signed), self.max_entries.map(signed)]
    }
}

fn signed(max: u64) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

impl Inner {
    /// What is recorded; read again only when somebody has changed something. For who has the turn to write.
    pub(crate) fn config(&self, db: &Db<'_>) -> Result<Config> {
        let changes = self.structure.changes(db.store())?;
        if let Some((known, config)) = *self.config.lock()
            && known == changes
        {
            return Ok(config);
        }
        let config = self.read_config(db)?;
        *self.config.lock() = Some((changes, config));
        Ok(config)
    }

    /// Whether it had a limit when that was last read.
    pub(crate) fn is_known_to_be_limited(&self) -> bool {
        let known = *self.config.lock();
        known.is_some_and(|(_, config)| config.is_limited())
    }

    pub(crate) fn read_config(&self, db: &Db<'_>) -> Result<Config> {
        let config = db
            .query_one(sql::CONFIG, &[self.structure.id().into()], Config::of)?
            .ok_or_else(|| self.structure.missing(db))?;
        let policy = config.is_limited().then_some(config.policy);
        self.uses.go_by(policy);
        Ok(config)
    }
}

impl<K, V, C, A: Reach> Cache<K, V, C, A> {
    /// What is removed to make room.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn policy(&self) -> Result<Policy> {
        Ok(self.recorded("policy")?.policy)
    }

    /// The most bytes that its entries may count for; `None` if it may grow for ever. Each counts for what it takes
    /// on the disk, about: its row has as many bytes as its key and its value, and 64, or where that is more than an eighth of a page,
    /// as many as it keeps from others in pages of 4096; its lines in the indexes have those of the key and 32; its value, if that is a
    /// file, has blocks of 4096. Or for what its [`Terms`](crate::Terms) say.
    ///
    /// What the store takes besides is not the entries': the pages that are free, which what comes next has, the log, and files of
    /// values that have just gone. With those it is [`Store::disk_bytes`](diskette_store::Store::disk_bytes).
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn max_bytes(&self) -> Result<Option<u64>> {
        Ok(self.recorded("max_bytes")?.max_bytes)
    }

    /// The most entries that it may have; `None` if it may grow for ever.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub fn max_entries(&self) -> Result<Option<u64>> {
        Ok(self.recorded("max_entries")?.max_entries)
    }

    /// Changes what is removed to make room, for all who use the cache.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert).
    ///
    /// # Cost
    ///
    /// Goes through all entries, if there is a limit.
    pub fn set_policy(&self, policy: Policy) -> Result<()> {
        self.configure("set_policy", |config| Config { policy, ..config })
    }

    /// Changes how many bytes its entries may count for, for all who use the cache. If they are more, some are removed, in
    /// small steps after the change.
    ///
    /// # Errors
    ///
    /// Those of [`insert`](Self::insert); [`is_invalid_input`](Error::is_invalid_input) for 0.
    ///
    /// # Cost
    ///
    /// Goes through all entries, if there was no limit before.
    pub fn set_max_bytes(&self, max_bytes: Option<u64>) -> Result<()> {
        self.configure("set_max_bytes", |config| Config {
            max_bytes,
            ..config
        })
    }

    /// Changes how many entries it may have, for all who use the cache. If there are more, some are removed, in
    /// small steps after the change.
    ///
    /// # Errors
    ///
    /// Those of [`set_max_bytes`](Self::set_max_bytes).
    ///
    /// # Cost
    ///
    /// That of [`set_max_bytes`](Self::set_max_bytes).
    pub fn set_max_entries(&self, max_entries: Option<u64>) -> Result<()> {
        self.configure("set_max_entries", |config| Config {
            max_entries,
            ..config
        })
    }

    fn recorded(&self, verb: &'static str) -> Result<Config> {
        self.doing(verb, || self.access.recorded(&self.inner))
    }

    fn configure(&self, verb: &'static str, change: impl Fn(Config) -> Config) -> Result<()> {
        self.doing(verb, || self.access.configure(&self.inner, change))
    }
}

impl<A: Access> Part<'_, A> {
    pub(crate) fn recorded(&self) -> Result<Config> {
        self.inside().read_one(|db| self.inner.read_config(db))
    }

    pub(crate) fn configure(&self, change: impl Fn(Config) -> Result<Config>) -> Result<()> {
        self.inside().write(|db| {
            let before = self.inner.read_config(db)?;
            let config = change(before)?;
            config.check()?;
            let [max_bytes, max_entries] = config.limits().map(Into::into);
            let id = self.inner.structure.id().into();
            let row = [config.policy.name().into(), max_bytes, max_entries, id];
            self.inner.structure.tell_changed(db)?;
            db.run(sql::SET_CONFIG, &row)?;
            if config.is_limited() && (!before.is_limited() || before.policy != config.policy) {
                let all = self.entries().all();
                db.run(sql::rank(config.policy), &all)?;
                let [first, end] = all;
                db.run(sql::COUNT_BYTES, &[first, end, id])?;
            }
            Ok(())
        })?;
        self.make_room().map(drop)
    }
}
