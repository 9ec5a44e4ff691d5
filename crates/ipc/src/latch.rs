//! What threads of one process wait for that happens once.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::futex;

/// Threads of one process wait at it until it is opened, and then never again.
///
/// # Example
///
/// ```
/// let latch = diskette_ipc::Latch::default();
/// std::thread::scope(|scope| {
///     scope.spawn(|| latch.wait());
///     latch.open();
/// });
/// ```
#[derive(Debug, Default)]
pub struct Latch(AtomicU32);

impl Latch {
    /// Lets all through who wait now or come later.
    pub fn open(&self) {
        self.0.store(1, SeqCst);
        futex::wake(&self.0);
    }

    /// Waits until it is open.
    pub fn wait(&self) {
        while self.0.load(SeqCst) == 0 {
            futex::wait_any(&[(&self.0, 0)], Duration::MAX);
        }
    }
}
