use std::fmt;
use std::sync::Arc;

use diskette_ipc::background;
use diskette_store::{Codec, Error, MessagePack, Result, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::flight::{Flight, Pilot};
use crate::fresh::Fresh;
use crate::memoize::Turn;
use crate::reach::Reach;

/// A function whose results are kept in a [`Cache`], for all processes: its argument is the key. What a call to
/// [`Cache::memoize`] does, it does for each argument; and where there is an old value that may still be given, it computes the
/// new one in the background, so that nobody waits.
///
/// Each function has a cache of its own: that has its name, its limits, and its [`stats`](Cache::stats). Several arguments are
/// a tuple.
///
/// # Process safety
///
/// That of [`Cache::memoize`]. A value that is computed in the background is lost if the process ends meanwhile; then another
/// computes it.
///
/// # Cost
///
/// That of [`Cache::memoize`]; a thread for each value that is computed in the background, as long as that takes.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Cache, Error, Fresh, Memoized, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let render = Memoized::new(
///     Cache::<(u64, String), String>::new(&store, "render")?,
///     Fresh::for_(Duration::from_secs(60)).early(1.0),
///     |(page, language)| Ok::<_, Error>(format!("page {page} in {language}")),
/// );
/// let page = (7, "en".to_string());
/// assert_eq!(render.call(&page)?, "page 7 in en");
/// assert!(render.invalidate(&page)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Memoized<K, V, E = Error, C = MessagePack, A: Reach = Store> {
    cache: Cache<K, V, C, A>,
    fresh: Fresh,
    function: Arc<Function<K, V, E>>,
}

type Function<K, V, E> = dyn Fn(&K) -> Result<V, E> + Send + Sync;

impl<K, V, E, C, A> Memoized<K, V, E, C, A>
where
    K: Serialize + Clone + Send + 'static,
    V: Serialize + DeserializeOwned + 'static,
    E: From<Error> + 'static,
    C: Codec,
    A: Reach<Access = Store> + Clone + Send + 'static,
{
    /// This function, with its results in this cache.
    pub fn new(
        cache: Cache<K, V, C, A>,
        fresh: impl Into<Fresh>,
        function: impl Fn(&K) -> Result<V, E> + Send + Sync + 'static,
    ) -> Self {
        Memoized {
            cache,
            fresh: fresh.into(),
            function: Arc::new(function),
        }
    }

    /// What the function returns for this argument, or returned a while ago. An error is kept for nobody.
    ///
    /// # Errors
    ///
    /// Those of the function, and of [`Cache::memoize`]. What a computation in the background fails with is told by nobody;
    /// the next to ask tries again.
    pub fn call(&self, argument: &K) -> Result<V, E> {
        let turn = self.cache.doing("memoize", || {
            let key = self.cache.key(argument)?;
            self.cache.turn(&key, &self.fresh, Pilot::another)
        })?;
        match turn {
            Turn::Done(value) => Ok(value),
            Turn::Compute(flight, Some(old)) => {
                self.refresh(flight, argument.clone());
                Ok(old)
            }
            Turn::Compute(flight, None) => {
                let compute = || (self.function)(argument);
                self.cache.compute(flight, &self.fresh, compute)
            }
        }
    }

    /// Forgets the result for this argument; was there one?
    ///
    /// # Errors
    ///
    /// Those of [`Cache::delete`].
    pub fn invalidate(&self, argument: &K) -> Result<bool> {
        self.cache.delete(argument)
    }

    /// The cache that the results are in.
    pub fn cache(&self) -> &Cache<K, V, C, A> {
        &self.cache
    }

    /// If no thread can be had, the flight ends, and the next to ask tries again.
    fn refresh(&self, flight: Flight, argument: K) {
        let again = self.clone();
        let _ = background::spawn("diskette-refresh", move || {
            flight.pilot().take_over();
            let compute = || (again.function)(&argument);
            let _ = again.cache.compute(flight, &again.fresh, compute);
        });
    }
}

impl<K, V, E, C, A: Reach + Clone> Clone for Memoized<K, V, E, C, A> {
    fn clone(&self) -> Self {
        Memoized {
            cache: self.cache.clone(),
            fresh: self.fresh.clone(),
            function: Arc::clone(&self.function),
        }
    }
}

impl<K, V, E, C, A: Reach> fmt::Debug for Memoized<K, V, E, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memoized").field(&self.cache).finish()
    }
}
