//! The curves, one picture for each thing that grows: sizes to the right, microseconds upwards, both by their logarithms.

use std::error::Error;
use std::time::Duration;

use plotters::prelude::*;

use crate::style::{Area, Drawn, FONT, INK, MARGIN, RULE, picture};
use crate::{Curve, Growth};

const WIDTH: u32 = 760;
const HEIGHT: u32 = 380;
const NAMES: u32 = 230;

pub(crate) fn draw(all: &[Growth]) -> Result<String, Box<dyn Error>> {
    let height = HEIGHT * all.len().max(1) as u32;
    picture((WIDTH, height), |area| {
        let mut rest = area.clone();
        for growth in all {
            let (one, below) = rest.split_vertically(HEIGHT);
            rest = below;
            self::growth(&one, growth)?;
        }
        Ok(())
    })
}

fn growth(area: &Area<'_>, growth: &Growth) -> Drawn {
    let (chart, names) = area.split_horizontally(WIDTH - NAMES);
    let costs = || growth.curves.iter().flat_map(|curve| &curve.cost).copied();
    let least = costs().fold(f64::INFINITY, f64::min).max(0.01);
    let most = costs().fold(least * 2.0, f64::max);
    let sizes = || growth.sizes.iter().map(|&size| size as f64);
    let (first, last) = (
        sizes().fold(f64::INFINITY, f64::min),
        sizes().fold(1.0, f64::max),
    );
    let mut chart = ChartBuilder::on(&chart)
        .margin(MARGIN)
        .x_label_area_size(36)
        .y_label_area_size(58)
        .build_cartesian_2d(
            (first..last.max(first * 2.0)).log_scale(),
            (least / 1.5..most * 1.5).log_scale(),
        )?;
    chart
        .configure_mesh()
        .bold_line_style(RULE)
        .light_line_style(TRANSPARENT)
        .axis_style(RULE)
        .x_desc(growth.size)
        .x_labels(4)
        .x_label_formatter(&|size| format!("{size:.0}"))
        .y_label_formatter(&|cost| format!("{:?}", Duration::from_nanos((cost * 1000.0) as u64)))
        .label_style(FONT.into_font().color(&INK))
        .draw()?;
    for (n, Curve { operation, cost }) in growth.curves.iter().enumerate() {
        // All of them dark enough for a line.
        let hue = n as f64 / growth.curves.len() as f64;
        let colour = HSLColor(hue, 0.8, 0.36).to_rgba();
        let points: Vec<_> = sizes().zip(cost.iter().copied()).collect();
        chart.draw_series(points.iter().map(|&at| Circle::new(at, 3, colour.filled())))?;
        chart.draw_series([PathElement::new(points, colour.stroke_width(2))])?;
        let style = TextStyle::from(FONT).color(&colour);
        names.draw(&Text::new(*operation, (0, 20 + 20 * n as i32), style))?;
    }
    Ok(())
}
