//! One page of HTML about all that happened, which needs nothing but itself. Names of files are escaped: `maud` escapes all that it is
//! not told otherwise of, which is our own style and drawings only.

mod bars;
mod charts;
mod drawing;
mod over_time;
mod rows;
mod stretches;

use std::cmp::Ordering;
use std::io::Write;

use anyhow::Result;
use indicatif::{DecimalBytes, HumanCount};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::history::{Bar, Fate, History};
use crate::latencies::duration;
use crate::summary::Summary;
use bars::Moment;
use drawing::{BLUE, GREEN, LIGHT_BLUE, ORANGE, RED, hex};
use over_time::OverTime;

/// Deaths that are looked at closely.
const MOMENTS: usize = 6;
/// In a list of the slowest, and of the dead.
const ROWS: usize = 20;
const MOST_DEAD: usize = 200;

pub fn write(history: &History, summary: &Summary, mut file: impl Write) -> Result<()> {
    let page = page(history, summary)?;
    file.write_all(page.into_string().as_bytes())?;
    Ok(file.flush()?)
}

fn page(history: &History, summary: &Summary) -> Result<Markup> {
    let title = summary.heading();
    let over_time = OverTime::of(history)?;
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("report/style.css"))) }
            }
            body {
                h1 { (title) }
                (figures(summary))
                h2 { "Who ran what, when" }
                (legend())
                figure.wide { (PreEscaped(bars::all(history)?)) }
                p.note {
                    "A row is a worker, and a bar an attempt at a job; "
                    (HumanCount(summary.attempts)) " attempts, " (summary.cut_off) " of them cut off."
                    @if history.runs.len() > 1 { " Grey: a run went on where the one before had ended." }
                }
                (moments(history)?)
                div.columns {
                    (section("Jobs a second", charts::rate(history, &over_time.jobs)?))
                    (section("Megabytes read a second", charts::rate(history, &over_time.megabytes)?))
                    (section("From the push to the first attempt", charts::latency(history, &over_time.waited)?))
                    (section("From the beginning of an attempt to its end", charts::latency(history, &over_time.ran)?))
                }
                p.note { "Latencies: " (key(BLUE)) "half took less" (key(ORANGE)) "99 of 100 took less." }
                (slowest(history))
                (dead(summary))
            }
        }
    })
}

fn figures(summary: &Summary) -> Markup {
    html! {
        div.columns {
            table {
                @for [name, figure, note] in summary.rows() {
                    tr { td { (name) } td.number { (figure) } td { (note) } }
                }
            }
            div {
                table {
                    tr { th {} th.number { "p50" } th.number { "p99" } th.number { "max" } }
                    @for (name, latencies) in summary.latencies() {
                        tr { td { (name) } @for latency in latencies { td.number { (latency) } } }
                    }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.note {
            (key(BLUE)) "a file" (key(LIGHT_BLUE)) "a directory" (key(ORANGE)) "it failed"
            (key(RED)) "its worker was killed"
        }
    }
}

fn key(colour: plotters::style::RGBColor) -> Markup {
    html! { span.key style={ "background:" (hex(colour)) } {} }
}

/// The deaths of workers, as close as to see that their jobs are with others at once.
fn moments(history: &History) -> Result<Markup> {
    let cut_off = history
        .attempts
        .iter()
        .filter(|bar| bar.fate == Fate::CutOff);
    let moments: Vec<Moment<'_>> = cut_off
        .take(MOMENTS)
        .map(|bar| Moment::of(history, bar))
        .collect();
    if moments.is_empty() {
        return Ok(html! {});
    }
    Ok(html! {
        h2 { "When a worker was killed" }
        p.note {
            "The same, close to the death of a worker, at 0: " (key(RED)) "the job that it had" (key(GREEN)) "and where that was done."
        }
        div.columns {
            @for moment in moments {
                section {
                    h3 title=(moment.bar.path) { "Job " (moment.bar.job) ", " (moment.bar.path) }
                    (figure(bars::close(&moment)?))
                }
            }
        }
    })
}

fn section(heading: &str, svg: String) -> Markup {
    html! { section { h2 { (heading) } (figure(svg)) } }
}

fn figure(svg: String) -> Markup {
    html! { figure { (PreEscaped(svg)) } }
}

fn slowest(history: &History) -> Markup {
    let mut bars: Vec<&Bar> = history
        .attempts
        .iter()
        .filter(|bar| bar.fate == Fate::Done)
        .collect();
    let longest_first =
        |one: &&Bar, other: &&Bar| -> Ordering { other.seconds().total_cmp(&one.seconds()) };
    bars.sort_by(longest_first);
    bars.truncate(ROWS);
    html! {
        h2 { "Slowest" }
        table {
            thead { tr { th.number { "Time" } th.number { "Size" } th.number { "Attempt" } th { "Job" } } }
            tbody {
                @for bar in bars {
                    tr {
                        td.number { (duration(bar.seconds())) }
                        td.number { (DecimalBytes(bar.bytes_in)) }
                        td.number { (bar.attempt) }
                        td { (bar.path) }
                    }
                }
            }
        }
    }
}

fn dead(summary: &Summary) -> Markup {
    let more = summary.dead.len().saturating_sub(MOST_DEAD);
    html! {
        h2 #dead { "Dead" }
        @if summary.dead.is_empty() { p { "None." } }
        @else {
            table {
                thead { tr { th { "Job" } th { "Why" } } }
                tbody {
                    @for dead in summary.dead.iter().take(MOST_DEAD) {
                        tr { td { (dead.path) } td { (dead.reason()) } }
                    }
                }
            }
            @if more > 0 { p.note { "And " (more) " more." } }
        }
    }
}
