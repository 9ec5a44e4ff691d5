use std::ops::RangeInclusive;

use crate::error::Result;
use crate::moving::Original;
use crate::moving::checksum::{Checksum, Summer};
use crate::moving::table::{self, Table};
use crate::row::Value;

/// Rows of a table, by their keys.
pub(crate) type Span = RangeInclusive<i64>;

/// All of them, also where the key is no number.
pub(crate) const ALL: Span = i64::MIN..=i64::MAX;

/// A range ends with so many rows, or bytes: so where one row has changed, about a page is copied again.
const ROWS: usize = 64;
const BYTES: usize = 4096;

/// What is known of a copied table: ranges of its keys, in their order, each with the sum of the rows that are there in the copy.
#[derive(Default)]
pub(crate) struct Ranges {
    all: Vec<Range>,
    /// In which the last row was.
    at: usize,
    /// How much was read since the last cut.
    rows: usize,
    bytes: usize,
}

struct Range {
    first: i64,
    last: i64,
    sum: Checksum,
}

/// Rows that the original has otherwise than the copy.
pub(crate) struct Changed {
    pub(crate) spans: Vec<Span>,
    pub(crate) here: Checksum,
    pub(crate) there: Checksum,
}

impl Ranges {
    /// With nothing in them yet.
    pub(crate) fn of(spans: &[Span]) -> Self {
        let empty = |span: &Span| Range {
            first: *span.start(),
            last: *span.end(),
            sum: Checksum::default(),
        };
        Ranges {
            all: spans.iter().map(empty).collect(),
            ..Ranges::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn sum(&self) -> Checksum {
        let mut all = Checksum::default();
        self.all.iter().for_each(|range| all += range.sum);
        all
    }

    /// A row of the copy.
    pub(crate) fn add(&mut self, row: &[Value<'_>], sum: Checksum) -> Result<()> {
        let at = self.find(table::int(row, 0)?);
        self.all[at].sum += sum;
        Ok(())
    }

    /// Begins another range with a row that comes behind the others, if there are enough in the last one.
    pub(crate) fn cut(&mut self, row: &[Value<'_>]) -> Result<()> {
        if self.rows >= ROWS || self.bytes >= BYTES {
            let key = table::int(row, 0)?;
            let at = self.find(key);
            let Range { first, last, .. } = self.all[at];
            if first < key {
                self.all[at].last = key - 1;
                let sum = Checksum::default();
                let rest = Range {
                    first: key,
                    last,
                    sum,
                };
                self.all.insert(at + 1, rest);
                (self.rows, self.bytes) = (0, 0);
            }
        }
        self.rows += 1;
        self.bytes += row.iter().map(Value::len).sum::<usize>();
        Ok(())
    }

    /// Takes out the ranges in which the original has other rows.
    pub(crate) fn take_changed(
        &mut self,
        table: &Table,
        from: &dyn Original,
        summer: &mut Summer,
    ) -> Result<Changed> {
        let spans = self.all.iter().map(|range| range.first..=range.last);
        let mut now = Ranges::of(&spans.collect::<Vec<_>>());
        from.each_row(table, &[ALL], &mut |row| {
            now.add(row, summer.of(table, row))
        })?;
        let mut changed = Changed {
            spans: Vec::new(),
            here: Checksum::default(),
            there: Checksum::default(),
        };
        let mut now = now.all.into_iter();
        self.all.retain(|range| {
            let here = now.next().map_or(range.sum, |now| now.sum);
            let is_same = here == range.sum;
            if !is_same {
                changed.spans.push(range.first..=range.last);
                changed.here += here;
                changed.there += range.sum;
            }
            is_same
        });
        Ok(changed)
    }

    /// Puts in what was copied in place of those that were taken out.
    pub(crate) fn put(&mut self, ranges: Ranges) {
        self.all.extend(ranges.all);
    }

    pub(crate) fn sort(&mut self) {
        self.all.sort_unstable_by_key(|range| range.first);
        self.at = 0;
    }

    /// The range of a key, which mostly is that of the row before, or the next.
    fn find(&mut self, key: i64) -> usize {
        let is_in = |range: &Range| (range.first..=range.last).contains(&key);
        let near = self.at..self.all.len().min(self.at + 2);
        let found = near.into_iter().find(|&at| is_in(&self.all[at]));
        self.at = found.unwrap_or_else(|| {
            let behind = self.all.partition_point(|range| range.first <= key);
            behind.saturating_sub(1)
        });
        self.at
    }
}

/// Those that touch, as one.
pub(crate) fn joined(spans: &[Span]) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(*span.start()) => {
                *last = *last.start()..=*span.end();
            }
            _ => joined.push(span.clone()),
        }
    }
    joined
}
