//! Each job's life as a bar in the row of the worker that had it.

use anyhow::Result;
use plotters::style::RGBColor;

use super::drawing::{BLUE, FINE, GREEN, GREY, LIGHT_BLUE, ORANGE, RED};
use super::rows::Rows;
use crate::history::{Bar, Fate, History};
use crate::job::Kind;

const WIDTH: i32 = 960 * FINE;
const CLOSE_WIDTH: i32 = 480 * FINE;
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
        rows.bars(area, colour)
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
        rows.bars(area, |bar| match bar.job == moment.bar.job {
            true if bar.fate == Fate::Done => GREEN,
            _ => colour(bar),
        })?;
        let mut of_job = rows.seen().filter(|bar| bar.job == moment.bar.job);
        of_job.try_for_each(|bar| rows.name(area, bar))
    })
}

fn colour(bar: &Bar) -> RGBColor {
    match (bar.fate, bar.kind) {
        (Fate::CutOff, _) => RED,
        (Fate::Failed, _) => ORANGE,
        (Fate::Done, Kind::Directory) => LIGHT_BLUE,
        (Fate::Done, Kind::File) => BLUE,
    }
}
