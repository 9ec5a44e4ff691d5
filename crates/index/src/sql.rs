//! Every statement of an index.
//!
//! A row's `id` is its place in insertion order, its `key` the bytes whose order is the keys' order.
//! New rows come after the greatest id, so that inserting touches one table; what removing and moving
//! does to the ids is made up for in `base`:
//!
//! > the number of rows = the greatest id - base, or 0 without rows
//!
//! All indexes of a store have these tables together, each the ids of its share, and the keys that begin with its number.
//! Where a statement is about all ids that an index has, its parameters begin with that: `$1` is the first, `$2` the one after
//! the last; about all keys likewise.
//!
//! `file` comes before `value`, so that reading it never walks through a long value.

use diskette_store::{Kind, Table};

pub(crate) static KIND: Kind = Kind {
    name: "index",
    format: 2,
    schema: &[
        "CREATE TABLE IF NOT EXISTS indexes (id INTEGER PRIMARY KEY, base BIGINT NOT NULL)",
        "CREATE TABLE index_entries (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, file BIGINT, value BLOB)",
    ],
    tables: &[
        Table::of_items("index_entries", "id"),
        Table::of_structures("indexes", "id"),
    ],
    // Format 1 had a table for each index, ids around 0, and keys without a beginning.
    bring_over: &[
        "INSERT INTO index_entries (id, key, file, value) \
            SELECT ({id} << 39) + (1 << 38) + id, CAST(unhex(printf('%06x', {id})) || key AS BLOB), file, value \
            FROM index_{id}",
        "UPDATE indexes SET base = base + ({id} << 39) + (1 << 38) WHERE id = {id}",
        "DROP TABLE index_{id}",
    ],
    claims: None,
};

pub(crate) const CREATE: &str = "INSERT INTO indexes (id, base) VALUES ($1, $2)";

/// Inserts or updates, in its place, a value that is no file; but nothing where a file is to go. `$3` is where the first
/// place is.
pub(crate) const PUT_INLINE: &str = "INSERT INTO index_entries (id, key, value) \
    VALUES (1 + coalesce((SELECT id FROM index_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1), $3), $4, $5) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE index_entries.file IS NULL";
pub(crate) const ADD: &str = "INSERT INTO index_entries (id, key, file, value) \
    VALUES (1 + coalesce((SELECT id FROM index_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1), $3), $4, $5, $6) \
    ON CONFLICT (key) DO NOTHING";
pub(crate) const SET: &str = "UPDATE index_entries SET file = $1, value = $2 WHERE id = $3";
pub(crate) const RELOCATE: &str = "UPDATE index_entries SET id = $1 WHERE id = $2";
pub(crate) const DROP: &str = "DELETE FROM index_entries WHERE id = $1";
pub(crate) const CLEAR: &str = "DELETE FROM index_entries WHERE id >= $1 AND id < $2";
/// Moves the places from `$2` to before `$3` by `$1`.
pub(crate) const SHIFT: &str = "UPDATE index_entries SET id = id + $1 WHERE id >= $2 AND id < $3";

pub(crate) const CONTAINS: &str = "SELECT 1 FROM index_entries WHERE key = $1";
pub(crate) const PLACE: &str = "SELECT id, file FROM index_entries WHERE key = $1";
/// Those that read entries all give id, file, value, key, in this order, as far as they go.
pub(crate) const FIND: &str = "SELECT id, file, value FROM index_entries WHERE key = $1";
pub(crate) const FIND_ENTRY: &str = "SELECT id, file, value, key FROM index_entries WHERE key = $1";
pub(crate) const FILES: &str =
    "SELECT file FROM index_entries WHERE id >= $1 AND id < $2 AND file IS NOT NULL";

pub(crate) const COUNT: &str = "SELECT \
    coalesce((SELECT id FROM index_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1) - base, 0) FROM indexes WHERE id = $3";
/// Makes `$3` the number of rows of the index `$5`; `$4` is where the first place is.
pub(crate) const RECOUNT: &str = "UPDATE indexes \
    SET base = coalesce((SELECT id FROM index_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1) - $3, $4) WHERE id = $5 \
    AND base <> coalesce((SELECT id FROM index_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1) - $3, $4)";

pub(crate) const ENDS: &str = "SELECT (SELECT id FROM index_entries WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1), \
    (SELECT id FROM index_entries WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1)";
pub(crate) const OLDEST: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1";
pub(crate) const NEWEST: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1";
pub(crate) const FIRST: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE key >= $1 AND key < $2 ORDER BY key LIMIT 1";
pub(crate) const LAST: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT 1";
pub(crate) const LAST_KEY: &str = "SELECT id, NULL, NULL, key FROM index_entries \
    WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT 1";

pub(crate) const ENTRIES_UP: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
pub(crate) const ENTRIES_DOWN: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3";
pub(crate) const KEYS_UP: &str = "SELECT id, NULL, NULL, key FROM index_entries \
    WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
pub(crate) const KEYS_DOWN: &str = "SELECT id, NULL, NULL, key FROM index_entries \
    WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3";
pub(crate) const RANGE_UP: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3";
pub(crate) const RANGE_KEYS_UP: &str = "SELECT id, NULL, NULL, key FROM index_entries \
    WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3";
pub(crate) const RANGE_KEYS_DOWN: &str = "SELECT id, NULL, NULL, key FROM index_entries \
    WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3";
pub(crate) const COUNT_RANGE: &str =
    "SELECT count(*) FROM index_entries WHERE key >= $1 AND key < $2";
pub(crate) const PLACES_IN_RANGE: &str =
    "SELECT id, file FROM index_entries WHERE key >= $1 AND key < $2";
pub(crate) const RANGE_DOWN: &str = "SELECT id, file, value, key FROM index_entries \
    WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3";
