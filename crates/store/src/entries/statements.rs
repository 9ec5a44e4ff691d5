use crate::entries::End;

/// The statements that structures with entries have alike, but for the names of their tables; made by
/// [`entry_statements!`](crate::entry_statements).
#[derive(Debug)]
pub struct Statements {
    /// `id, file` of the key `$1`.
    pub place: &'static str,
    /// The row of the key `$1`.
    pub find_entry: &'static str,
    /// Removes the row `$1`.
    pub drop: &'static str,
    /// The files of all rows.
    pub files: &'static str,
    /// Removes all rows.
    pub clear: &'static str,
    /// Moves the places from `$2` to before `$3` by `$1`.
    pub shift: &'static str,
    /// The number of rows of the structure `$3`.
    pub count: &'static str,
    /// Counts off rows of the structure `$6` that have gone: see [`base_without`](crate::base_without).
    pub count_off: &'static str,
    /// Makes `$3` the number of rows of the structure `$5`; `$4` is where the first place is.
    pub recount: &'static str,
    /// The least and the greatest id.
    pub ends: &'static str,
    /// The row with the greatest key, without its value.
    pub last_key: &'static str,
    /// Rows from a place to before another, at most `$3`.
    pub in_order: Directions,
    /// The same, without their values.
    pub keys_in_order: Directions,
    /// Rows from a key to before another, at most `$3`.
    pub by_key: Directions,
    /// The same, without their values.
    pub keys_by_key: Directions,
    /// How many rows there are from a key to before another.
    pub count_range: &'static str,
    /// `id, file` of the rows from a key to before another.
    pub places_in_range: &'static str,
}

/// Two statements that differ in the direction in which they go.
#[derive(Clone, Copy, Debug)]
pub struct Directions {
    /// From the least.
    pub up: &'static str,
    /// From the greatest.
    pub down: &'static str,
}

impl Directions {
    /// The one that begins at this end.
    pub fn to(self, end: End) -> &'static str {
        match end {
            End::Front => self.up,
            End::Back => self.down,
        }
    }
}

/// The `base` of a structure after `$1` rows have gone, of which the last was at `$2`. The first of all ids is `$3`, the one after
/// the last `$4`; `$5` is where the first place is.
///
/// The number of rows was the greatest id there was less the base: that of the last that is left, or of the last that has gone.
#[doc(hidden)]
#[macro_export]
macro_rules! base_without {
    ($entries:literal) => {
        concat!(
            "coalesce((SELECT base + $1 + CASE WHEN id < $2 THEN id - $2 ELSE 0 END FROM ",
            $entries,
            " WHERE id >= $3 AND id < $4 ORDER BY id DESC LIMIT 1), $5)"
        )
    };
}

/// The [`Statements`] of the entries in one table, whose structures are rows of another; the rows that they read are
/// `id, file, value, key` and what `$more` names. `file` comes before `value`, so that reading it never walks through a
/// long value.
///
/// Where a statement is about all ids of a structure, its parameters begin with that: `$1` is the first, `$2` the one after
/// the last; about all keys likewise.
#[doc(hidden)]
#[macro_export]
macro_rules! entry_statements {
    ($entries:literal, $structures:literal, $more:literal) => {
        $crate::entries::Statements {
            place: concat!("SELECT id, file FROM ", $entries, " WHERE key = $1"),
            find_entry: concat!(
                "SELECT id, file, value, key",
                $more,
                " FROM ",
                $entries,
                " WHERE key = $1"
            ),
            drop: concat!("DELETE FROM ", $entries, " WHERE id = $1"),
            files: concat!(
                "SELECT file FROM ",
                $entries,
                " WHERE id >= $1 AND id < $2 AND file IS NOT NULL"
            ),
            clear: concat!("DELETE FROM ", $entries, " WHERE id >= $1 AND id < $2"),
            shift: concat!(
                "UPDATE ",
                $entries,
                " SET id = id + $1 WHERE id >= $2 AND id < $3"
            ),
            count: concat!(
                "SELECT coalesce((SELECT id FROM ",
                $entries,
                " WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1) - base, 0) \
                 FROM ",
                $structures,
                " WHERE id = $3"
            ),
            count_off: concat!(
                "UPDATE ",
                $structures,
                " SET base = ",
                $crate::base_without!($entries),
                " WHERE id = $6"
            ),
            recount: concat!(
                "UPDATE ",
                $structures,
                " SET base = coalesce((SELECT id FROM ",
                $entries,
                " WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1) - $3, $4) \
                 WHERE id = $5 \
                 AND base <> coalesce((SELECT id FROM ",
                $entries,
                " WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1) - $3, $4)"
            ),
            ends: concat!(
                "SELECT (SELECT id FROM ",
                $entries,
                " WHERE id >= $1 AND id < $2 ORDER BY id LIMIT 1), \
                 (SELECT id FROM ",
                $entries,
                " WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1)"
            ),
            last_key: concat!(
                "SELECT id, NULL, NULL, key FROM ",
                $entries,
                " WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT 1"
            ),
            in_order: $crate::entries::Directions {
                up: concat!(
                    "SELECT id, file, value, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3"
                ),
                down: concat!(
                    "SELECT id, file, value, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3"
                ),
            },
            keys_in_order: $crate::entries::Directions {
                up: concat!(
                    "SELECT id, NULL, NULL, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3"
                ),
                down: concat!(
                    "SELECT id, NULL, NULL, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3"
                ),
            },
            by_key: $crate::entries::Directions {
                up: concat!(
                    "SELECT id, file, value, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3"
                ),
                down: concat!(
                    "SELECT id, file, value, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3"
                ),
            },
            keys_by_key: $crate::entries::Directions {
                up: concat!(
                    "SELECT id, NULL, NULL, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3"
                ),
                down: concat!(
                    "SELECT id, NULL, NULL, key",
                    $more,
                    " FROM ",
                    $entries,
                    " WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3"
                ),
            },
            count_range: concat!(
                "SELECT count(*) FROM ",
                $entries,
                " WHERE key >= $1 AND key < $2"
            ),
            places_in_range: concat!(
                "SELECT id, file FROM ",
                $entries,
                " WHERE key >= $1 AND key < $2"
            ),
        }
    };
}
