//! What all pictures have in common, those of the benches as well.
#![allow(dead_code, reason = "no picture needs all of it")]

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

pub(crate) const FONT: (&str, u32) = ("sans-serif", 13);
pub(crate) const LARGE: (&str, u32) = ("sans-serif", 17);

pub(crate) const BLUE: RGBColor = RGBColor(11, 87, 164);
pub(crate) const RED: RGBColor = RGBColor(200, 30, 30);
pub(crate) const GREY: RGBColor = RGBColor(120, 120, 120);
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
pub(crate) const RULE: RGBColor = RGBColor(222, 222, 222);

/// From the edges to what is drawn.
pub(crate) const MARGIN: i32 = 14;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Drawn = Result<(), Box<dyn Error>>;

/// An SVG on white.
pub(crate) fn picture(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    draw(&area)?;
    area.present()?;
    drop(area);
    Ok(svg)
}

pub(crate) fn plain() -> TextStyle<'static> {
    TextStyle::from(FONT).color(&INK)
}

pub(crate) fn bold() -> TextStyle<'static> {
    TextStyle::from(FontDesc::from(LARGE).style(FontStyle::Bold)).color(&INK)
}
