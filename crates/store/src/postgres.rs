//! The engine of a store in a PostgreSQL database: a schema of its own there, for the processes of any number of machines.

mod address;
mod backup;
mod catalog;
mod clock;
mod connection;
mod dialect;
mod driver;
mod errands;
mod failure;
mod listening;
mod moving;
mod parameter;
mod pool;
mod promotion;
mod ringing;
mod session;
mod shards;
mod slots;
mod tenant;
mod tls;
mod turns;
mod upkeep;
mod values;
mod work;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use diskette_ipc::{Clock, Doorbell, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::kind::Kind;
use crate::options::{Durability, Options};
use crate::postgres::address::Address;
use crate::postgres::catalog::Known;
use crate::postgres::clock::ServerClock;
use crate::postgres::connection::Connection;
use crate::postgres::errands::Errands;
use crate::postgres::listening::Lines;
use crate::postgres::pool::{Lent, Pool};
use crate::postgres::ringing::Rope;
use crate::postgres::session::Session;
use crate::sqlite::reading::refused;
use crate::store::{Store, Ways};

pub(crate) use address::shown;
pub(crate) use catalog::keep_schema;
pub(crate) use dialect::{tables, writes};
pub(crate) use failure::from_postgres;
pub(crate) use listening::Listening;
pub(crate) use parameter::Column;
pub(crate) use promotion::NewPlace;
pub(crate) use slots::{Hold, Slots, forget_holds};
pub(crate) use tenant::Tenant;
pub(crate) use values::{NewObject, open as open_value};
pub(crate) use work::{Part, Work};

/// A store in a database: what a [`Store`] is that stands on this engine.
#[derive(Clone)]
pub(crate) struct Postgres {
    shared: Arc<Shared>,
    ways: Ways,
}

/// What all handles of a store in this process share.
pub(crate) struct Shared {
    address: Address,
    durability: Durability,
    /// Of the schema, by which advisory locks are told apart.
    number: i64,
    /// Goes with the store wherever its database is restored.
    identity: i64,
    numbers: AtomicU64,
    /// The structures that transactions were about, the last first: the next is likely to be about them as well.
    lately: Mutex<Vec<i64>>,
    /// Of the structures of which this process gives back claims.
    kinds: Mutex<Vec<&'static Kind>>,
    home: Home,
}

/// What the shards of a store share with it.
enum Home {
    Here {
        commons: Box<Commons>,
        shards: Mutex<Vec<Weak<Shared>>>,
    },
    Elsewhere(Arc<Shared>),
}

/// What a process has of a store and of all its shards together.
pub(crate) struct Commons {
    pool: Arc<Pool>,
    clock: Arc<ServerClock>,
    session: Session,
    errands: Errands,
    /// Rung by what others say.
    bell: Doorbell,
    lines: Lines,
    /// To ring those of others.
    rope: Rope,
}

impl Postgres {
    /// Opens the store at this address; makes it if it is missing.
    pub(crate) fn open(address: &str, options: &Options) -> Result<Self> {
        let open = || {
            let (address, ways) = (Address::parse(address)?, Ways::of(options));
            let first = Connection::open(&address.config, &address.trust, ways.timeout)?;
            let second = Connection::open(&address.config, &address.trust, ways.timeout)?;
            first.must_be_a_session(&second)?;
            let known = catalog::prepare(&first, &address.schema, options.create)?;
            let pool = Arc::new(Pool::new(&address, ways.timeout)?);
            let clock = ServerClock::new(ways.clock()?, &pool, &address.schema, &first)?;
            let commons = Commons {
                pool,
                clock: Arc::new(clock),
                session: Session::default(),
                errands: Errands::default(),
                bell: Doorbell::private().map_err(failure::cant_connect)?,
                lines: Lines::default(),
                rope: Rope::of(known.number, &address.schema),
            };
            commons.pool.take_in(first);
            drop(second);
            let home = Home::Here {
                commons: commons.into(),
                shards: Mutex::default(),
            };
            let shared = Shared::new(address, options.durability, known, home);
            Ok(Postgres {
                shared: Arc::new(shared),
                ways,
            })
        };
        open().map_err(|error: crate::Error| {
            error.at(|| format!("opening the store {}", address::shown(address)))
        })
    }

    /// Opens a shard of this store, which has a schema of its own; one that is missing can be made.
    fn open_shard(&self, schema: String, create: bool) -> Result<Self> {
        let Home::Here { shards, .. } = &self.shared.home else {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the shards of a structure have none themselves",
            ));
        };
        let known = {
            let connection = self.lend()?;
            catalog::prepare(&connection, &schema, create && !self.ways.read_only)?
        };
        let address = self.shared.address.of_schema(schema);
        let home = Home::Elsewhere(Arc::clone(&self.shared));
        let shared = Arc::new(Shared::new(address, self.shared.durability, known, home));
        let mut shards = shards.lock();
        shards.retain(|shard| shard.strong_count() > 0);
        shards.push(Arc::downgrade(&shared));
        Ok(Postgres {
            shared,
            ways: self.ways.clone(),
        })
    }

    /// The address, without a password.
    pub(crate) fn path(&self) -> &Path {
        &self.shared.address.shown
    }

    pub(crate) fn durability(&self) -> Durability {
        self.shared.durability
    }

    pub(crate) fn ways(&self) -> &Ways {
        &self.ways
    }

    pub(crate) fn going(&self, ways: Ways) -> Self {
        Postgres {
            shared: Arc::clone(&self.shared),
            ways,
        }
    }

    /// Tells it from others, as device and inode do a directory.
    pub(crate) fn identity(&self) -> (u64, u64) {
        let Shared {
            number, identity, ..
        } = &*self.shared;
        (identity.cast_unsigned(), number.cast_unsigned())
    }

    /// The same as any store.
    pub(crate) fn store(&self) -> Store {
        self.clone().into()
    }

    /// That of the server.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::<ServerClock>::clone(&self.home().clock)
    }

    /// Refuses if the store is open for reading only.
    pub(crate) fn must_be_writable(&self) -> Result<()> {
        match self.ways.read_only {
            true => Err(refused()),
            false => Ok(()),
        }
    }

    pub(crate) fn kinds(&self) -> &Mutex<Vec<&'static Kind>> {
        &self.shared.kinds
    }

    /// One that was never given before: nothing is known by heart of what others may change.
    pub(crate) fn another_number(&self) -> u64 {
        self.shared.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn of(shared: Arc<Shared>) -> Self {
        Postgres {
            shared,
            ways: Ways::of(&Options::default()),
        }
    }

    /// The store of which this may be a shard.
    fn at_home(&self) -> Self {
        let shared = match &self.shared.home {
            Home::Here { .. } => &self.shared,
            Home::Elsewhere(home) => home,
        };
        Postgres {
            shared: Arc::clone(shared),
            ways: self.ways.clone(),
        }
    }

    fn home(&self) -> &Commons {
        self.shared.commons()
    }

    /// The store and its shards that this process has open.
    fn all_parts(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        if let Home::Here { shards, .. } = &self.shared.home {
            all.extend(shards.lock().iter().filter_map(Weak::upgrade).map(Self::of));
        }
        all
    }

    /// A connection to the schema of this store.
    fn lend(&self) -> Result<Lent<'_>> {
        self.home().pool.lend(&self.shared.address.schema)
    }

    /// Another, for who may have one already.
    fn lend_another(&self) -> Result<Lent<'_>> {
        self.home().pool.lend_another(&self.shared.address.schema)
    }

    /// One that isn't given back.
    fn open_another(&self) -> Result<Connection> {
        self.home().pool.open(&self.shared.address.schema)
    }
}

impl Shared {
    fn new(address: Address, durability: Durability, known: Known, home: Home) -> Self {
        Shared {
            address,
            durability,
            number: known.number,
            identity: known.identity,
            // None that a store had which has moved here.
            numbers: AtomicU64::new(1 << 62),
            lately: Mutex::default(),
            kinds: Mutex::default(),
            home,
        }
    }

    fn commons(&self) -> &Commons {
        match &self.home {
            Home::Here { commons, .. } => commons,
            Home::Elsewhere(home) => home.commons(),
        }
    }
}
