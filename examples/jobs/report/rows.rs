//! Rows of bars: one for each worker, and time from left to right.

use std::ops::Range;

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::drawing::{Area, Drawn, FINE, GREEN, INK, ORANGE, RED, RULE, draw, number};
use super::stretches::{Stretch, joined};
use crate::history::{Bar, History};

const ROW: i32 = 26 * FINE;
const LEFT: i32 = 74 * FINE;
const RIGHT: i32 = 16 * FINE;
const BELOW: i32 = 30 * FINE;
const FONT: (&str, i32) = ("sans-serif", 14 * FINE);
/// A drawing of more than that is for nobody; narrow neighbours become one.
const MOST_BARS: i32 = 20_000;

/// A row for each worker, and time from left to right.
pub struct Rows<'h> {
    pub history: &'h History,
    pub width: i32,
    pub times: Range<f64>,
}

impl Rows<'_> {
    pub fn draw(&self, what: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
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
    pub fn axis(&self, area: &Area<'_>, zero: f64, most: usize) -> Drawn {
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

    pub fn upright(&self, area: &Area<'_>, at: f64, colour: RGBColor) -> Drawn {
        let line = [(self.x(at), 0), (self.x(at), self.bottom() + 4 * FINE)];
        Ok(area.draw(&PathElement::new(line, colour.stroke_width(FINE as u32)))?)
    }

    /// Those of all that ran then.
    pub fn bars(&self, area: &Area<'_>, colour: impl Fn(&Bar) -> RGBColor) -> Drawn {
        let seen = self
            .seen()
            .map(|bar| (bar.worker, colour(bar), self.x(bar.from), self.x(bar.to)));
        // What is rare is drawn last, so that nothing covers it.
        let workers = self.history.workers as i32;
        let mut stretches = joined(seen, 3 + self.width * workers / MOST_BARS);
        stretches.sort_by_key(|stretch| [RED, GREEN, ORANGE].map(|seen| stretch.colour == seen));
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

    /// The number of its job in a bar, if there is room.
    pub fn name(&self, area: &Area<'_>, bar: &Bar) -> Drawn {
        let (name, middle) = (bar.job.to_string(), ROW * bar.worker as i32 + ROW / 2);
        let (from, to) = (self.x(bar.from), self.x(bar.to));
        if to - from < (10 * name.len() as i32 + 6) * FINE {
            return Ok(());
        }
        let style = text(HPos::Center, VPos::Center, &WHITE);
        let place = ((from + to) / 2, middle);
        Ok(area.draw(&Text::new(name, place, style))?)
    }

    pub fn seen(&self) -> impl Iterator<Item = &Bar> {
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

fn text<'a>(side: HPos, height: VPos, colour: &'a RGBColor) -> TextStyle<'a> {
    TextStyle::from(FONT)
        .color(colour)
        .pos(Pos::new(side, height))
}
