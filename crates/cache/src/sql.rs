//! Every statement of a cache.
//!
//! All caches of a store have these tables together, each the ids of its share, and the keys that begin with its number.
//!
//! Times are those of the store's timeline, in microseconds. Who has the least `rank` is evicted first; who was used since it was
//! written has a greater one, which is written when he is about to go: so using an entry changes no index. SIEVE needs no ranks: it goes
//! by the places, and `hand` is the last that it has looked at, never beyond the last there is. `bytes` of
//! a cache is the sum of its entries' `cost`; it is kept, as the ranks are, only where there is a limit.

use diskette_store::entries::{Directions, Statements};
use diskette_store::{Claims, GiveBack, Kind, Table, base_without, entry_statements};

use crate::policy::Policy;

pub(crate) static KIND: Kind = Kind {
    name: "cache",
    format: 2,
    schema: &[
        "CREATE TABLE IF NOT EXISTS caches (id INTEGER PRIMARY KEY, base BIGINT NOT NULL, policy TEXT NOT NULL, \
            max_bytes BIGINT, max_entries BIGINT, bytes BIGINT NOT NULL, hand BIGINT NOT NULL, \
            hits BIGINT NOT NULL, misses BIGINT NOT NULL, evicted BIGINT NOT NULL, expired BIGINT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS cache_entries (id INTEGER PRIMARY KEY, cache BIGINT NOT NULL, key BLOB NOT NULL UNIQUE, \
            file BIGINT, expires BIGINT, idle BIGINT, stored BIGINT NOT NULL, used BIGINT, uses BIGINT NOT NULL, \
            rank BIGINT, cost BIGINT NOT NULL, fresh BIGINT, took BIGINT, tag TEXT, value BLOB)",
        "CREATE TABLE IF NOT EXISTS cache_flights (id INTEGER PRIMARY KEY, cache BIGINT NOT NULL, key BLOB NOT NULL UNIQUE, \
            owner BIGINT NOT NULL, thread BIGINT NOT NULL, awaits BLOB)",
        "CREATE INDEX IF NOT EXISTS cache_expiries ON cache_entries (cache, expires) WHERE expires IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS cache_ranks ON cache_entries (cache, rank) WHERE rank IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS cache_tags ON cache_entries (tag) WHERE tag IS NOT NULL",
    ],
    tables: &[
        Table::of_items("cache_entries", "id"),
        Table::of_structures("caches", "id"),
        Table::of_structures("cache_flights", "cache"),
    ],
    // In format 1 SIEVE went by ranks.
    bring_over: &[
        "UPDATE cache_entries SET rank = NULL WHERE rank IS NOT NULL AND cache = (SELECT id FROM caches \
            WHERE id = {id} AND policy = 'sieve')",
        "UPDATE caches SET hand = 0 WHERE id = {id}",
    ],
    claims: Some(Claims {
        owners: "SELECT DISTINCT owner FROM cache_flights WHERE cache = $1",
        structures: "SELECT DISTINCT cache FROM cache_flights WHERE owner = $1",
        give_back: GiveBack::Statements(&["DELETE FROM cache_flights WHERE owner = $1"]),
    }),
};

/// Of a sharded cache its home knows how many shards there are, in which set of databases, and the limits of all together. The
/// entries are in caches, one in each of the databases.
pub(crate) static SHARDED_KIND: Kind = Kind {
    name: "sharded cache",
    format: 1,
    schema: &[
        "CREATE TABLE sharded_caches (id INTEGER PRIMARY KEY, shards BIGINT NOT NULL, shard_set BIGINT NOT NULL, \
            policy TEXT NOT NULL, max_bytes BIGINT, max_entries BIGINT)",
    ],
    tables: &[Table::of_structures("sharded_caches", "id")],
    bring_over: &[],
    claims: None,
};

pub(crate) const CREATE_SHARDED: &str = "INSERT INTO sharded_caches \
    (id, shards, shard_set, policy, max_bytes, max_entries) VALUES ($1, $2, $3, $4, $5, $6)";
pub(crate) const SHARDED: &str =
    "SELECT policy, max_bytes, max_entries, shards, shard_set FROM sharded_caches WHERE id = $1";
pub(crate) const SET_SHARDED_CONFIG: &str =
    "UPDATE sharded_caches SET policy = $1, max_bytes = $2, max_entries = $3 WHERE id = $4";
pub(crate) const SET_SHARDS: &str =
    "UPDATE sharded_caches SET shards = $1, shard_set = $2 WHERE id = $3";

/// What is the same for all structures with entries.
pub(crate) static ENTRIES: Statements = entry_statements!("cache_entries", "caches", ", expires");

pub(crate) const CREATE: &str = "INSERT INTO caches \
    (id, base, policy, max_bytes, max_entries, bytes, hand, hits, misses, evicted, expired) \
    VALUES ($1, $2, $3, $4, $5, 0, $6, 0, 0, 0, 0)";
pub(crate) const CONFIG: &str = "SELECT policy, max_bytes, max_entries FROM caches WHERE id = $1";
pub(crate) const SET_CONFIG: &str =
    "UPDATE caches SET policy = $1, max_bytes = $2, max_entries = $3 WHERE id = $4";

/// Inserts or updates, in its place, a value that is no file; but nothing where a file is to go, or what has expired by `$4`.
/// `$3` is where the first place is.
pub(crate) const PUT_INLINE: &str = "INSERT INTO cache_entries (id, stored, cache, key, expires, idle, uses, cost, tag, value) \
    VALUES (1 + coalesce((SELECT id FROM cache_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1), $3), \
    $4, $5, $6, $7, $8, 0, $9, $10, $11) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires, idle = excluded.idle, \
    stored = excluded.stored, used = NULL, uses = 0, cost = excluded.cost, fresh = NULL, took = NULL, \
    tag = excluded.tag \
    WHERE cache_entries.file IS NULL AND (cache_entries.expires IS NULL OR cache_entries.expires > $4)";
pub(crate) const ADD: &str = "INSERT INTO cache_entries (id, stored, cache, key, expires, idle, cost, tag, file, value, uses, rank) \
    VALUES (1 + coalesce((SELECT id FROM cache_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1), $3), \
    $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (key) DO NOTHING";
pub(crate) const SET: &str = "UPDATE cache_entries SET stored = $1, expires = $2, idle = $3, cost = $4, tag = $5, \
    file = $6, value = $7, uses = $8, used = NULL, fresh = NULL, took = NULL WHERE id = $9";
/// Replaces the value, and leaves expiry and tag as they are.
pub(crate) const SET_VALUE: &str = "UPDATE cache_entries SET stored = $1, cost = $2, file = $3, value = $4, \
    uses = $5, used = NULL WHERE id = $6";
pub(crate) const TOUCH: &str = "UPDATE cache_entries SET expires = $1, idle = $2 WHERE id = $3";

/// What reading an entry needs.
pub(crate) const FIND: &str = "SELECT id, file, value, expires, idle, uses, coalesce(used, stored), fresh, took \
    FROM cache_entries WHERE key = $1";
/// What changing an entry needs.
pub(crate) const FOUND: &str =
    "SELECT id, file, cost, expires, uses FROM cache_entries WHERE key = $1";
/// Both.
pub(crate) const FIND_FOUND: &str =
    "SELECT id, file, cost, expires, uses, value FROM cache_entries WHERE key = $1";
pub(crate) const EXPIRES: &str = "SELECT expires FROM cache_entries WHERE key = $1";
pub(crate) const META: &str = "SELECT id, file, value, expires, idle, uses, coalesce(used, stored), stored, tag, cost \
    FROM cache_entries WHERE key = $1";

/// The entries with the tag `$3`, from a place to before another.
pub(crate) const TAGGED: Directions = Directions {
    up: "SELECT id, file, value, key, expires FROM cache_entries \
        WHERE id >= $1 AND id < $2 AND tag = $3 ORDER BY id LIMIT $4",
    down: "SELECT id, file, value, key, expires FROM cache_entries \
        WHERE id >= $1 AND id < $2 AND tag = $3 ORDER BY id DESC LIMIT $4",
};

/// Adds `$1` to the bytes of the cache `$2`, if it is within its limits then, with `$5` more entries.
pub(crate) const TAKE_ROOM: &str = "UPDATE caches SET bytes = bytes + $1 WHERE id = $2 \
    AND (max_bytes IS NULL OR bytes + $1 <= max_bytes) AND (max_entries IS NULL OR max_entries >= \
    coalesce((SELECT id FROM cache_entries WHERE id >= $3 AND id < $4 ORDER BY id DESC LIMIT 1) - base, 0) + $5)";
/// Adds `$1` to the bytes of the cache `$2`; gives what they are then, and how many entries there are.
pub(crate) const ADD_BYTES: &str = "UPDATE caches SET bytes = bytes + $1 WHERE id = $2 RETURNING bytes, \
    coalesce((SELECT id FROM cache_entries WHERE id >= $3 AND id < $4 ORDER BY id DESC LIMIT 1) - base, 0)";
pub(crate) const BYTES: &str = "SELECT bytes FROM caches WHERE id = $1";
/// Counts them anew.
pub(crate) const COUNT_BYTES: &str = "UPDATE caches \
    SET bytes = (SELECT coalesce(sum(cost), 0) FROM cache_entries WHERE id >= $1 AND id < $2) WHERE id = $3";
pub(crate) const SUM_BYTES: &str =
    "SELECT coalesce(sum(cost), 0) FROM cache_entries WHERE id >= $1 AND id < $2";
/// After entries have gone, of `$6` bytes, of which `$7` were evicted and `$8` had expired.
pub(crate) const SHED: &str = concat!(
    "UPDATE caches SET base = ",
    base_without!("cache_entries"),
    ", hand = CASE hand WHEN 0 THEN 0 ELSE coalesce((SELECT CASE WHEN id < hand THEN id ELSE hand END \
        FROM cache_entries WHERE id >= $3 AND id < $4 ORDER BY id DESC LIMIT 1), 0) END",
    ", bytes = bytes - $6, evicted = evicted + $7, expired = expired + $8 WHERE id = $9"
);
pub(crate) const COUNT_READS: &str =
    "UPDATE caches SET hits = hits + $1, misses = misses + $2 WHERE id = $3";
pub(crate) const COUNTS: &str = "SELECT hits, misses, evicted, expired FROM caches WHERE id = $1";

/// What has expired by `$2`: `id, file, cost` of at most `$3`.
pub(crate) const EXPIRED: &str = "SELECT id, file, cost FROM cache_entries WHERE cache = $1 AND expires <= $2 \
    ORDER BY expires, id LIMIT $3";
pub(crate) const COUNT_EXPIRED: &str =
    "SELECT count(*) FROM cache_entries WHERE cache = $1 AND expires <= $2";
pub(crate) const NEXT_EXPIRY: &str = "SELECT expires FROM cache_entries WHERE cache = $1 AND expires IS NOT NULL \
    ORDER BY expires, id LIMIT 1";
/// Who is next to be evicted, after the one with the rank `$2` and the id `$3`.
pub(crate) const VICTIMS: &str = "SELECT id, file, cost, rank, uses, stored, coalesce(used, stored) FROM cache_entries \
    WHERE cache = $1 AND rank >= $2 AND (rank > $2 OR id > $3) ORDER BY rank, id LIMIT $4";
/// The same by their places, after `$1`.
pub(crate) const VICTIMS_IN_ORDER: &str = "SELECT id, file, cost, id, uses, stored, coalesce(used, stored) FROM cache_entries \
    WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3";
pub(crate) const RANK: &str = "UPDATE cache_entries SET rank = $1 WHERE id = $2";
pub(crate) const SPARE: &str = "UPDATE cache_entries SET uses = 0 WHERE id = $1";
pub(crate) const HAND: &str = "SELECT hand FROM caches WHERE id = $1";
pub(crate) const SET_HAND: &str = "UPDATE caches SET hand = $1 WHERE id = $2";
pub(crate) const OLDEST_RANK: &str = "SELECT rank FROM cache_entries WHERE cache = $1 AND rank IS NOT NULL \
    ORDER BY rank, id LIMIT 1";
/// `id, file, cost` of at most `$4` entries with the tag `$3`.
pub(crate) const SOME_TAGGED: &str = "SELECT id, file, cost FROM cache_entries WHERE id >= $1 AND id < $2 AND tag = $3 ORDER BY id LIMIT $4";

/// A value that was computed: until `$1` it is good, and so long it took.
pub(crate) const MEMO: &str = "UPDATE cache_entries SET fresh = $1, took = $2 WHERE key = $3";
pub(crate) const TAKE_OFF: &str = "INSERT INTO cache_flights (cache, key, owner, thread) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (key) DO NOTHING";
pub(crate) const LAND: &str =
    "DELETE FROM cache_flights WHERE key = $1 AND owner = $2 AND thread = $3";
pub(crate) const PILOT: &str = "SELECT 1 FROM cache_flights WHERE key = $1";
/// Who computes this, and what he waits for, and so on.
pub(crate) const PILOTS: &str = "WITH RECURSIVE pilots (owner, thread) AS (SELECT owner, thread FROM cache_flights WHERE key = $1 \
    UNION SELECT next.owner, next.thread FROM pilots JOIN cache_flights AS flight \
    ON flight.owner = pilots.owner AND flight.thread = pilots.thread JOIN cache_flights AS next ON next.key = flight.awaits) \
    SELECT owner, thread FROM pilots";
pub(crate) const AWAIT: &str =
    "UPDATE cache_flights SET awaits = $1 WHERE owner = $2 AND thread = $3";

/// All that is known of entries, from a place to before another, at most `$3`.
pub(crate) const MOVING: &str = "SELECT id, file, value, key, expires, idle, stored, used, uses, rank, cost, fresh, took, tag \
    FROM cache_entries WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
/// Such an entry, at the end of another cache.
pub(crate) const MOVE_IN: &str = "INSERT INTO cache_entries \
    (id, cache, key, file, value, expires, idle, stored, used, uses, rank, cost, fresh, took, tag) \
    VALUES (1 + coalesce((SELECT id FROM cache_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1), $3), \
    $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

/// How often an entry was used, and since when it is stored.
pub(crate) const STANDING: &str = "SELECT uses, stored FROM cache_entries WHERE id = $1";
/// It was read at `$1`, as far as one process knows: another may know of a later time.
pub(crate) const USED: &str = "UPDATE cache_entries SET used = CASE WHEN used > $1 THEN used ELSE $1 END, uses = $2, \
    expires = CASE WHEN expires < $1 + idle THEN $1 + idle ELSE expires END WHERE id = $3";

/// Ranks all entries anew.
pub(crate) fn rank(policy: Policy) -> &'static str {
    match policy {
        Policy::LeastRecentlyStored => {
            "UPDATE cache_entries SET rank = stored, uses = 0 WHERE id >= $1 AND id < $2"
        }
        Policy::LeastRecentlyUsed => {
            "UPDATE cache_entries SET rank = coalesce(used, stored), uses = 0 WHERE id >= $1 AND id < $2"
        }
        Policy::LeastFrequentlyUsed => {
            "UPDATE cache_entries SET rank = coalesce(used, stored) / 1000, uses = 0 WHERE id >= $1 AND id < $2"
        }
        Policy::Sieve | Policy::Refuse => {
            "UPDATE cache_entries SET rank = NULL, uses = 0 WHERE id >= $1 AND id < $2"
        }
    }
}
