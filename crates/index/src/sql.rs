//! Every statement of an index.
//!
//! All indexes of a store have these tables together, each the ids of its share, and the keys that begin with its number.

use diskette_store::entries::Statements;
use diskette_store::{Kind, Table, entry_statements};

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

/// What is the same for all structures with entries.
pub(crate) static ENTRIES: Statements = entry_statements!("index_entries", "indexes", "");

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

pub(crate) const CONTAINS: &str = "SELECT 1 FROM index_entries WHERE key = $1";
/// Those that read entries all give id, file, value, key, in this order, as far as they go.
pub(crate) const FIND: &str = "SELECT id, file, value FROM index_entries WHERE key = $1";
