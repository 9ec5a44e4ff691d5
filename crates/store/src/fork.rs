//! Stores over `fork`. SQLite's state must not cross it: the child would share the parent's locks in
//! memory without having them in the kernel. So all connections are closed just before a fork, and
//! opened anew by whoever needs them, parent or child.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use diskette_ipc::fork::{self, Hook};

use crate::store::Still;

/// How long a fork waits for the transactions of other threads.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

thread_local! {
    static STILL: RefCell<Option<Still>> = const { RefCell::new(None) };
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

fn before() {
    STILL.with(|still| still.replace(Some(Still::keep())));
}

fn parent() {
    STILL.with(RefCell::take);
}

fn child() {
    STILL.with(RefCell::take).iter().for_each(Still::adopt);
}
