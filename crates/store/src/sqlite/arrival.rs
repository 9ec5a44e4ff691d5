//! Opening what follows a store that has moved.

use std::sync::Arc;

use diskette_ipc::{ArcMutexGuard, Mutex, fork};

use crate::access::Access;
use crate::error::{Result, timed_out};
use crate::following::Next;
use crate::options::Options;
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;
use crate::sqlite::fork::must_be_whole;
use crate::sqlite::moved::Moved;
use crate::store::Store;
use crate::timeline::Timeline;

const OF_KIND: &str = "SELECT id FROM structures WHERE kind = $1";

/// The store that follows that of a directory, and its shards are part of.
#[derive(Default)]
pub(crate) struct Arrival(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    home: Option<Postgres>,
    /// Had by the thread that opens something, in this generation of forks: a child doesn't have the thread of its parent.
    opening: Option<(u64, Arc<Mutex<()>>)>,
}

impl Arrival {
    /// Keeps all this still over a fork.
    pub(crate) fn retire(&self) -> ArcMutexGuard<State> {
        self.0.lock_arc()
    }

    fn opening(&self) -> Arc<Mutex<()>> {
        let mut state = self.0.lock();
        let now = fork::generation();
        match &state.opening {
            Some((generation, opening)) if *generation == now => Arc::clone(opening),
            _ => {
                let opening = Arc::<Mutex<()>>::default();
                state.opening = Some((now, Arc::clone(&opening)));
                opening
            }
        }
    }
}

impl Sqlite {
    /// Opens what follows; one thread does it for all, who wait as long as their handles allow.
    pub(crate) fn follow(&self, moved: &Moved) -> Result<Option<Store>> {
        must_be_whole()?;
        let arrival = &self.commons().arrival;
        let opening = arrival.opening();
        let timeout = self.ways.timeout;
        let what = "another thread to open the store where it has moved";
        let alone = opening.try_lock_for(timeout);
        let _alone = alone.ok_or_else(|| timed_out(what, timeout))?;
        if self.next().is_none() {
            let home = arrival.0.lock().home.clone();
            let home = match home {
                Some(home) => home,
                None => Postgres::open_moved(moved, &self.options_for_next(), timeout)?,
            };
            let store = match self.shard() {
                None => home.clone(),
                Some(shard) => home.shard(shard.set(), shard.number())?,
            };
            let next = self.arrive(store.into())?;
            // A fork waits for these.
            let mut state = arrival.0.lock();
            state.home.get_or_insert(home);
            let identity = next.store.identity();
            let _ = self.shared.following.identity.set(identity);
            let _ = self.shared.following.next.set(next);
        }
        self.onward()
    }

    /// For all handles, of which this may be a hurried one.
    fn options_for_next(&self) -> Options {
        let default = Options::default();
        Options {
            timeout: self.ways.timeout.max(default.timeout),
            durability: self.durability(),
            read_only: self.is_for_reading(),
            clock: self.ways.clock.clone(),
            ..default
        }
    }

    /// Takes on what this process does for the store: what was claimed at the old place is there to be claimed.
    fn arrive(&self, store: Store) -> Result<Next> {
        if !self.is_for_reading() {
            let kinds = self.kinds().lock().clone();
            store.kinds().lock().clone_from(&kinds);
            for kind in kinds {
                store.watch_deaths()?;
                let of_this = store
                    .read_one(|db| db.query(OF_KIND, &[kind.name.into()], |row| row.int(0)))?;
                for structure in of_this {
                    store.give_back_what_the_dead_have(kind, structure)?;
                }
            }
        }
        Ok(Next {
            timeline: Timeline::open(&store, None)?,
            store,
        })
    }
}
