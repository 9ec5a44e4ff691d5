//! The engine of a store in a PostgreSQL database: a schema of its own there, for the processes of any number of machines.

mod address;
mod catalog;
mod connection;
mod dialect;
mod failure;
mod parameter;
mod pool;
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
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diskette_ipc::{Doorbell, background};

use crate::error::Result;
use crate::options::{Durability, Options};
use crate::postgres::address::Address;
use crate::postgres::catalog::Known;
use crate::postgres::connection::Connection;
use crate::postgres::pool::Pool;
use crate::postgres::session::Session;
use crate::sqlite::reading::refused;
use crate::store::{Store, Ways};

pub(crate) use address::is_address;
pub(crate) use dialect::writes;
pub(crate) use failure::from_postgres;
pub(crate) use parameter::Column;
pub(crate) use session::Listening;
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
    pool: Pool,
    session: Session,
    /// Rung by what others say.
    bell: Doorbell,
    numbers: AtomicU64,
}

impl Postgres {
    /// Opens the store at this address; makes it if it is missing.
    pub(crate) fn open(address: &str, options: &Options) -> Result<Self> {
        let open = || {
            Self::open_at(
                Address::parse(address)?,
                options.durability,
                options.create,
                Ways::of(options),
            )
        };
        open().map_err(|error: crate::Error| {
            error.at(|| format!("opening the store {}", address::shown(address)))
        })
    }

    fn open_at(address: Address, durability: Durability, create: bool, ways: Ways) -> Result<Self> {
        let first = Connection::open(&address.config, ways.timeout)?;
        let Known { number, identity } = catalog::prepare(&first, &address.schema, create)?;
        let pool = Pool::new(&address, ways.timeout)?;
        pool.take_in(first);
        Ok(Postgres {
            shared: Arc::new(Shared {
                durability,
                number,
                identity,
                pool,
                address,
                session: Session::default(),
                bell: Doorbell::private().map_err(failure::cant_connect)?,
                numbers: AtomicU64::new(0),
            }),
            ways,
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
        let shared = std::ptr::from_ref(&*self.shared);
        (u64::MAX, shared.addr() as u64)
    }

    /// The same as any store.
    pub(crate) fn store(&self) -> Store {
        self.clone().into()
    }

    /// Refuses if the store is open for reading only.
    pub(crate) fn must_be_writable(&self) -> Result<()> {
        match self.ways.read_only {
            true => Err(refused()),
            false => Ok(()),
        }
    }

    /// One that was never given before: nothing is known by heart of what others may change.
    pub(crate) fn another_number(&self) -> u64 {
        self.shared.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Has something done soon, by a thread of its own.
    pub(crate) fn in_background(&self, errand: impl FnOnce(&Store) + Send + 'static) {
        let store = self.store();
        // Without a thread it is not done, as if the process had ended.
        let _ = background::spawn("diskette-keeper", move || errand(&store));
    }

    fn of(shared: Arc<Shared>) -> Self {
        Postgres {
            shared,
            ways: Ways::of(&Options::default()),
        }
    }
}
