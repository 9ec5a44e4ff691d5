use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::{Custody, Deadline, Stop, background};
use diskette_store::{Error, Holdable, Result, Store};

use crate::cache::Cache;
use crate::reach::Reach;

/// A thread that removes what has expired now and then; made by [`Cache::upkeep`]. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct Upkeep {
    stop: Stop,
}

impl<K, V, C, A> Cache<K, V, C, A>
where
    A: Reach<Access = Store> + Clone + Send + Sync + 'static,
{
    /// Starts a thread that [culls](Self::cull) the cache every so often, and writes down what this process has read. Of all
    /// processes that ask for it one does it, as long as it lives and keeps the [`Upkeep`]; then another. Without any, what has
    /// expired is freed in passing by those who write.
    ///
    /// # Process safety
    ///
    /// The one who does it holds a lock. The others wait for that, asleep.
    ///
    /// # Crashes
    ///
    /// When it dies another takes over at once.
    ///
    /// # Errors
    ///
    /// [`is_removed`](Error::is_removed) when the store is gone, and those of starting a thread. What the thread meets it tries
    /// again the next time.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use diskette::{Cache, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let cache = Cache::<String, u32>::new(&store, "cache")?;
    /// let _upkeep = cache.upkeep(Duration::from_secs(60))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn upkeep(&self, every: Duration) -> Result<Upkeep> {
        let upkeep = Upkeep { stop: Stop::new() };
        let stop = upkeep.stop.clone();
        let cache = Cache::<(), (), (), A> {
            access: self.access.clone(),
            inner: self.inner.clone(),
            types: PhantomData,
        };
        self.doing("upkeep", || {
            let store = self.store().with_stop(&stop);
            let structure = Arc::clone(self.access.structure(&self.inner));
            let lock = Holdable::with_slots(&store, structure, Custody::Thread, 1)?;
            let failed = |error| Error::io("can't start a thread", error);
            let keep_up = move || keep_up(&cache, &lock, &stop, every);
            background::spawn("diskette-upkeep", keep_up).map_err(failed)
        })?;
        Ok(upkeep)
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

fn keep_up<A>(cache: &Cache<(), (), (), A>, lock: &Holdable, stop: &Stop, every: Duration)
where
    A: Reach<Access = Store>,
{
    while !stop.is_stopped() {
        match lock.take(1, Deadline::never()) {
            Ok(Some(held)) => {
                while !stop.wait_timeout(every) {
                    if cache.cull().is_err_and(|error| error.is_moved()) {
                        return;
                    }
                    for part in cache.parts() {
                        let _ = part.inner.settle_all(part.store());
                    }
                    // Where the store is now another may hold it.
                    if !lock.is_held(&held) {
                        break;
                    }
                }
                let _ = lock.give_back(held);
            }
            Ok(None) => {}
            Err(error) if error.is_removed() || error.is_moved() => return,
            Err(_) => drop(stop.wait_timeout(every)),
        }
    }
}
