//! Each job's life as a bar in the row of the worker that had it.

use std::ops::Range;

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::drawing::{Area, BLUE, Drawn, GREY, INK, LIGHT_BLUE, ORANGE, RED, RULE, draw, number};
use crate::history::{Bar, Fate, History};
use crate::job::Kind;

/// A drawing is so many times finer than it is shown: a bar may be less wide than a point.
const FINE: i32 = 10;
const WIDTH: i32 = 960 * FINE;
const CLOSE_WIDTH: i32 = 480 * FINE;
const ROW: i32 = 26 * FINE;
const LEFT: i32 = 74 * FINE;
const RIGHT: i32 = 16 * FINE;
const BELOW: i32 = 30 * FINE;
const FONT: (&str, i32) = ("sans-serif", 14 * FINE);
/// A bar with room for a little light behind it.
const WIDE: i32 = 4 * FINE;
/// A drawing of more than that is for nobody; narrow neighbours become one.
const MOST_BARS: i32 = 20_000;
/// So much of the time before and after a death that a bar of usual length is well seen.
const USUAL_BARS: f64 = 12.0;
const LEAST_SPAN: f64 = 0.01;

/// All of them, from the beginning to the end.
pub fn all(history: &History) -> Result<String> {
    let rows = Rows {
        history,
        width: WIDTH,
        times: 0.0..history.seconds.max(1e-3),
    };
    rows.draw(|area| {
        rows.axis(area, 0.0, 10)?;
        for run in history.runs.iter().skip(1) {
            rows.upright(area, *run, GREY)?;
        }
        rows.bars(area)
    })
}

/// The end of an attempt whose worker was killed.
pub struct Moment<'h> {
    pub bar: &'h Bar,
    history: &'h History,
    span: f64,
}

impl<'h> Moment<'h> {
    pub fn of(history: &'h History, bar: &'h Bar) -> Self {
        let mut usual: Vec<f64> = history.attempts.iter().map(Bar::seconds).collect();
        usual.sort_by(f64::total_cmp);
        let usual = usual.get(usual.len() / 2).copied().unwrap_or(0.0);
        let again = history
            .attempts
            .iter()
            .find(|other| other.job == bar.job && other.from >= bar.to);
        let again = again.map_or(0.0, |again| again.to - bar.to);
        let seen = (usual * USUAL_BARS).max(bar.seconds()).max(again);
        let span = (seen * 1.3).max(LEAST_SPAN);
        Moment { bar, history, span }
    }
}

/// What the workers did around that.
pub fn close(moment: &Moment<'_>) -> Result<String> {
    let (death, span) = (moment.bar.to, moment.span);
    let rows = Rows {
        history: moment.history,
        width: CLOSE_WIDTH,
        times: death - span..death + span,
    };
    rows.draw(|area| {
        rows.axis(area, death, 6)?;
        rows.upright(area, death, GREY)?;
        rows.bars(area)?;
        let of_job = rows.seen().filter(|bar| bar.job == moment.bar.job);
        of_job.into_iter().try_for_each(|bar| rows.name(area, bar))
    })
}

struct Rows<'h> {
    history: &'h History,
    width: i32,
    times: Range<f64>,
}

impl Rows<'_> {
    fn draw(&self, what: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
        let height = self.bottom() + BELOW;
        draw((self.width as u32, height as u32), |area| {
            for worker in 0..self.history.workers as i32 {
                let middle = ROW * worker + ROW / 2;
                let style = text(HPos::Right, VPos::Center, &INK);
                let name = format!("worker {}", worker + 1);
                area.draw(&Text::new(name, (LEFT - 8 * FINE, middle), style))?;
                let line = [(LEFT, middle), (self.width - RIGHT, middle)];
                area.draw(&PathElement::new(line, RULE.stroke_width(FINE as u32)))?;
            }
            what(area)
        })
    }

    /// Marks at round times before and after `zero`.
    fn axis(&self, area: &Area<'_>, zero: f64, most: usize) -> Drawn {
        let least = (self.times.end - self.times.start) / most as f64;
        let power = 10_f64.powf(least.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        let step = steps
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or(least);
        let first = ((self.times.start - zero) / step).ceil() as i32;
        let last = ((self.times.end - zero) / step).floor() as i32;
        for n in first..=last {
            let at = f64::from(n) * step;
            let label = match step < 0.1 {
                true => format!("{} ms", number(&(at * 1e3))),
                false => format!("{} s", number(&at)),
            };
            self.mark(area, zero + at, &label)?;
        }
        Ok(())
    }

    fn mark(&self, area: &Area<'_>, at: f64, label: &str) -> Drawn {
        self.upright(area, at, RULE)?;
        let style = text(HPos::Center, VPos::Top, &INK);
        let place = (self.x(at), self.bottom() + 8 * FINE);
        Ok(area.draw(&Text::new(label.to_owned(), place, style))?)
    }

    fn upright(&self, area: &Area<'_>, at: f64, colour: RGBColor) -> Drawn {
        let line = [(self.x(at), 0), (self.x(at), self.bottom() + 4 * FINE)];
        Ok(area.draw(&PathElement::new(line, colour.stroke_width(FINE as u32)))?)
    }

    fn bars(&self, area: &Area<'_>) -> Drawn {
        let seen = self
            .seen()
            .map(|bar| (bar.worker, colour(bar), self.x(bar.from), self.x(bar.to)));
        // Red is drawn last, so that nothing covers it.
        let workers = self.history.workers as i32;
        let mut stretches = stretches(seen, 3 + WIDTH * workers / MOST_BARS);
        stretches.sort_by_key(|stretch| (stretch.colour == RED, stretch.colour == ORANGE));
        for Stretch {
            worker,
            colour,
            from,
            to,
        } in stretches
        {
            let top = ROW * worker as i32 + 4 * FINE;
            let whole = [(from, top), (to, top + ROW - 8 * FINE)];
            area.draw(&Rectangle::new(whole, colour.filled()))?;
        }
        Ok(())
    }

    /// The number of its job in a bar, or beside it.
    fn name(&self, area: &Area<'_>, bar: &Bar) -> Drawn {
        let (name, middle) = (bar.job.to_string(), ROW * bar.worker as i32 + ROW / 2);
        let (from, to) = (self.x(bar.from), self.x(bar.to));
        let (place, style) = match to - from > (10 * name.len() as i32 + 6) * FINE {
            true => ((from + to) / 2, text(HPos::Center, VPos::Center, &WHITE)),
            false if bar.fate == Fate::CutOff => {
                (from - 4 * FINE, text(HPos::Right, VPos::Center, &RED))
            }
            false => (to + 4 * FINE, text(HPos::Left, VPos::Center, &INK)),
        };
        Ok(area.draw(&Text::new(name, (place, middle), style))?)
    }

    fn seen(&self) -> impl Iterator<Item = &Bar> {
        let bars = self.history.attempts.iter();
        bars.filter(|bar| bar.from < self.times.end && bar.to > self.times.start)
    }

    fn x(&self, at: f64) -> i32 {
        let (start, end) = (self.times.start, self.times.end);
        let share = (at.clamp(start, end) - start) / (end - start);
        LEFT + (share * f64::from(self.width - LEFT - RIGHT)).round() as i32
    }

    fn bottom(&self) -> i32 {
        ROW * self.history.workers as i32
    }
}

fn colour(bar: &Bar) -> RGBColor {
    match (bar.fate, bar.kind) {
        (Fate::CutOff, _) => RED,
        (Fate::Failed, _) => ORANGE,
        (Fate::Done, Kind::Directory) => LIGHT_BLUE,
        (Fate::Done, Kind::File) => BLUE,
    }
}

fn text<'a>(side: HPos, height: VPos, colour: &'a RGBColor) -> TextStyle<'a> {
    TextStyle::from(FONT)
        .color(colour)
        .pos(Pos::new(side, height))
}

/// What is drawn as one.
#[derive(Debug, PartialEq)]
struct Stretch {
    worker: u32,
    colour: RGBColor,
    from: i32,
    to: i32,
}

/// Narrow bars with no more than a narrow gap between them are one; but those that were cut off are always to be seen.
fn stretches(bars: impl Iterator<Item = (u32, RGBColor, i32, i32)>, narrow: i32) -> Vec<Stretch> {
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
        let drawn = stretches(bars.into_iter(), 3);
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
