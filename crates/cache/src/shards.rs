use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::Deadline;
use diskette_store::entries::own;
use diskette_store::{Access, Error, ErrorKind, Result, Store, Structure, Tenancy};

use crate::config::{Asked, Config};
use crate::hash;
use crate::inner::Inner;
use crate::part::Part;
use crate::reach::Reach;
use crate::recorded::{Recorded, UNSAID, check, draw};
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
        let recorded = self.home.read(|db| {
            self.structure.must_be_there(db)?;
            Recorded::find(db, &self.structure)
        })?;
        if recorded.set != self.set {
            return Err(Error::new(
                ErrorKind::Removed,
                "it was spread over another number of shards since this process was forked, or the store moved: open it anew",
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
            db.run(sql::SET_SHARDED_CONFIG, &row)
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

/// Removes what others left who were killed while they resharded or removed a cache; if it fails, the next does it.
fn tidy(home: &Store, structure: &Structure, tenancy: &Tenancy) {
    let _ = home.remove_orphaned_shards();
    let find = || home.read_one(|db| Recorded::find(db, structure));
    let others = find().and_then(|recorded| home.other_shards(recorded.set(structure)));
    if others.is_ok_and(|others| !others.is_empty())
        && matches!(tenancy.be_alone(Deadline::at_once()), Ok(true))
        && let Ok(recorded) = find()
    {
        let _ = home.remove_other_shards(recorded.set(structure));
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
