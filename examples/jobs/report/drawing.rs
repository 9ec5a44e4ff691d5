//! What all drawings have in common: SVG to stand in a page of HTML.

use std::error::Error;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

pub const BLUE: RGBColor = RGBColor(11, 87, 164);
pub const LIGHT_BLUE: RGBColor = RGBColor(126, 176, 226);
pub const ORANGE: RGBColor = RGBColor(230, 140, 0);
pub const RED: RGBColor = RGBColor(208, 20, 40);
pub const GREEN: RGBColor = RGBColor(22, 140, 70);
pub const GREY: RGBColor = RGBColor(150, 150, 150);
pub const RULE: RGBColor = RGBColor(228, 228, 228);
pub const INK: RGBColor = RGBColor(40, 40, 40);

/// Drawings of bars are so many times finer than they are shown: a bar may be less wide than a point.
pub const FINE: i32 = 10;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = Result<(), Box<dyn Error>>;

pub fn draw(size: (u32, u32), what: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    what(&area)
        .and_then(|()| Ok(area.present()?))
        .map_err(|error| anyhow!("cannot draw: {error}"))?;
    drop(area);
    Ok(svg)
}

/// As HTML has it.
pub fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// As few digits as say it.
pub fn number(number: &f64) -> String {
    format!("{}", (number * 1000.0).round() / 1000.0)
}
