//! Every statement of a deque.
//!
//! Items are rows in `{t}`, ordered by position. A position within the order that has no item is a
//! gap, a row in `{t}_gaps`: claimed, while the item is in the hands of an owner, or a hole, where an
//! item was taken from the middle. Nothing else is missing:
//!
//! > from the least position of both tables to the greatest, each is in one of them
//!
//! so that counting takes the two ends and the few gaps between them.
//!
//! `file` comes before `value`, so that reading it never walks through a long value.

use diskette_store::{Claims, Kind, statements};

use crate::positions::End;

pub(crate) static KIND: Kind = Kind {
    name: "deque",
    format: 1,
    schema: &[
        "CREATE TABLE IF NOT EXISTS deques (id INTEGER PRIMARY KEY, max_len BIGINT, when_full BIGINT NOT NULL)",
        "CREATE TABLE {t} (pos INTEGER PRIMARY KEY, file BIGINT, value BLOB)",
        "CREATE TABLE {t}_gaps (pos INTEGER PRIMARY KEY, \
            owner BIGINT, token BIGINT, since BIGINT, file BIGINT, value BLOB)",
        "CREATE INDEX {t}_holes ON {t}_gaps (pos) WHERE owner IS NULL",
    ],
    claims: Some(Claims {
        owners: "SELECT DISTINCT owner FROM {t}_gaps WHERE owner IS NOT NULL",
        give_back: &[
            "INSERT INTO {t} (pos, file, value) SELECT pos, file, value FROM {t}_gaps WHERE owner = $1",
            "DELETE FROM {t}_gaps WHERE owner = $1",
        ],
    }),
};

statements! {
    /// Those that read items give pos, file, value, in this order.
    pub(crate) struct Sql {
        /// Only where there is no bound: else no row is inserted.
        push_back = "INSERT INTO {t} (pos, value) SELECT 1 + coalesce((SELECT max(pos) FROM \
            (SELECT max(pos) AS pos FROM {t} UNION ALL SELECT max(pos) FROM {t}_gaps) AS ends), 0), $1 \
            FROM deques WHERE id = {id} AND max_len IS NULL",
        push_front = "INSERT INTO {t} (pos, value) SELECT coalesce((SELECT min(pos) FROM \
            (SELECT min(pos) AS pos FROM {t} UNION ALL SELECT min(pos) FROM {t}_gaps) AS ends), 0) - 1, $1 \
            FROM deques WHERE id = {id} AND max_len IS NULL",
        put = "INSERT INTO {t} (pos, file, value) VALUES ($1, $2, $3)",
        set = "UPDATE {t} SET file = $1, value = $2 WHERE pos = $3",
        delete = "DELETE FROM {t} WHERE pos = $1",
        delete_run = "DELETE FROM {t} WHERE pos >= $1 AND pos <= $2",
        delete_all = "DELETE FROM {t}",
        /// Moves all of another deque, whose table takes the place of `{other}`, behind `$1`.
        append = "INSERT INTO {t} (pos, file, value) \
            SELECT $1 + row_number() OVER (ORDER BY pos), file, value FROM {other}",

        /// The item at an end, and the gap that is furthest to this end.
        front = "SELECT pos, file, value, (SELECT min(pos) FROM {t}_gaps) FROM {t} ORDER BY pos LIMIT 1",
        back = "SELECT pos, file, value, (SELECT max(pos) FROM {t}_gaps) FROM {t} ORDER BY pos DESC LIMIT 1",
        at = "SELECT pos, file, value FROM {t} WHERE pos = $1",
        /// The item with the index `$1`, unless a gap is in the way.
        nth = "SELECT pos, file, value FROM {t} WHERE pos = (SELECT min(pos) FROM {t}) + $1 AND NOT EXISTS \
            (SELECT 1 FROM {t}_gaps AS gaps WHERE gaps.pos < {t}.pos AND gaps.pos > {t}.pos - $1)",
        nth_back = "SELECT pos, file, value FROM {t} WHERE pos = (SELECT max(pos) FROM {t}) - $1 AND NOT EXISTS \
            (SELECT 1 FROM {t}_gaps AS gaps WHERE gaps.pos > {t}.pos AND gaps.pos < {t}.pos + $1)",
        page_up = "SELECT pos, file, value FROM {t} WHERE pos > $1 AND pos < $2 ORDER BY pos LIMIT $3",
        page_down = "SELECT pos, file, value FROM {t} WHERE pos > $1 AND pos < $2 ORDER BY pos DESC LIMIT $3",
        files = "SELECT file FROM {t} WHERE pos >= $1 AND pos <= $2 AND file IS NOT NULL",

        len = "SELECT coalesce(last - first + 1 - \
            (SELECT count(*) FROM {t}_gaps WHERE pos > first AND pos < last), 0) \
            FROM (SELECT (SELECT min(pos) FROM {t}) AS first, (SELECT max(pos) FROM {t}) AS last) AS ends",
        claimed = "SELECT count(*) FROM {t}_gaps WHERE owner IS NOT NULL",
        any = "SELECT 1 FROM {t} LIMIT 1",
        any_or_claimed = "SELECT 1 WHERE EXISTS (SELECT 1 FROM {t}) \
            OR EXISTS (SELECT 1 FROM {t}_gaps WHERE owner IS NOT NULL)",
        /// The positions of the first and the last item.
        items = "SELECT (SELECT min(pos) FROM {t}), (SELECT max(pos) FROM {t})",
        /// The least and the greatest position, gaps and all.
        all = "SELECT \
            (SELECT min(pos) FROM (SELECT min(pos) AS pos FROM {t} UNION ALL SELECT min(pos) FROM {t}_gaps) AS ends), \
            (SELECT max(pos) FROM (SELECT max(pos) AS pos FROM {t} UNION ALL SELECT max(pos) FROM {t}_gaps) AS ends)",
        /// The least and the greatest position that is no hole, and the number of holes.
        occupied = "SELECT \
            (SELECT min(pos) FROM (SELECT min(pos) AS pos FROM {t} \
                UNION ALL SELECT min(pos) FROM {t}_gaps WHERE owner IS NOT NULL) AS ends), \
            (SELECT max(pos) FROM (SELECT max(pos) AS pos FROM {t} \
                UNION ALL SELECT max(pos) FROM {t}_gaps WHERE owner IS NOT NULL) AS ends), \
            (SELECT count(*) FROM {t}_gaps WHERE owner IS NULL)",

        hole = "INSERT INTO {t}_gaps (pos) VALUES ($1)",
        holes = "SELECT pos FROM {t}_gaps WHERE owner IS NULL ORDER BY pos",
        fill_holes = "DELETE FROM {t}_gaps WHERE owner IS NULL",
        fill_outer_holes = "DELETE FROM {t}_gaps WHERE owner IS NULL AND (pos < $1 OR pos > $2)",
        gaps_in = "SELECT pos FROM {t}_gaps WHERE pos >= $1 AND pos <= $2 ORDER BY pos",
        close_gap = "DELETE FROM {t}_gaps WHERE pos = $1",

        claim = "INSERT INTO {t}_gaps (pos, owner, token, since, file, value) \
            SELECT pos, $1, $2, $3, file, value FROM {t} WHERE pos = $4",
        give_back = "INSERT INTO {t} (pos, file, value) SELECT pos, file, value FROM {t}_gaps WHERE pos = $1",
        held_at = "SELECT pos, file FROM {t}_gaps WHERE pos = $1 AND owner = $2 AND token = $3",
        held = "SELECT pos, file FROM {t}_gaps WHERE owner = $1 AND token = $2",

        shift_items = "UPDATE {t} SET pos = pos + $1 WHERE pos >= $2 AND pos <= $3",
        shift_gaps = "UPDATE {t}_gaps SET pos = pos + $1 WHERE pos >= $2 AND pos <= $3",
        mirror_items = "UPDATE {t} SET pos = $1 - pos",
        mirror_gaps = "UPDATE {t}_gaps SET pos = $1 - pos",

        create_bound = "INSERT INTO deques (id, max_len, when_full) VALUES ({id}, $1, $2)",
        bound = "SELECT max_len, when_full FROM deques WHERE id = {id}",
        set_max_len = "UPDATE deques SET max_len = $1 WHERE id = {id}",
        set_when_full = "UPDATE deques SET when_full = $1 WHERE id = {id}",
    }
}

impl Sql {
    pub(crate) fn push(&self, end: End) -> &str {
        match end {
            End::Front => &self.push_front,
            End::Back => &self.push_back,
        }
    }

    pub(crate) fn end(&self, end: End) -> &str {
        match end {
            End::Front => &self.front,
            End::Back => &self.back,
        }
    }

    /// The page of items that is next when coming from `end`.
    pub(crate) fn page(&self, end: End) -> &str {
        match end {
            End::Front => &self.page_up,
            End::Back => &self.page_down,
        }
    }

    pub(crate) fn nth_from(&self, end: End) -> &str {
        match end {
            End::Front => &self.nth,
            End::Back => &self.nth_back,
        }
    }
}
