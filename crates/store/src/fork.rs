//! Stores over `fork`. SQLite's state must not cross it: the child would share the parent's locks in
//! memory without having them in the kernel. So all connections are closed just before a fork, and
//! opened anew by whoever needs them, parent or child.
//!
//! A fork waits for what the toolkit itself is doing in other threads, and not for the program's own transactions and
//! snapshots: most forks only run another program. A child that was made in the middle of one is *torn*: every store is an
//! error in it, and SQLite is left alone.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use diskette_ipc::fork::{self, Hook};
use diskette_ipc::{ArcMutexGuard, Deadline, Mutex};

use crate::store::Still;

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
