use std::marker::PhantomData;
use std::sync::Arc;

use diskette_store::MessagePack;

use crate::cache::Cache;
use crate::shards::{Shards, Spread};

/// A [`Cache`] that is spread over several databases by its keys, so that as many processes can write at once. It has the same
/// methods.
///
/// It is made by [`shards`](crate::CacheOptions::shards), and has a name in a store, as others have. That store remembers how many
/// shards there are, the limits and the policy; the shards lie in its directory. An opening with another number of shards is an
/// error, by [`sharded`](crate::CacheOptions::sharded) it is whatever it is, and [`reshard`](Cache::reshard) changes it.
///
/// Each shard has an equal part of the limits, rounded down: together they never exceed them. A key is in one shard only, so that an entry
/// may make room there while others have room left, and one that is larger than a shard's part is refused
/// ([`is_full`](diskette_store::Error::is_full)).
///
/// What it can't do is [`within`](Cache::within) a transaction: its shards are databases of their own, and no transaction goes over
/// several. [`backup`](diskette_store::Store::backup) copies each shard as it is at a moment of its own.
///
/// # Process safety
///
/// That of a cache, in each shard: processes that write to different ones don't wait for each other.
///
/// # Crashes
///
/// Those of a cache, for what is about one key. What is about many, such as [`insert_many`](Cache::insert_many),
/// [`clear`](Cache::clear) or [`set_max_bytes`](Cache::set_max_bytes), is done in one shard after the other: in each of them it is
/// whole or not at all, and who is killed in between leaves those done that were done. Limits that were changed in a part of the
/// shards are those of all once the cache is opened again.
///
/// # Ordering
///
/// In key order, as [`range`](Cache::range) and [`prefix`](Cache::prefix) go, it is one. In insertion order, as
/// [`iter`](Cache::iter) and [`tagged`](Cache::tagged) go, shard comes after shard: only what is in the same one is in that order.
/// Nothing sees all shards at one moment.
///
/// # Waits
///
/// A circle of threads that [memoize](Cache::memoize) values and wait for each other is seen at once where the values are in one shard.
/// Over several it isn't: then the wait ends by the store's timeout.
///
/// # Cost
///
/// That of a cache, a hash of the key and a look into shared memory; where nobody may write, a statement more instead of that.
/// What is about all entries is done in each shard. To go by key holds a page of each shard in memory, up to 1 MiB. To open it takes
/// a millisecond or two for each shard, and four to six open files; threads it has none of its own.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use diskette::{Cache, ShardedCache, Store};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("crawl")?;
/// let pages: ShardedCache<String, String> = Cache::options()
///     .max_bytes(100 << 20)
///     .shards(4)
///     .new(&store, "pages")?;
///
/// pages.insert_with("https://example.org/", "<html>", Duration::from_secs(3600))?;
/// assert_eq!(pages.get("https://example.org/")?.as_deref(), Some("<html>"));
///
/// let found = Cache::<String, String>::options().sharded().find(&store, "pages")?;
/// assert_eq!(found.map(|pages| pages.shards()), Some(4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type ShardedCache<K, V, C = MessagePack> = Cache<K, V, C, Shards>;

impl<K, V, C> Cache<K, V, C, Shards> {
    /// How many shards it has.
    pub fn shards(&self) -> usize {
        self.parts().count()
    }

    pub(crate) fn of_spread(spread: Spread) -> Self {
        Cache {
            access: Shards(Arc::new(spread)),
            inner: (),
            types: PhantomData,
        }
    }
}
