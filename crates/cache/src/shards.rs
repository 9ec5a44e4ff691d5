use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Deadline, random};
use diskette_store::entries::own;
use diskette_store::{Access, Db, Error, ErrorKind, Result, Row, Store, Structure, Tenancy};

use crate::config::{Asked, Config};
use crate::hash;
use crate::inner::Inner;
use crate::part::Part;
use crate::reach::Reach;
use crate::sql::{self, SHARDED_KIND};
use crate::way::Way;

/// How a sharded cache reaches its entries: in several databases, by the hash of the key.
#[derive(Clone, Debug)]
pub struct Shards(pub(crate) Arc<Spread>);

/// What all handles share that were cloned from one.
#[derive(Debug)]
pub(crate) struct Spread {
    /// Before the tenancy, since they write down what was read when they are dropped.
    parts: Vec<Shard>,
    pub(crate) home: Store,
    pub(crate) structure: Arc<Structure>,
    way: Way,
    set: i64,
    /// How often the home's catalog had changed when the structure was last known to be there, with this set.
    known: AtomicU64,
    tenancy: Tenancy,
}

/// An ordinary cache in a database of its own.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) store: Store,
    pub(crate) inner: Arc<Inner>,
}

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
const UNSAID: u32 = 8;

/// The name of the cache in each database.
const NAME: &str = "cache";

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

impl Spread {
    pub(crate) fn make(
        home: &Store,
        name: &str,
        shards: Option<u32>,
        asked: Asked,
        way: &Way,
    ) -> Result<Self> {
        let structure = Structure::open(home, &SHARDED_KIND, name, way.codec, |db, structure| {
            let shards = shards.unwrap_or(UNSAID);
            let recorded = Recorded {
                config: asked.config(),
                shards,
                set: draw()?,
            };
            check(shards)?;
            recorded.config.check()?;
            recorded.config.share(shards)?;
            recorded.create(db, structure)
        })?;
        Self::open(home, structure, shards, asked, way)
    }

    pub(crate) fn seek(
        home: &Store,
        name: &str,
        shards: Option<u32>,
        asked: Asked,
        way: &Way,
    ) -> Result<Option<Self>> {
        let found = Structure::find(home, &SHARDED_KIND, name, way.codec)?;
        let open = |structure| Self::open(home, structure, shards, asked, way);
        found.map(open).transpose()
    }

    pub(crate) fn open(
        home: &Store,
        structure: Arc<Structure>,
        shards: Option<u32>,
        asked: Asked,
        way: &Way,
    ) -> Result<Self> {
        let open = || {
            let tenancy = home.tenancy(structure.id())?;
            if !home.is_read_only() {
                tidy(home, &structure, &tenancy);
            }
            if !tenancy.stay(Deadline::after(home.timeout()))? {
                return Err(is_resharded(home));
            }
            let known = AtomicU64::new(changes(home, &structure)?);
            let recorded = home.read_one(|db| Recorded::find(db, &structure))?;
            asked.must_be(&recorded.config)?;
            recorded.must_have(shards)?;
            let parts = recorded.open(home, &structure, way)?;
            if !home.is_read_only() {
                for shard in &parts {
                    shard.part().keep_to(home, &structure)?;
                }
            }
            Ok((parts, recorded.set, known, tenancy))
        };
        let opened = open();
        if opened.as_ref().is_err_and(Error::is_removed) {
            // It may have been removed while its databases were made.
            let _ = home.remove_orphaned_shards();
        }
        let (parts, set, known, tenancy) = structure.doing("opening", opened)?;
        Ok(Spread {
            parts,
            home: home.clone(),
            structure,
            way: way.clone(),
            set,
            known,
            tenancy,
        })
    }

    /// What is left of it once its databases are closed.
    pub(crate) fn leave(self) -> (Store, Arc<Structure>, Way, Tenancy) {
        drop(self.parts);
        (self.home, self.structure, self.way, self.tenancy)
    }

    /// Refuses if the cache was removed, or resharded under a child that its parent left.
    fn must_be_whole(&self) -> Result<()> {
        if !self.tenancy.is_mine() {
            if !self.tenancy.stay(Deadline::after(self.home.timeout()))? {
                return Err(is_resharded(&self.home));
            }
            self.known.store(UNKNOWN, Ordering::Relaxed);
        }
        let changes = changes(&self.home, &self.structure)?;
        if self.known.load(Ordering::Relaxed) == changes && changes != UNKNOWN {
            return Ok(());
        }
        let recorded = self
            .home
            .read_one(|db| Recorded::find(db, &self.structure))?;
        if recorded.set != self.set {
            return Err(Error::new(
                ErrorKind::Removed,
                "it was spread over another number of shards since this process was forked: open it anew",
            ));
        }
        self.known.store(changes, Ordering::Relaxed);
        Ok(())
    }
}

impl Reach for Shards {
    type Access = Store;
    type Inner = ();

    fn home(&self) -> &Store {
        &self.0.home
    }

    fn structure<'a>(&'a self, (): &'a ()) -> &'a Arc<Structure> {
        &self.0.structure
    }

    fn must_be_whole(&self) -> Result<()> {
        self.0.must_be_whole()
    }

    fn parts(&self) -> usize {
        self.0.parts.len()
    }

    fn number(&self, key: &[u8]) -> usize {
        hash::shard(own(key), self.parts())
    }

    fn part<'a>(&'a self, (): &'a (), number: usize) -> Part<'a, Store> {
        self.0.parts[number].part()
    }

    fn recorded(&self, (): &()) -> Result<Config> {
        let (home, structure) = (&self.0.home, &self.0.structure);
        Ok(home.read_one(|db| Recorded::find(db, structure))?.config)
    }

    fn configure(&self, (): &(), change: impl Fn(Config) -> Config) -> Result<()> {
        let (home, structure) = (&self.0.home, &self.0.structure);
        structure.inside(home).write(|db| {
            let before = Recorded::find(db, structure)?;
            let config = change(before.config);
            config.check()?;
            config.share(before.shards)?;
            let [max_bytes, max_entries] = config.limits().map(Into::into);
            let id = structure.id().into();
            let row = [config.policy.name().into(), max_bytes, max_entries, id];
            db.execute(sql::SET_SHARDED_CONFIG, &row).map(drop)
        })?;
        // One that is killed among them leaves the rest to who opens the cache next.
        let mut parts = self.0.parts.iter().map(Shard::part);
        parts.try_for_each(|part| part.keep_to(home, structure))
    }
}

impl Shard {
    pub(crate) fn part(&self) -> Part<'_, Store> {
        Part {
            access: &self.store,
            inner: &self.inner,
        }
    }
}

impl Part<'_, Store> {
    /// Gives a shard its part of the limits that are recorded in its home. They are read in the shard's turn to write, so that the
    /// last who does it knows the last that were recorded.
    fn keep_to(&self, home: &Store, structure: &Structure) -> Result<()> {
        let share = || {
            let recorded = home.read_one(|db| Recorded::find(db, structure))?;
            recorded.config.share(recorded.shards)
        };
        match self.recorded()? == share()? {
            true => Ok(()),
            false => self.configure(|_| share()),
        }
    }
}

impl Recorded {
    pub(crate) fn find(db: &Db<'_>, structure: &Structure) -> Result<Self> {
        db.query_one(sql::SHARDED, &[structure.id().into()], Recorded::of)?
            .ok_or_else(|| structure.missing(db))
    }

    /// Of a row that begins with `policy, max_bytes, max_entries, shards, shard_set`.
    fn of(row: &Row<'_>) -> Result<Self> {
        let shards = u32::try_from(row.int(3)?).unwrap_or(0);
        check(shards).map_err(|error| Error::new(ErrorKind::Corrupt, error.to_string()))?;
        Ok(Recorded {
            config: Config::of(row)?,
            shards,
            set: row.int(4)?,
        })
    }

    fn create(&self, db: &Db<'_>, structure: &Structure) -> Result<()> {
        let [max_bytes, max_entries] = self.config.limits().map(Into::into);
        let (id, shards) = (structure.id().into(), i64::from(self.shards).into());
        let policy = self.config.policy.name().into();
        let row = [id, shards, self.set.into(), policy, max_bytes, max_entries];
        db.execute(sql::CREATE_SHARDED, &row).map(drop)
    }

    /// Opens the databases, or makes them, as far as one who was killed hasn't.
    pub(crate) fn open(
        &self,
        home: &Store,
        structure: &Structure,
        way: &Way,
    ) -> Result<Vec<Shard>> {
        let share = self.config.share(self.shards)?;
        let set = Store::name_of_shards(structure.id(), self.set);
        let stores = home.shards(&set, self.shards)?.into_iter();
        let open = |store: Store| {
            let store = match home.stop() {
                Some(stop) => store.with_stop(stop),
                None => store,
            };
            let structure = Inner::structure(&store, NAME, way.codec, share)?;
            let clock = Arc::clone(&way.clock);
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

    fn must_have(&self, shards: Option<u32>) -> Result<()> {
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

/// A number for a set of databases.
pub(crate) fn draw() -> Result<i64> {
    random::number().map_err(|error| Error::io("can't draw a number", error))
}

/// Removes what others left who were killed while they resharded or removed a cache; if it fails, the next does it.
fn tidy(home: &Store, structure: &Structure, tenancy: &Tenancy) {
    let _ = home.remove_orphaned_shards();
    let are_others = |set| {
        let current = Store::name_of_shards(structure.id(), set);
        let mine = format!("{}-", structure.id());
        let sets = home.sets_of_shards().unwrap_or_default();
        sets.iter()
            .any(|name| name.starts_with(&mine) && *name != current)
    };
    let find = || home.read_one(|db| Recorded::find(db, structure));
    if find().is_ok_and(|recorded| are_others(recorded.set))
        && matches!(tenancy.be_alone(Deadline::at_once()), Ok(true))
        && let Ok(recorded) = find()
    {
        let _ = home.remove_other_shards(structure.id(), recorded.set);
    }
}

/// A number that differs once the structure may have been removed; `UNKNOWN` where nobody may write.
fn changes(home: &Store, structure: &Structure) -> Result<u64> {
    match home.is_read_only() {
        true => Ok(UNKNOWN),
        false => structure.changes(home),
    }
}

/// More than there will ever be.
const UNKNOWN: u64 = u64::MAX;

fn is_resharded(home: &Store) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "another has been spreading it over another number of shards for {:?}: wait for that, or allow a longer timeout",
            home.timeout()
        ),
    )
}
