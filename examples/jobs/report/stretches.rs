//! Which bars are drawn as one.

use plotters::style::RGBColor;

use super::drawing::{FINE, RED};

/// A bar with room for a little light behind it.
const WIDE: i32 = 4 * FINE;

/// What is drawn as one.
#[derive(Debug, PartialEq)]
pub struct Stretch {
    pub worker: u32,
    pub colour: RGBColor,
    pub from: i32,
    pub to: i32,
}

/// Narrow bars with no more than a narrow gap between them are one; but those that were cut off are always to be seen.
pub fn joined(bars: impl Iterator<Item = (u32, RGBColor, i32, i32)>, narrow: i32) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    let mut last_of_worker: Vec<Option<usize>> = Vec::new();
    for (worker, colour, from, to) in bars {
        let row = worker as usize;
        last_of_worker.resize(last_of_worker.len().max(row + 1), None);
        let light = if to - from > WIDE { FINE } else { 0 };
        let to = to.max(from + narrow) - light;
        let last = last_of_worker[row].map(|last| &mut all[last]);
        match last {
            Some(last)
                if last.colour == colour
                    && colour != RED
                    && from - last.to < narrow
                    && to - from <= WIDE =>
            {
                last.to = last.to.max(to);
            }
            _ => {
                last_of_worker[row] = Some(all.len());
                all.push(Stretch {
                    worker,
                    colour,
                    from,
                    to,
                });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::drawing::BLUE;
    use super::*;

    #[test]
    fn narrow_neighbours_are_one_but_what_was_cut_off_is_seen() {
        let bars = [
            (0, BLUE, 0, 2),
            (1, BLUE, 1, 500),
            (0, BLUE, 3, 5),
            (0, RED, 6, 6),
            (0, RED, 7, 7),
            (0, BLUE, 100, 400),
            (0, BLUE, 400, 700),
        ];
        let drawn = joined(bars.into_iter(), 3);
        let drawn: Vec<_> = drawn
            .iter()
            .map(|it| (it.worker, it.colour, it.from, it.to))
            .collect();
        let expected = [
            (0, BLUE, 0, 6),
            (1, BLUE, 1, 490),
            (0, RED, 6, 9),
            (0, RED, 7, 10),
            (0, BLUE, 100, 390),
            (0, BLUE, 400, 690),
        ];
        assert_eq!(drawn, expected);
    }
}
