//! Every statement of a throttle. All throttles of a store are rows of one table and share their
//! statements, so that one for each host of a crawl costs two rows and nothing else.

use diskette_store::{Kind, Table};

pub(crate) static KIND: Kind = Kind {
    name: "throttle",
    format: 1,
    schema: &[
        "CREATE TABLE IF NOT EXISTS throttles (id INTEGER PRIMARY KEY, rates BLOB NOT NULL, meter BLOB NOT NULL)",
    ],
    tables: &[Table::of_structures("throttles", "id")],
    bring_over: &[],
    claims: None,
};

pub(crate) const CREATE: &str = "INSERT INTO throttles (id, rates, meter) VALUES ($1, $2, $3)";
pub(crate) const LOAD: &str = "SELECT rates, meter FROM throttles WHERE id = $1";
pub(crate) const SAVE: &str = "UPDATE throttles SET meter = $1 WHERE id = $2";
pub(crate) const SAVE_RATES: &str = "UPDATE throttles SET rates = $1, meter = $2 WHERE id = $3";
