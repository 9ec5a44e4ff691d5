//! Stores over `fork`. SQLite's state must not cross it: the child would share the parent's locks in
//! memory without having them in the kernel. So all connections are closed just before a fork, and
//! opened anew by whoever needs them, parent or child.
//!
//! A fork waits for what the toolkit itself is doing in other threads, and not for the program's own transactions and
//! snapshots: most forks only run another program. A child that was made in the middle of one is *torn*: every store is an
//! error in it, and SQLite is left alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

use diskette_ipc::fork::{self, Hook};
use diskette_ipc::{ArcMutexGuard, Deadline, Mutex, MutexGuard, Queue};
use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result};
use crate::kind::Kind;
use crate::sqlite::Shared;
#[cfg(feature = "postgres")]
use crate::sqlite::arrival;
use crate::sqlite::commons::Commons;
use crate::sqlite::estate::Estates;
use crate::sqlite::group::Parts;
use crate::sqlite::housekeeping::Running;
use crate::sqlite::memory::Emptied;
use crate::sqlite::open_stores::{OPEN, OpenStores};
use crate::sqlite::readers::Pool;
use crate::store::PutOff;

/// How often a fork looks whether it can go on.
pub(crate) const LOOK: Duration = Duration::from_millis(1);

static TORN: AtomicBool = AtomicBool::new(false);

/// Whoever begins to use a connection passes it. While a fork waits it is closed, so that those who are inside come to an end.
#[derive(Default)]
pub(crate) struct Door(Arc<Mutex<()>>);

impl Door {
    pub(crate) fn pass(&self) {
        drop(self.0.lock());
    }

    pub(crate) fn close(&self) -> ArcMutexGuard<()> {
        self.0.lock_arc()
    }
}

thread_local! {
    static STILL: RefCell<Option<Still>> = const { RefCell::new(None) };
}

/// How long a fork waits for other threads.
pub(crate) struct Patience {
    with_the_toolkit: Deadline,
    /// Most transactions are over by then.
    with_the_program: Deadline,
}

impl Patience {
    pub(crate) fn begin() -> Self {
        Patience {
            with_the_toolkit: Deadline::after(Duration::from_secs(2)),
            with_the_program: Deadline::after(Duration::from_millis(20)),
        }
    }

    pub(crate) fn goes_on(&self, with_the_program: bool) -> bool {
        !match with_the_program {
            true => self.with_the_program.is_past(),
            false => self.with_the_toolkit.is_past(),
        }
    }
}

/// Called when a store is opened: from then on forks are prepared for.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        fork::hook(Hook {
            before,
            parent,
            child,
        });
    });
}

/// Is this a child that was forked in the middle of its parent's work with a store?
pub(crate) fn is_torn() -> bool {
    TORN.load(Ordering::Relaxed)
}

/// Refuses in such a child.
pub(crate) fn must_be_whole() -> Result<()> {
    if !is_torn() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Misuse,
        "this process was forked in the middle of a transaction or a snapshot of its parent; fork outside of them, or run \
         another program after the fork",
    ))
}

fn before() {
    STILL.with(|still| still.replace(Some(Still::keep())));
}

fn parent() {
    STILL.with(RefCell::take);
}

fn child() {
    if let Some(still) = STILL.with(RefCell::take) {
        TORN.fetch_or(still.is_torn(), Ordering::Relaxed);
        still.adopt();
    }
}

/// The stores of this process, kept still over a fork, their connections closed.
struct Still {
    stores: Vec<StillStore>,
    _commons: Vec<StillCommons>,
    /// No thread is opening a store either.
    _open: MutexGuard<'static, Option<OpenStores>>,
}

struct StillStore {
    torn: bool,
    _door: ArcMutexGuard<()>,
    _writer: Option<ArcMutexGuard<Option<Connection>>>,
    writers: ArcMutexGuard<Queue<Parts>>,
    _readers: ArcMutexGuard<Pool>,
    _memory: Option<Emptied>,
    _kinds: ArcMutexGuard<Vec<&'static Kind>>,
    put_off: ArcMutexGuard<Vec<PutOff>>,
    /// Last, since closing the store takes what is locked above.
    store: Arc<Shared>,
}

struct StillCommons {
    _keeper: ArcMutexGuard<Running>,
    _estates: ArcMutexGuard<Estates>,
    _members: ArcMutexGuard<Vec<Weak<Shared>>>,
    #[cfg(feature = "postgres")]
    _arrival: ArcMutexGuard<arrival::State>,
    commons: Arc<Commons>,
}

impl Still {
    /// Whatever a thread may have locked in a store is locked here, so that the child finds it free.
    fn keep() -> Self {
        let open = OPEN.lock();
        let stores = open
            .iter()
            .flat_map(HashMap::values)
            .filter_map(|open| open.shared.upgrade())
            .map(StillStore::keep);
        let stores: Vec<_> = stores.collect();
        let mut commons: Vec<StillCommons> = Vec::new();
        for StillStore { store, .. } in &stores {
            if !commons
                .iter()
                .any(|it| Arc::ptr_eq(&it.commons, &store.commons))
            {
                commons.push(StillCommons::keep(Arc::clone(&store.commons)));
            }
        }
        Still {
            stores,
            _commons: commons,
            _open: open,
        }
    }

    fn is_torn(&self) -> bool {
        self.stores.iter().any(|still| still.torn)
    }

    /// In the child. What was put off is for its parent to do. A store that could not be stopped has SQLite's state of the
    /// parent in it, so it is never closed.
    fn adopt(self) {
        for mut still in self.stores {
            still.put_off.clear();
            still.store.writer.forget_others(&mut still.writers);
            if still.torn {
                std::mem::forget(Arc::clone(&still.store));
            }
        }
    }
}

impl StillStore {
    fn keep(store: Arc<Shared>) -> Self {
        let door = store.door.close();
        let writer = store.writer.retire();
        let (readers, all_back) = store.readers.retire();
        let memory = store.memory.retire();
        StillStore {
            torn: writer.is_none() || !all_back || memory.is_none(),
            _door: door,
            _writer: writer,
            writers: store.writer.keep_still(),
            _readers: readers,
            _memory: memory,
            _kinds: store.kinds.lock_arc(),
            put_off: store.put_off.lock_arc(),
            store,
        }
    }
}

impl StillCommons {
    fn keep(commons: Arc<Commons>) -> Self {
        StillCommons {
            _keeper: commons.keeper.retire(),
            _estates: commons.undertaker.retire(),
            _members: commons.members.lock_arc(),
            #[cfg(feature = "postgres")]
            _arrival: commons.arrival.retire(),
            commons,
        }
    }
}
