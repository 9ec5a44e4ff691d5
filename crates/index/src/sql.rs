//! Every statement of an index.
//!
//! A row's `id` is its place in insertion order, its `key` the bytes whose order is the keys' order.
//! New rows come after the greatest id, so that inserting touches one table; what removing and moving
//! does to the ids is made up for in `base`:
//!
//! > the number of rows = the greatest id - base, or 0 without rows
//!
//! `file` comes before `value`, so that reading it never walks through a long value.

use diskette_store::{Kind, statements};

pub(crate) static KIND: Kind = Kind {
    name: "index",
    format: 1,
    schema: &[
        "CREATE TABLE IF NOT EXISTS indexes (id INTEGER PRIMARY KEY, base BIGINT NOT NULL)",
        "INSERT INTO indexes (id, base) VALUES ({id}, 0)",
        "CREATE TABLE {t} (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, file BIGINT, value BLOB)",
    ],
    claims: None,
};

statements! {
    /// Those that read entries all give id, file, value, key, in this order, as far as they go.
    pub(crate) struct Sql {
        /// Inserts or updates, in its place, a value that is no file; but nothing where a file is to go.
        put_inline = "INSERT INTO {t} (id, key, value) \
            VALUES ((SELECT coalesce(max(id), 0) + 1 FROM {t}), $1, $2) \
            ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE {t}.file IS NULL",
        add = "INSERT INTO {t} (id, key, file, value) \
            VALUES ((SELECT coalesce(max(id), 0) + 1 FROM {t}), $1, $2, $3) \
            ON CONFLICT (key) DO NOTHING",
        set = "UPDATE {t} SET file = $1, value = $2 WHERE id = $3",
        relocate = "UPDATE {t} SET id = $1 WHERE id = $2",
        drop = "DELETE FROM {t} WHERE id = $1",
        clear = "DELETE FROM {t}",

        contains = "SELECT 1 FROM {t} WHERE key = $1",
        place = "SELECT id, file FROM {t} WHERE key = $1",
        find = "SELECT id, file, value, key FROM {t} WHERE key = $1",
        files = "SELECT file FROM {t} WHERE file IS NOT NULL",

        count = "SELECT coalesce((SELECT max(id) FROM {t}) - base, 0) FROM indexes WHERE id = {id}",
        /// Makes `$1` the number of rows.
        recount = "UPDATE indexes SET base = coalesce((SELECT max(id) FROM {t}) - $1, 0) \
            WHERE id = {id} AND base <> coalesce((SELECT max(id) FROM {t}) - $1, 0)",

        ends = "SELECT (SELECT min(id) FROM {t}), (SELECT max(id) FROM {t})",
        oldest = "SELECT id, file, value, key FROM {t} ORDER BY id LIMIT 1",
        newest = "SELECT id, file, value, key FROM {t} ORDER BY id DESC LIMIT 1",
        first = "SELECT id, file, value, key FROM {t} ORDER BY key LIMIT 1",
        last = "SELECT id, file, value, key FROM {t} ORDER BY key DESC LIMIT 1",
        last_key = "SELECT id, NULL, NULL, key FROM {t} ORDER BY key DESC LIMIT 1",

        entries_up = "SELECT id, file, value, key FROM {t} \
            WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3",
        entries_down = "SELECT id, file, value, key FROM {t} \
            WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        keys_up = "SELECT id, NULL, NULL, key FROM {t} \
            WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3",
        keys_down = "SELECT id, NULL, NULL, key FROM {t} \
            WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        range_up = "SELECT id, file, value, key FROM {t} \
            WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3",
        range_down = "SELECT id, file, value, key FROM {t} \
            WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3",
    }
}
