//! Every statement of a barrier. All barriers of a store are rows of one table. In another there is a row for each party
//! that waits, until the last one comes: then they go, and the round is another.

use diskette_store::{Claims, GiveBack, Kind, Table};

pub(crate) static BARRIER: Kind = Kind {
    name: "barrier",
    format: 1,
    schema: &[
        "CREATE TABLE IF NOT EXISTS barriers \
            (id INTEGER PRIMARY KEY, parties BIGINT NOT NULL, round BIGINT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS barrier_arrivals (barrier BIGINT NOT NULL, owner BIGINT NOT NULL, ticket BIGINT NOT NULL, \
            PRIMARY KEY (barrier, owner, ticket))",
    ],
    tables: &[
        Table::of_structures("barrier_arrivals", "barrier"),
        Table::of_structures("barriers", "id"),
    ],
    bring_over: &[],
    claims: Some(Claims {
        owners: "SELECT DISTINCT owner FROM barrier_arrivals WHERE barrier = $1",
        structures: "SELECT DISTINCT barrier FROM barrier_arrivals WHERE owner = $1",
        give_back: GiveBack::Statements(&["DELETE FROM barrier_arrivals WHERE owner = $1"]),
    }),
};

pub(crate) const CREATE: &str = "INSERT INTO barriers (id, parties, round) VALUES ($1, $2, 0)";
pub(crate) const SET_PARTIES: &str = "UPDATE barriers SET parties = $1 WHERE id = $2";
/// The round, and how many must come.
pub(crate) const ROUND: &str = "SELECT round, parties FROM barriers WHERE id = $1";
pub(crate) const NEXT_ROUND: &str = "UPDATE barriers SET round = round + 1 WHERE id = $1";

pub(crate) const ARRIVE: &str =
    "INSERT INTO barrier_arrivals (barrier, owner, ticket) VALUES ($1, $2, $3)";
/// Who waits, and how many threads of each.
pub(crate) const WAITING: &str =
    "SELECT owner, count(*) FROM barrier_arrivals WHERE barrier = $1 GROUP BY owner";
/// The round, whether a party still waits for its end, and whether all do.
pub(crate) const STANDING: &str = "SELECT round, (SELECT count(*) FROM barrier_arrivals \
    WHERE barrier = $1 AND owner = $2 AND ticket = $3), (SELECT count(*) FROM barrier_arrivals \
    WHERE barrier = $1) >= parties FROM barriers WHERE id = $1";
pub(crate) const WITHDRAW: &str =
    "DELETE FROM barrier_arrivals WHERE barrier = $1 AND owner = $2 AND ticket = $3";
pub(crate) const WITHDRAW_ALL: &str = "DELETE FROM barrier_arrivals WHERE barrier = $1";
