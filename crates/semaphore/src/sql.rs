//! Every statement of a semaphore. All semaphores of a store are rows of one table: one for each host of a crawl costs
//! two rows. Who holds permits is on the board, not here.

use diskette_store::{Kind, Table};

pub(crate) static KIND: Kind = Kind {
    name: "semaphore",
    format: 1,
    schema: &[
        "CREATE TABLE IF NOT EXISTS semaphores (id INTEGER PRIMARY KEY, permits BIGINT NOT NULL)",
    ],
    tables: &[Table::of_structures("semaphores", "id")],
    bring_over: &[],
    claims: None,
};

pub(crate) const CREATE: &str = "INSERT INTO semaphores (id, permits) VALUES ($1, $2)";
pub(crate) const PERMITS: &str = "SELECT permits FROM semaphores WHERE id = $1";
pub(crate) const RESIZE: &str = "UPDATE semaphores SET permits = $1 WHERE id = $2";
