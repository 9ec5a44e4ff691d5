//! Curves over time.

use anyhow::Result;
use plotters::prelude::*;

use super::drawing::{BLUE, Drawn, GREY, INK, ORANGE, RULE, draw, number};
use crate::history::History;
use crate::latencies::{Latencies, duration};

/// Small enough to be read on a phone when it is as wide as that.
const SIZE: (u32, u32) = (480, 230);
const FONT: (&str, u32) = ("sans-serif", 14);

/// So much a second, at each step.
pub fn rate(history: &History, rates: &[f64]) -> Result<String> {
    let most = rates.iter().copied().fold(1e-3, f64::max) * 1.05;
    let line = points(history, rates.iter().copied().map(Some));
    let chart = Chart {
        history,
        heights: (0.0, most),
        labels: 5,
        label: &number,
        lines: &[(line, BLUE)],
    };
    draw(SIZE, |area| chart.draw(area))
}

/// How long half of them took and 99 of 100, at each step.
pub fn latency(history: &History, latencies: &[Option<Latencies>]) -> Result<String> {
    let all = latencies.iter().flatten();
    let (least, most) = all.fold((f64::MAX, 0.0), |(least, most): (f64, f64), one| {
        (least.min(height(one.p50)), most.max(height(one.p99)))
    });
    let least = least.min(most).floor();
    let most = most.ceil().max(least + 1.0);
    let line = |of: fn(&Latencies) -> f64| {
        let heights = latencies
            .iter()
            .map(|one| one.as_ref().map(|one| height(of(one))));
        points(history, heights)
    };
    let chart = Chart {
        history,
        heights: (least, most),
        labels: (most - least) as usize + 1,
        label: &|height: &f64| duration(10_f64.powf(height - 6.0)),
        lines: &[(line(|one| one.p99), ORANGE), (line(|one| one.p50), BLUE)],
    };
    draw(SIZE, |area| chart.draw(area))
}

/// The decimal logarithm of the microseconds.
fn height(seconds: f64) -> f64 {
    (seconds * 1e6).max(1.0).log10()
}

/// Each in the middle of its step.
fn points(
    history: &History,
    heights: impl ExactSizeIterator<Item = Option<f64>>,
) -> Vec<(f64, f64)> {
    let step = history.seconds / heights.len() as f64;
    let points = heights.zip(0..);
    let points = points.filter_map(|(height, n)| Some(((f64::from(n) + 0.5) * step, height?)));
    points.collect()
}

struct Chart<'a> {
    history: &'a History,
    heights: (f64, f64),
    labels: usize,
    label: &'a dyn Fn(&f64) -> String,
    lines: &'a [(Vec<(f64, f64)>, RGBColor)],
}

impl Chart<'_> {
    fn draw(&self, area: &super::drawing::Area<'_>) -> Drawn {
        let (least, most) = self.heights;
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(16)
            .x_label_area_size(26)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..self.history.seconds.max(1e-3), least..most)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(RULE)
            .light_line_style(TRANSPARENT)
            .axis_style(GREY)
            .x_labels(6)
            .y_labels(self.labels)
            .x_label_formatter(&|seconds| format!("{} s", number(seconds)))
            .y_label_formatter(&self.label)
            .label_style(FONT.into_font().color(&INK))
            .draw()?;
        for at in self.history.runs.iter().skip(1) {
            let upright = [(*at, least), (*at, most)];
            chart.draw_series([PathElement::new(upright, GREY)])?;
        }
        for (points, colour) in self.lines {
            chart.draw_series([PathElement::new(points.clone(), colour.stroke_width(2))])?;
        }
        Ok(())
    }
}
