//! Drawings, as SVG to stand in a page of HTML.

use std::error::Error;

use anyhow::{Result, anyhow};
use indicatif::HumanCount;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::timeline::Timeline;

/// Small enough to be read on a phone when it is as wide as that.
const WIDTH: u32 = 480;
const FONT: (&str, u32) = ("sans-serif", 14);
const BLUE: RGBColor = RGBColor(11, 87, 164);
const GREY: RGBColor = RGBColor(150, 150, 150);
const RED: RGBColor = RGBColor(200, 30, 30);
const LONGEST_NAME: usize = 20;

/// A bar for each row, with its name before and its count behind it.
pub fn bars(rows: &[(String, u64)]) -> Result<String> {
    const ROW: i32 = 26;
    const BEGIN: i32 = 170;
    const LONGEST: f64 = 230.0;
    let most = rows.iter().map(|(_, count)| *count).max();
    let most = most.unwrap_or_default().max(1) as f64;
    draw(ROW as u32 * rows.len().max(1) as u32, |area| {
        let before = TextStyle::from(FONT).pos(Pos::new(HPos::Right, VPos::Center));
        let behind = TextStyle::from(FONT).pos(Pos::new(HPos::Left, VPos::Center));
        for ((name, count), row) in rows.iter().zip(0..) {
            let (top, bottom) = (ROW * row + 4, ROW * (row + 1) - 4);
            let (middle, end) = (
                (top + bottom) / 2,
                BEGIN + (LONGEST * *count as f64 / most).ceil() as i32,
            );
            area.draw(&Text::new(short(name), (BEGIN - 8, middle), before.clone()))?;
            area.draw(&Rectangle::new(
                [(BEGIN, top), (end, bottom)],
                BLUE.filled(),
            ))?;
            area.draw(&Text::new(
                HumanCount(*count).to_string(),
                (end + 6, middle),
                behind.clone(),
            ))?;
        }
        Ok(())
    })
}

/// Pages a second, with the runs and the restarts.
pub fn over_time(timeline: &Timeline) -> Result<String> {
    draw(240, |area| {
        let end = timeline.seconds.max(1e-3);
        let rates = &timeline.pages_a_second;
        let most = rates.iter().copied().fold(1.0, f64::max) * 1.05;
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..end, 0.0..most)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("seconds")
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&number)
            .y_label_formatter(&number)
            .label_style(FONT)
            .draw()?;
        let step = end / rates.len() as f64;
        let points = rates
            .iter()
            .zip(0..)
            .map(|(rate, n)| ((f64::from(n) + 0.5) * step, *rate));
        chart.draw_series([PathElement::new(
            points.collect::<Vec<_>>(),
            BLUE.stroke_width(2),
        )])?;
        let upright =
            |at: &f64, colour: RGBColor| PathElement::new([(*at, 0.0), (*at, most)], colour);
        chart.draw_series(timeline.runs.iter().skip(1).map(|at| upright(at, GREY)))?;
        chart.draw_series(timeline.restarts.iter().map(|at| upright(at, RED)))?;
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(height: u32, what: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn Error>>) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    what(&area)
        .and_then(|()| Ok(area.present()?))
        .map_err(|error| anyhow!("cannot draw: {error}"))?;
    drop(area);
    Ok(svg)
}

fn number(number: &f64) -> String {
    if *number == number.trunc() {
        HumanCount(*number as u64).to_string()
    } else {
        format!("{number:.1}")
    }
}

fn short(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    let start = name.chars().take(LONGEST_NAME - 1);
    start.chain(['…']).collect()
}
