//! What came of it, in one picture: for each strategy how many compute, and below how long a call takes.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figures::{Figures, SLOW, Visits};
use crate::style::{Area, BLUE, Drawn, FONT, INK, MARGIN, RED, RULE, bold, picture, plain};
use crate::{Options, Strategy};

/// Small enough to be read on a phone when it is as wide as that.
const WIDTH: u32 = 480;
const TITLE: u32 = 84;
const HEAD: u32 = 24;
const AT_WORK: u32 = 64;
const LATENCY: u32 = 112;
const STRATEGY: u32 = HEAD + AT_WORK + LATENCY + 10;
const LEFT: u32 = 62;

pub fn draw(all: &[(Strategy, Visits, Figures)], options: &Options) -> Result<String> {
    let height = TITLE + STRATEGY * all.len() as u32;
    picture((WIDTH, height), |area| whole(area, all, options))
        .map_err(|error| anyhow!("cannot draw: {error}"))
}

fn whole(area: &Area<'_>, all: &[(Strategy, Visits, Figures)], options: &Options) -> Drawn {
    let (title, mut rest) = area.split_vertically(TITLE);
    self::title(&title, options)?;
    for (strategy, visits, figures) in all {
        let (strategy_area, below) = rest.split_vertically(STRATEGY);
        rest = below;
        let (head, below) = strategy_area.split_vertically(HEAD);
        let (at_work, below) = below.split_vertically(AT_WORK);
        let (latency, _) = below.split_vertically(LATENCY);
        self::head(&head, *strategy, figures)?;
        self::at_work(&at_work, visits, options)?;
        self::latency(&latency, visits, options)?;
    }
    Ok(())
}

fn title(area: &Area<'_>, options: &Options) -> Drawn {
    let threads = options.processes * options.threads;
    let title = format!(
        "A page that takes {} ms, good for {} ms",
        options.page_ms, options.expiry_ms
    );
    area.draw(&Text::new(title, (MARGIN, 14), bold()))?;
    let lines = [
        format!(
            "Above: how many of {threads} threads, in {} processes, compute it.",
            options.processes
        ),
        format!(
            "Below: how long the slowest call of each moment takes; red is over {} ms.",
            SLOW.as_millis()
        ),
    ];
    for (line, row) in lines.into_iter().zip(0..) {
        area.draw(&Text::new(line, (MARGIN, 42 + 18 * row), plain()))?;
    }
    Ok(())
}

fn head(area: &Area<'_>, strategy: Strategy, figures: &Figures) -> Drawn {
    let left = Pos::new(HPos::Left, VPos::Bottom);
    let name = (MARGIN, HEAD as i32);
    area.draw(&Text::new(strategy.name(), name, bold().pos(left)))?;
    let figures = format!(
        "{} computations, {} of {} calls slow",
        figures.computations, figures.slow, figures.calls
    );
    let right = Pos::new(HPos::Right, VPos::Bottom);
    let end = (WIDTH as i32 - MARGIN, HEAD as i32);
    area.draw(&Text::new(figures, end, plain().pos(right)))?;
    Ok(())
}

/// How many compute.
fn at_work(area: &Area<'_>, visits: &Visits, options: &Options) -> Drawn {
    let most = options.processes * options.threads;
    let mut chart = ChartBuilder::on(area)
        .margin_top(8)
        .margin_bottom(6)
        .margin_right(MARGIN)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(time(options), 0.0..f64::from(most))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .bold_line_style(RULE)
        .light_line_style(TRANSPARENT)
        .axis_style(RULE)
        .y_labels(3)
        .y_label_formatter(&|count| format!("{count:.0}"))
        .label_style(FONT.into_font().color(&INK))
        .draw()?;
    let changes = visits.at_work();
    let spans = changes.windows(2).filter(|pair| pair[0].1 > 0);
    chart.draw_series(spans.map(|pair| {
        // Who computes in the background may still do so when the time is up.
        let [from, to] = [0, 1].map(|end| since(visits, pair[end].0).min(options.seconds as f64));
        Rectangle::new([(from, 0.0), (to, pair[0].1 as f64)], BLUE.filled())
    }))?;
    Ok(())
}

/// The slowest call of each moment.
fn latency(area: &Area<'_>, visits: &Visits, options: &Options) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin_top(4)
        .margin_right(MARGIN)
        .x_label_area_size(22)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(time(options), (1e-5..1.0_f64).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(RULE)
        .light_line_style(TRANSPARENT)
        .axis_style(RULE)
        .x_labels(6)
        .y_labels(3)
        .x_label_formatter(&|second| format!("{second} s"))
        .y_label_formatter(&duration)
        .label_style(FONT.into_font().color(&INK))
        .draw()?;
    let dots = slowest(visits, options).into_iter().map(|(at, took)| {
        let (size, colour) = match took > SLOW.as_secs_f64() {
            true => (2, RED),
            false => (1, BLUE),
        };
        Circle::new((at, took), size, colour.filled())
    });
    chart.draw_series(dots)?;
    Ok(())
}

/// One for each step of time in which a call began.
fn slowest(visits: &Visits, options: &Options) -> Vec<(f64, f64)> {
    const STEPS: usize = 400;
    let step = options.seconds as f64 / STEPS as f64;
    let mut slowest = vec![None; STEPS];
    for (at, took) in &visits.calls {
        let (at, took) = (since(visits, *at), took.as_secs_f64());
        let slot: &mut Option<(f64, f64)> = &mut slowest[((at / step) as usize).min(STEPS - 1)];
        if slot.is_none_or(|(_, slower)| took > slower) {
            *slot = Some((at, took));
        }
    }
    slowest.into_iter().flatten().collect()
}

fn time(options: &Options) -> Range<f64> {
    0.0..options.seconds as f64
}

fn since(visits: &Visits, at: Duration) -> f64 {
    at.saturating_sub(visits.begin).as_secs_f64()
}

fn duration(seconds: &f64) -> String {
    match *seconds {
        s if s < 0.9e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 0.9 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}
