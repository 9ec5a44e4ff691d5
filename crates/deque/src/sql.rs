//! Every statement of a deque.
//!
//! Items are rows in `deque_items`, ordered by position. A position within the order that has no item is a
//! gap, a row in `deque_gaps`: claimed, while the item is in the hands of an owner, or a hole, where an
//! item was taken from the middle. Nothing else is missing:
//!
//! > from the least position of both tables to the greatest, each is in one of them
//!
//! so that counting takes the two ends and the few gaps between them.
//!
//! All deques of a store have these tables together, each the positions of its share. Where a statement is about all that a
//! deque has, its parameters begin with that: `$1` is the first position, `$2` the one after the last.
//!
//! `file` comes before `value`, so that reading it never walks through a long value.

use diskette_store::{Claims, GiveBack, Kind, Table};

use crate::positions::End;

pub(crate) static KIND: Kind = Kind {
    name: "deque",
    format: 2,
    schema: &[
        "CREATE TABLE IF NOT EXISTS deques (id INTEGER PRIMARY KEY, max_len BIGINT, when_full BIGINT NOT NULL)",
        "CREATE TABLE deque_items (pos INTEGER PRIMARY KEY, file BIGINT, deliveries BIGINT, value BLOB)",
        "CREATE TABLE deque_gaps (pos INTEGER PRIMARY KEY, \
            owner BIGINT, token BIGINT, since BIGINT, file BIGINT, deliveries BIGINT, value BLOB)",
        "CREATE INDEX deque_holes ON deque_gaps (pos) WHERE owner IS NULL",
    ],
    tables: &[
        Table::of_items("deque_items", "pos"),
        Table::of_items("deque_gaps", "pos"),
        Table::of_structures("deques", "id"),
    ],
    // Format 1 had two tables for each deque, and positions around 0.
    bring_over: &[
        "INSERT INTO deque_items (pos, file, value) \
            SELECT ({id} << 39) + (1 << 38) + pos - coalesce((SELECT min(pos) FROM deque_{id}), 0), file, value \
            FROM deque_{id}",
        "INSERT INTO deque_gaps (pos, owner, token, since, file, value) \
            SELECT ({id} << 39) + (1 << 38) + pos - coalesce((SELECT min(pos) FROM deque_{id}), 0), \
            owner, token, since, file, value FROM deque_{id}_gaps",
        "DROP TABLE deque_{id}",
        "DROP TABLE deque_{id}_gaps",
    ],
    claims: Some(Claims {
        owners: "SELECT DISTINCT owner FROM deque_gaps \
            WHERE pos >= CAST($1 AS BIGINT) << 39 AND pos < (CAST($1 AS BIGINT) + 1) << 39 AND owner IS NOT NULL",
        structures: "SELECT DISTINCT pos >> 39 FROM deque_gaps WHERE owner = $1",
        give_back: GiveBack::Statements(&[
            "INSERT INTO deque_items (pos, file, deliveries, value) \
                SELECT pos, file, deliveries, value FROM deque_gaps WHERE owner = $1",
            "DELETE FROM deque_gaps WHERE owner = $1",
        ]),
    }),
};

/// The first position in a table that is of the deque. (SQLite is faster at this than at `min(pos)`.)
macro_rules! first {
    ($table:literal) => {
        concat!(
            "(SELECT pos FROM ",
            $table,
            " WHERE pos >= $1 AND pos < $2 ORDER BY pos LIMIT 1)"
        )
    };
}

/// The last one.
macro_rules! last {
    ($table:literal) => {
        concat!(
            "(SELECT pos FROM ",
            $table,
            " WHERE pos >= $1 AND pos < $2 ORDER BY pos DESC LIMIT 1)"
        )
    };
}

/// Where an item goes at an end of a deque with the parameters `$1`, `$2` and, for the first of all, `$3`.
macro_rules! new_front {
    () => {
        concat!(
            "coalesce((SELECT min(pos) FROM (SELECT ",
            first!("deque_items"),
            " AS pos UNION ALL SELECT ",
            first!("deque_gaps"),
            ") AS ends), $3) - 1"
        )
    };
}
macro_rules! new_back {
    () => {
        concat!(
            "1 + coalesce((SELECT max(pos) FROM (SELECT ",
            last!("deque_items"),
            " AS pos UNION ALL SELECT ",
            last!("deque_gaps"),
            ") AS ends), $3)"
        )
    };
}

/// `$4` is the value.
const PUSH_FRONT: &str = concat!(
    "INSERT INTO deque_items (pos, value) VALUES (",
    new_front!(),
    ", $4)"
);
const PUSH_BACK: &str = concat!(
    "INSERT INTO deque_items (pos, value) VALUES (",
    new_back!(),
    ", $4)"
);
/// The same, but only where the deque `$5` has no bound. (SQLite makes a table of what it inserts by a `SELECT` from the same.)
const PUSH_FRONT_UNLESS_BOUNDED: &str = concat!(
    "INSERT INTO deque_items (pos, value) SELECT ",
    new_front!(),
    ", $4 FROM deques WHERE id = $5 AND max_len IS NULL"
);
const PUSH_BACK_UNLESS_BOUNDED: &str = concat!(
    "INSERT INTO deque_items (pos, value) SELECT ",
    new_back!(),
    ", $4 FROM deques WHERE id = $5 AND max_len IS NULL"
);
pub(crate) const PUT: &str = "INSERT INTO deque_items (pos, file, value) VALUES ($1, $2, $3)";
pub(crate) const SET: &str = "UPDATE deque_items SET file = $1, value = $2 WHERE pos = $3";
pub(crate) const DELETE: &str = "DELETE FROM deque_items WHERE pos = $1";
pub(crate) const DELETE_RUN: &str = "DELETE FROM deque_items WHERE pos >= $1 AND pos <= $2";
/// Moves a run behind `$1`.
pub(crate) const APPEND: &str = "INSERT INTO deque_items (pos, file, deliveries, value) \
    SELECT $1 + row_number() OVER (ORDER BY pos), file, deliveries, value FROM deque_items WHERE pos >= $2 AND pos <= $3";

/// The item at an end, the gap that is furthest to this end, and how often the item was claimed. Those that read items give pos, file, value, in this order.
const FRONT: &str = concat!(
    "SELECT pos, file, value, ",
    first!("deque_gaps"),
    " AS gap, deliveries FROM deque_items WHERE pos >= $1 AND pos < $2 ORDER BY pos LIMIT 1",
);
const BACK: &str = concat!(
    "SELECT pos, file, value, ",
    last!("deque_gaps"),
    " AS gap, deliveries FROM deque_items WHERE pos >= $1 AND pos < $2 ORDER BY pos DESC LIMIT 1",
);
pub(crate) const AT: &str = "SELECT pos, file, value FROM deque_items WHERE pos = $1";
/// The item with the index `$3`, unless a gap is in the way.
const NTH: &str = concat!(
    "SELECT pos, file, value FROM deque_items WHERE pos = ",
    first!("deque_items"),
    " + $3 AND pos < $2 AND NOT EXISTS (SELECT 1 FROM deque_gaps AS gaps WHERE gaps.pos < deque_items.pos AND gaps.pos > deque_items.pos - $3)",
);
const NTH_BACK: &str = concat!(
    "SELECT pos, file, value FROM deque_items WHERE pos = ",
    last!("deque_items"),
    " - $3 AND pos >= $1 AND NOT EXISTS (SELECT 1 FROM deque_gaps AS gaps WHERE gaps.pos > deque_items.pos AND gaps.pos < deque_items.pos + $3)",
);
/// Items between two positions.
pub(crate) const PAGE_UP: &str =
    "SELECT pos, file, value FROM deque_items WHERE pos > $1 AND pos < $2 ORDER BY pos LIMIT $3";
const PAGE_DOWN: &str = "SELECT pos, file, value FROM deque_items WHERE pos > $1 AND pos < $2 ORDER BY pos DESC LIMIT $3";
pub(crate) const FILES: &str =
    "SELECT file FROM deque_items WHERE pos >= $1 AND pos <= $2 AND file IS NOT NULL";

pub(crate) const LEN: &str = concat!(
    "SELECT coalesce(last - first + 1 - (SELECT count(*) FROM deque_gaps WHERE pos > first AND pos < last), 0) FROM (SELECT ",
    first!("deque_items"),
    " AS first, ",
    last!("deque_items"),
    " AS last) AS ends",
);
pub(crate) const CLAIMED: &str =
    "SELECT count(*) FROM deque_gaps WHERE pos >= $1 AND pos < $2 AND owner IS NOT NULL";
pub(crate) const ANY: &str = "SELECT 1 FROM deque_items WHERE pos >= $1 AND pos < $2 LIMIT 1";
pub(crate) const ANY_OR_CLAIMED: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM deque_items WHERE pos >= $1 AND pos < $2) \
    OR EXISTS (SELECT 1 FROM deque_gaps WHERE pos >= $1 AND pos < $2 AND owner IS NOT NULL)";
/// The positions of the first and the last item.
pub(crate) const ITEMS: &str =
    concat!("SELECT ", first!("deque_items"), ", ", last!("deque_items"),);
/// The least and the greatest position, gaps and all.
pub(crate) const ALL: &str = concat!(
    "SELECT (SELECT min(pos) FROM (SELECT ",
    first!("deque_items"),
    " AS pos UNION ALL SELECT ",
    first!("deque_gaps"),
    ") AS ends), (SELECT max(pos) FROM (SELECT ",
    last!("deque_items"),
    " AS pos UNION ALL SELECT ",
    last!("deque_gaps"),
    ") AS ends)",
);
/// The least and the greatest position that is no hole, and the number of holes.
pub(crate) const OCCUPIED: &str = "SELECT \
    (SELECT min(pos) FROM (SELECT min(pos) AS pos FROM deque_items WHERE pos >= $1 AND pos < $2 \
        UNION ALL SELECT min(pos) FROM deque_gaps WHERE pos >= $1 AND pos < $2 AND owner IS NOT NULL) AS ends), \
    (SELECT max(pos) FROM (SELECT max(pos) AS pos FROM deque_items WHERE pos >= $1 AND pos < $2 \
        UNION ALL SELECT max(pos) FROM deque_gaps WHERE pos >= $1 AND pos < $2 AND owner IS NOT NULL) AS ends), \
    (SELECT count(*) FROM deque_gaps WHERE pos >= $1 AND pos < $2 AND owner IS NULL)";

pub(crate) const HOLE: &str = "INSERT INTO deque_gaps (pos) VALUES ($1)";
pub(crate) const HOLES: &str =
    "SELECT pos FROM deque_gaps WHERE pos >= $1 AND pos < $2 AND owner IS NULL ORDER BY pos";
pub(crate) const FILL_HOLES: &str =
    "DELETE FROM deque_gaps WHERE pos >= $1 AND pos < $2 AND owner IS NULL";
/// But for those of a run, from `$3` to `$4`.
pub(crate) const FILL_OUTER_HOLES: &str = "DELETE FROM deque_gaps \
    WHERE pos >= $1 AND pos < $2 AND owner IS NULL AND (pos < $3 OR pos > $4)";
pub(crate) const GAPS_IN: &str =
    "SELECT pos FROM deque_gaps WHERE pos >= $1 AND pos <= $2 ORDER BY pos";
pub(crate) const CLOSE_GAP: &str = "DELETE FROM deque_gaps WHERE pos = $1";

pub(crate) const CLAIM: &str = "INSERT INTO deque_gaps (pos, owner, token, since, file, deliveries, value) \
    SELECT pos, $1, $2, $3, file, 1 + coalesce(deliveries, 0), value FROM deque_items WHERE pos = $4";
pub(crate) const CLAIMS: &str = "SELECT owner, token, since, deliveries FROM deque_gaps \
    WHERE pos >= $1 AND pos < $2 AND owner IS NOT NULL ORDER BY pos";
/// Puts the claimed item at `$2` to `$1`.
pub(crate) const GIVE_BACK: &str = "INSERT INTO deque_items (pos, file, deliveries, value) \
    SELECT $1, file, deliveries, value FROM deque_gaps WHERE pos = $2";
pub(crate) const COUNT_DELIVERIES: &str = "UPDATE deque_items SET deliveries = $1 WHERE pos = $2";
pub(crate) const HELD_AT: &str =
    "SELECT pos, file FROM deque_gaps WHERE pos = $1 AND owner = $2 AND token = $3";
pub(crate) const HELD: &str = "SELECT pos, file FROM deque_gaps \
    WHERE pos >= $1 AND pos < $2 AND owner = $3 AND token = $4";

pub(crate) const SHIFT_ITEMS: &str =
    "UPDATE deque_items SET pos = pos + $1 WHERE pos >= $2 AND pos <= $3";
pub(crate) const SHIFT_GAPS: &str =
    "UPDATE deque_gaps SET pos = pos + $1 WHERE pos >= $2 AND pos <= $3";
pub(crate) const MIRROR_ITEMS: &str =
    "UPDATE deque_items SET pos = $1 - pos WHERE pos >= $2 AND pos <= $3";
pub(crate) const MIRROR_GAPS: &str =
    "UPDATE deque_gaps SET pos = $1 - pos WHERE pos >= $2 AND pos <= $3";

pub(crate) const CREATE_BOUND: &str =
    "INSERT INTO deques (id, max_len, when_full) VALUES ($1, $2, $3)";
pub(crate) const BOUND: &str = "SELECT max_len, when_full FROM deques WHERE id = $1";
pub(crate) const SET_MAX_LEN: &str = "UPDATE deques SET max_len = $1 WHERE id = $2";
pub(crate) const SET_WHEN_FULL: &str = "UPDATE deques SET when_full = $1 WHERE id = $2";

pub(crate) fn push(end: End) -> &'static str {
    match end {
        End::Front => PUSH_FRONT,
        End::Back => PUSH_BACK,
    }
}

pub(crate) fn push_unless_bounded(end: End) -> &'static str {
    match end {
        End::Front => PUSH_FRONT_UNLESS_BOUNDED,
        End::Back => PUSH_BACK_UNLESS_BOUNDED,
    }
}

pub(crate) fn item_at(end: End) -> &'static str {
    match end {
        End::Front => FRONT,
        End::Back => BACK,
    }
}

/// The page of items that is next when coming from `end`.
pub(crate) fn page(end: End) -> &'static str {
    match end {
        End::Front => PAGE_UP,
        End::Back => PAGE_DOWN,
    }
}

pub(crate) fn nth_from(end: End) -> &'static str {
    match end {
        End::Front => NTH,
        End::Back => NTH_BACK,
    }
}
