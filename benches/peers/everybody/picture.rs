//! One picture for each durability, size and number of processes: all operations, and how long each peer takes for them.

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Extent;
use crate::figures::{Figure, Figures, Race, bytes};
use crate::style::{Area, BLUE, Drawn, GREY, MARGIN, RULE, bold, picture, plain};

const WIDTH: i32 = 760;
const TITLE: i32 = 74;
const HEAD: i32 = 30;
const ROW: i32 = 17;
/// Between the names and the figures.
const SCALE: Range<i32> = 210..600;

pub(crate) fn write(into: &Path, extent: &Extent, figures: &Figures) {
    for power in [false, true] {
        for &size in extent.sizes {
            for &processes in extent.processes {
                let mut races = figures.races();
                races.retain(|race| {
                    (race.power, race.processes) == (power, processes)
                        && race.size.unwrap_or(extent.sizes[0]) == size
                });
                if !races.is_empty() {
                    let title = title(power, size, processes);
                    let svg = draw(&title, &mut races).expect("a picture");
                    let path = into.join(name(power, size, processes));
                    fs::write(path, svg).expect("a file");
                }
            }
        }
    }
}

pub(crate) fn name(power: bool, size: usize, processes: u64) -> String {
    let durability = if power { "power" } else { "process" };
    format!("{durability}-{size}-bytes-{processes}.svg")
}

fn title(power: bool, size: usize, processes: u64) -> String {
    let durability = match power {
        false => "a killed process loses nothing",
        true => "a power cut loses nothing",
    };
    let processes = match processes {
        1 => "1 process".to_owned(),
        many => format!("{many} processes"),
    };
    format!("{processes}, values of {}: {durability}", bytes(size))
}

fn draw(title: &str, races: &mut [Race<'_>]) -> Result<String, Box<dyn Error>> {
    let rows: usize = races.iter().map(|race| race.runners.len()).sum();
    let height = TITLE + HEAD * races.len() as i32 + ROW * rows as i32 + 16;
    picture((WIDTH as u32, height as u32), |area| {
        let scale = Scale::of(races);
        area.draw(&Text::new(title.to_owned(), (MARGIN, 12), bold()))?;
        let key = "Dot: median; line: to the p99.9, with the p99 marked. At the right: the median, and operations a second.";
        text(area, key, (MARGIN, 36), HPos::Left)?;
        scale.rules(area, height)?;
        let mut y = TITLE;
        for race in races {
            y += HEAD;
            area.draw(&Text::new(race.name(), (MARGIN, y - 20), bold()))?;
            race.runners.sort_by(|a, b| a.p50.total_cmp(&b.p50));
            for runner in &race.runners {
                row(area, runner, &scale, y + ROW / 2)?;
                y += ROW;
            }
        }
        Ok(())
    })
}

fn row(area: &Area<'_>, runner: &Figure, scale: &Scale, y: i32) -> Drawn {
    let colour = if runner.ours { BLUE } else { GREY };
    text(area, runner.peer, (SCALE.start - 12, y), HPos::Right)?;
    let [p50, p99, p999] = [runner.p50, runner.p99, runner.p999].map(|at| scale.x(at));
    area.draw(&PathElement::new(vec![(p50, y), (p999, y)], colour))?;
    area.draw(&PathElement::new(vec![(p99, y - 4), (p99, y + 4)], colour))?;
    area.draw(&Circle::new((p50, y), 4, colour.filled()))?;
    let figures = format!("{} · {}/s", time(runner.p50), count(runner.per_second));
    text(area, &figures, (WIDTH - MARGIN, y), HPos::Right)
}

fn text(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos) -> Drawn {
    let style = plain().pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// Decades of microseconds.
struct Scale(Range<i32>);

impl Scale {
    fn of(races: &[Race<'_>]) -> Self {
        let runners = || races.iter().flat_map(|race| &race.runners);
        let least = runners().map(|it| it.p50).fold(f64::INFINITY, f64::min);
        let most = runners().map(|it| it.p999).fold(0.0, f64::max);
        let first = least.max(0.001).log10().floor() as i32;
        Scale(first..(most.max(0.001).log10().ceil() as i32).max(first + 1))
    }

    fn x(&self, microseconds: f64) -> i32 {
        let Scale(decades) = self;
        let width = f64::from(SCALE.end - SCALE.start);
        let along = microseconds.max(0.001).log10() - f64::from(decades.start);
        let along = along / f64::from(decades.end - decades.start);
        SCALE.start + (along * width) as i32
    }

    fn rules(&self, area: &Area<'_>, height: i32) -> Drawn {
        for decade in self.0.start..=self.0.end {
            let microseconds = 10_f64.powi(decade);
            let x = self.x(microseconds);
            let rule = vec![(x, TITLE - 6), (x, height - 8)];
            area.draw(&PathElement::new(rule, RULE))?;
            text(area, &time(microseconds), (x, TITLE - 14), HPos::Center)?;
        }
        Ok(())
    }
}

fn time(microseconds: f64) -> String {
    match microseconds {
        us if us < 0.95 => format!("{:.0} ns", us * 1e3),
        us if us < 9.5 => format!("{us:.1} µs"),
        us if us < 950.0 => format!("{us:.0} µs"),
        us if us < 9_500.0 => format!("{:.1} ms", us / 1e3),
        us if us < 950_000.0 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

fn count(number: f64) -> String {
    match number {
        n if n < 1e3 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.0} k", n / 1e3),
        n => format!("{:.1} M", n / 1e6),
    }
}
