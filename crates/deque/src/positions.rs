//! The arithmetic of positions: no database here.

/// An end of a deque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

impl End {
    pub(crate) fn other(self) -> End {
        match self {
            End::Front => End::Back,
            End::Back => End::Front,
        }
    }

    /// The position next to `pos` towards this end.
    pub(crate) fn after(self, pos: i64) -> i64 {
        match self {
            End::Front => pos - 1,
            End::Back => pos + 1,
        }
    }

    /// Whether a position is nearer to this end than `pos`.
    pub(crate) fn is_outer(self, position: i64, pos: i64) -> bool {
        match self {
            End::Front => position < pos,
            End::Back => position > pos,
        }
    }
}

/// Positions from the first to the last, both in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Run {
    pub(crate) fn one(pos: i64) -> Self {
        Run {
            first: pos,
            last: pos,
        }
    }

    pub(crate) fn len(self) -> i64 {
        self.last - self.first + 1
    }

    /// Are there positions of this run on both sides of `pos`?
    pub(crate) fn surrounds(self, pos: i64) -> bool {
        self.first < pos && pos < self.last
    }

    /// The `index`th position from an end that is not among the gaps, which ascend and lie in the run.
    pub(crate) fn nth(self, end: End, index: i64, gaps: &[i64]) -> Option<i64> {
        let pos = match end {
            End::Front => gaps
                .iter()
                .fold(self.first + index, |pos, &gap| pos + i64::from(gap <= pos)),
            End::Back => gaps
                .iter()
                .rfold(self.last - index, |pos, &gap| pos - i64::from(gap >= pos)),
        };
        (self.first <= pos && pos <= self.last).then_some(pos)
    }

    /// What is left of the run without `taken`, which ascends and lies in it.
    pub(crate) fn without(self, taken: &[i64]) -> Vec<Run> {
        let starts = std::iter::once(self.first).chain(taken.iter().map(|pos| pos + 1));
        let ends = taken
            .iter()
            .map(|pos| pos - 1)
            .chain(std::iter::once(self.last));
        starts
            .zip(ends)
            .map(|(first, last)| Run { first, last })
            .filter(|run| run.len() > 0)
            .collect()
    }
}

/// Positions that all move by as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) run: Run,
    pub(crate) by: i64,
}

/// The moves that close the `missing` runs (ascending) of the positions in `all`. Each run is closed
/// from its shorter side; each move, made in this order, goes where nothing is any more.
pub(crate) fn closing(all: Run, missing: &[Run]) -> Vec<Move> {
    let inner: Vec<Run> = missing
        .iter()
        .copied()
        .filter(|run| all.surrounds(run.first))
        .collect();
    let middle = all.first + all.len() / 2;
    let (left, right) = inner.split_at(inner.partition_point(|run| run.first < middle));
    let mut moves = Vec::new();

    let mut by = 0;
    for (index, run) in left.iter().enumerate().rev() {
        by += run.len();
        let first = match index.checked_sub(1) {
            Some(before) => left[before].last + 1,
            None => all.first,
        };
        let run = Run {
            first,
            last: run.first - 1,
        };
        moves.push(Move { run, by });
    }
    let mut by = 0;
    for (index, run) in right.iter().enumerate() {
        by -= run.len();
        let last = right
            .get(index + 1)
            .map_or(all.last, |after| after.first - 1);
        let run = Run {
            first: run.last + 1,
            last,
        };
        moves.push(Move { run, by });
    }
    moves.retain(|step| step.run.len() > 0);
    moves
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn closing_leaves_one_run_in_the_same_order(present in prop::collection::btree_set(0_i64..60, 1..40)) {
            let mut rows: Vec<i64> = present.iter().copied().collect();
            let all = Run { first: rows[0], last: rows[rows.len() - 1] };
            let missing = all.without(&rows);

            for step in closing(all, &missing) {
                for row in &mut rows {
                    if step.run.first <= *row && *row <= step.run.last {
                        *row += step.by;
                    }
                }
                // Two rows in one place would be one here.
                prop_assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), present.len());
            }
            prop_assert!(rows.windows(2).all(|pair| pair[1] == pair[0] + 1), "{:?}", rows);
        }
    }
}
