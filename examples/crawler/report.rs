//! One page of HTML about the crawl, which needs nothing but itself. Whatever comes from the web is escaped: `maud`
//! escapes all that it is not told otherwise of, which is our own style and drawings only.

mod charts;
mod graph;
mod survey;
mod timeline;

use std::io::Write;

use anyhow::Result;
use indicatif::{DecimalBytes, HumanCount};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::frontier::Frontier;
use crate::page::Page;
use crate::plan::Plan;
use crate::summary::many;
use survey::Survey;
use timeline::Timeline;

/// In a list of the slowest, the largest, the most linked.
const ROWS: usize = 20;
const MOST_BROKEN: usize = 200;
/// Where a broken link stands.
const PLACES: usize = 5;

pub fn write(frontier: &Frontier, plan: &Plan, mut file: impl Write) -> Result<()> {
    let survey = Survey::of(frontier)?;
    let timeline = Timeline::of(&frontier.events()?, &survey.times());
    let page = page(plan, &survey, &timeline)?;
    file.write_all(page.into_string().as_bytes())?;
    Ok(file.flush()?)
}

fn page(plan: &Plan, survey: &Survey, timeline: &Timeline) -> Result<Markup> {
    let title = format!("Crawl of {plan}");
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
                p { (overview(survey, timeline)) }
                h2 { "Pages a second" }
                (figure(charts::over_time(timeline)?))
                @if timeline.runs.len() > 1 || !timeline.restarts.is_empty() {
                    p.note { "Red: a worker was restarted. Grey: a run went on where the one before had ended." }
                }
                div.columns {
                    (bars("By depth", &survey.by_depth())?)
                    (bars("By status", &survey.by_status())?)
                    (bars("By type", &survey.by_type())?)
                }
                (broken(survey))
                h2 { "Most linked" }
                (table(survey, "PageRank", &survey.most_linked(ROWS), |(page, rank)| {
                    (*page, format!("{:.2} %", rank * 100.0))
                }))
                h2 { "Slowest" }
                (table(survey, "Time", &survey.most(ROWS, |page| page.milliseconds), |(page, milliseconds)| {
                    (*page, format!("{milliseconds} ms"))
                }))
                h2 { "Largest" }
                (table(survey, "Size", &survey.most(ROWS, |page| page.bytes), |(page, bytes)| {
                    (*page, DecimalBytes(*bytes).to_string())
                }))
            }
        }
    })
}

fn overview(survey: &Survey, timeline: &Timeline) -> String {
    let bytes = survey.pages.iter().map(|(_, page)| page.bytes).sum();
    let broken = many(survey.broken().len(), "broken", "broken");
    let pages = many(survey.pages.len(), "page", "pages");
    let runs = many(timeline.runs.len(), "run", "runs");
    let restarts = many(timeline.restarts.len(), "restart", "restarts");
    let (bytes, seconds) = (DecimalBytes(bytes), timeline.seconds);
    format!("{pages}, {bytes}, {broken}, in {seconds:.0} s of {runs} with {restarts}.")
}

fn figure(svg: String) -> Markup {
    html! { figure { (PreEscaped(svg)) } }
}

fn bars(heading: &str, rows: &[(String, u64)]) -> Result<Markup> {
    Ok(html! {
        section {
            h2 { (heading) }
            (figure(charts::bars(rows)?))
        }
    })
}

fn broken(survey: &Survey) -> Markup {
    let broken = survey.broken();
    html! {
        h2 #broken { "Broken links" }
        @if broken.is_empty() { p { "None." } }
        @else {
            table {
                thead { tr { th { "What" } th { "Link" } th { "Where it stands" } } }
                tbody {
                    @for &page in broken.iter().take(MOST_BROKEN) {
                        @let (url, record) = &survey.pages[page];
                        tr {
                            td { (reason(record)) }
                            td { (link(url)) }
                            td { (places(survey, page)) }
                        }
                    }
                }
            }
            @if broken.len() > MOST_BROKEN {
                p.note { "And " (HumanCount((broken.len() - MOST_BROKEN) as u64).to_string()) " more." }
            }
        }
    }
}

fn places(survey: &Survey, page: usize) -> Markup {
    let from = survey.graph.referrers(page);
    html! {
        @for &from in from.iter().take(PLACES) {
            (link(&survey.pages[from as usize].0)) br;
        }
        @if from.len() > PLACES { "and on " (many(from.len() - PLACES, "other page", "other pages")) }
        @if from.is_empty() { "where the crawl began" }
    }
}

fn table<T>(
    survey: &Survey,
    what: &str,
    rows: &[T],
    row: impl Fn(&T) -> (usize, String),
) -> Markup {
    html! {
        table {
            thead { tr { th.number { (what) } th.number { "Linked by" } th { "Page" } } }
            tbody {
                @for (page, figure) in rows.iter().map(row) {
                    @let (url, record) = &survey.pages[page];
                    tr {
                        td.number { (figure) }
                        td.number { (HumanCount(survey.graph.referrers(page).len() as u64).to_string()) }
                        td { @if let Some(title) = &record.title { (title) br; } (link(url)) }
                    }
                }
            }
        }
    }
}

fn link(url: &str) -> Markup {
    html! { a href=(url) rel="noreferrer" { (url) } }
}

fn reason(page: &Page) -> String {
    page.error.clone().unwrap_or_else(|| page.outcome())
}
