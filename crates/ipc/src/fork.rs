//! What `fork` does to the rest of this crate, and how others can take part.
//!
//! A forked child inherits memory and descriptors, so it would believe itself to be its parent. Whoever keeps something
//! that belongs to one process notes the [`generation`] at which it was made; whoever has to act at the very moment
//! registers a [`Hook`].
//!
//! Only children made by the C library's `fork` are noticed; a raw `clone` system call or `_Fork` isn't. Starting a
//! program (`std::process::Command`) needs no care: every descriptor here closes on `exec`.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crate::{eras, file_lock, owners};

/// How many forks lie between this process and the one that first asked. It grows in each child, so a value that was
/// noted by an ancestor is never met again.
///
/// # Cost
///
/// No system call: two loads.
#[must_use]
pub fn generation() -> u64 {
    install();
    GENERATION.load(Ordering::Acquire)
}

/// Handlers that run around every `fork` of this process. They are never removed.
///
/// # Ordering
///
/// As with `pthread_atfork`: `before` runs latest-registered first, `parent` and `child` earliest first. This crate's own
/// come before all others, and [`generation`] has grown by the time that any `child` runs.
///
/// # Process safety
///
/// `child` runs in a process where only the forking thread lives on: a lock that another thread held stays locked
/// for ever, unless `before` took it. No handler may register another.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Runs in the parent before it forks.
    pub before: fn(),
    /// Runs in the parent once it has forked.
    pub parent: fn(),
    /// Runs in the child, before `fork` returns there.
    pub child: fn(),
}

/// Registers handlers for every later `fork`.
pub fn hook(hook: Hook) {
    install();
    HOOKS.lock().push(hook);
}

/// Something that one thread at a time may touch, and that is whole in a forked child: no other thread can be
/// at work on it during the fork.
pub(crate) struct Kept<T: 'static> {
    mutex: Mutex<T>,
    across: UnsafeCell<Option<MutexGuard<'static, T>>>,
}

// SAFETY: `across` is touched only by the thread that holds `mutex`.
unsafe impl<T: Send> Sync for Kept<T> {}

impl<T> Kept<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            mutex: Mutex::new(value),
            across: UnsafeCell::new(None),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the fork: nobody else gets at it from here on.
    pub(crate) fn hold(&'static self) {
        self.keep(self.lock());
    }

    /// After the fork, on either side, in the thread that called [`hold`](Self::hold).
    pub(crate) fn release(&'static self) -> MutexGuard<'static, T> {
        // SAFETY: this thread has held the mutex since `hold`; in the child it is the only thread.
        let held = unsafe { (*self.across.get()).take() };
        held.unwrap_or_else(|| self.lock())
    }

    fn keep(&'static self, guard: MutexGuard<'static, T>) {
        // SAFETY: the guard is this very mutex's (private, with two callers), so this thread holds it.
        unsafe { *self.across.get() = Some(guard) };
    }
}

static GENERATION: AtomicU64 = AtomicU64::new(0);
static HOOKS: Kept<Vec<Hook>> = Kept::new(Vec::new());

/// Whoever holds the owners may open a lock, never the other way round: so the locks are held last.
const OURS: [Hook; 3] = [file_lock::HOOK, owners::HOOK, eras::HOOK];

pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers are functions of this program and stay where they are.
        let refused = unsafe { nix::libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
        assert_eq!(refused, 0, "pthread_atfork: out of memory");
    });
}

extern "C" fn before() {
    let hooks = HOOKS.lock();
    for hook in OURS.iter().chain(hooks.iter()).rev() {
        (hook.before)();
    }
    HOOKS.keep(hooks);
}

extern "C" fn parent() {
    let hooks = HOOKS.release();
    for hook in OURS.iter().chain(hooks.iter()) {
        (hook.parent)();
    }
}

extern "C" fn child() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
    let hooks = HOOKS.release();
    for hook in OURS.iter().chain(hooks.iter()) {
        (hook.child)();
    }
}
