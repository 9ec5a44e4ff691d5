//! What came of it: a page to read, all figures in a table, and the same as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::circumstances::Circumstances;
use crate::figures::{Figure, Figures, Race, bytes};
use crate::peers::Keeps;
use crate::{Extent, picture};

/// Who is ahead by less is beside.
const AHEAD: f64 = 1.05;

pub(crate) fn write(
    into: &Path,
    extent: &Extent,
    circumstances: &Circumstances,
    figures: &Figures,
) {
    #[derive(Serialize)]
    struct All<'a> {
        circumstances: &'a Circumstances,
        #[serde(flatten)]
        figures: &'a Figures,
    }
    let json = serde_json::to_string_pretty(&All {
        circumstances,
        figures,
    });
    let files = [
        ("peers.json", json.expect("numbers")),
        ("figures.md", table(figures)),
        ("peers.md", page(extent, circumstances, figures)),
    ];
    for (name, text) in files {
        fs::write(into.join(name), text).expect("room");
    }
}

fn page(extent: &Extent, circumstances: &Circumstances, figures: &Figures) -> String {
    let mut page = String::from("# diskette beside its peers\n\n");
    page += &about(extent, circumstances);
    for power in [false, true] {
        let _ = writeln!(page, "\n## {}", durability(power));
        for &size in extent.sizes {
            for &processes in extent.processes {
                let rows = figures.rows.iter();
                let rows: Vec<_> = rows
                    .filter(|row| (row.keeps == Keeps::Power) == power)
                    .filter(|row| row.size.unwrap_or(extent.sizes[0]) == size)
                    .filter(|row| row.processes == processes)
                    .collect();
                if !rows.is_empty() {
                    page += &overview(&rows, extent, size, processes);
                    let name = picture::name(power, size, processes);
                    let _ = writeln!(page, "\n![The same with p99 and p99.9]({name})");
                }
            }
        }
    }
    page += &losses(figures);
    if !figures.failures.is_empty() {
        page += "\n## What failed\n\n";
        for failure in &figures.failures {
            let _ = writeln!(page, "- {failure}");
        }
    }
    page + "\nAll figures: [figures.md](figures.md), [peers.json](peers.json).\n"
}

fn about(extent: &Extent, circumstances: &Circumstances) -> String {
    let Circumstances {
        machine,
        versions,
        clock,
        sync,
        seconds,
    } = circumstances;
    format!(
        "By `benches/peers/run`, on {machine}. A sync of 4 KiB takes {sync:.0} µs there, a look at the clock, which is in each figure, {:.0} ns.\n\n\
         {}.\n\n\
         Each operation for {seconds} s, once, with keys of 30 bytes and values that don't compress, among {} entries, of 100 KiB a tenth of that; a \
         process has one connection or handle. A `get` copies the value. `lock` and `semaphore` (4 permits) are acquired and released, by all \
         processes the same one; a `job` is pushed, claimed and completed; `memoize` is a hit among 100 keys. \
         `get` and `memoize` have been done once before. By 100: in one call or transaction, and the \
         time of an item is a hundredth of that. Throughput contains what the loop around takes, a tenth of a microsecond in Rust, one or two in Python.\n",
        clock * 1000.0,
        versions.join(", "),
        extent.entries(extent.sizes[0]),
    )
}

fn durability(power: bool) -> &'static str {
    match power {
        false => "A killed process loses nothing, a power cut may take the last moments",
        true => "A power cut loses nothing",
    }
}

/// Medians of one process; what several do together.
fn overview(rows: &[&Figure], extent: &Extent, size: usize, processes: u64) -> String {
    let has = |operation: &&&str| rows.iter().any(|row| row.operation == ***operation);
    let operations: Vec<_> = extent.operations.iter().filter(has).collect();
    let what = match processes {
        1 => "1 process; medians, microseconds".to_owned(),
        _ => format!("{processes} processes; operations a second of all, in thousands"),
    };
    let mut text = format!("\n### Values of {}, {what}\n\n|", bytes(size));
    for operation in &operations {
        let _ = write!(text, " | {operation}");
    }
    let _ = writeln!(text, " |\n|---|{}", "---:|".repeat(operations.len()));
    let mut peers: Vec<_> = rows.iter().map(|row| row.peer).collect();
    peers.dedup();
    for peer in peers {
        let of = |operation: &&&str| {
            let mut rows = rows.iter();
            rows.find(|row| row.peer == peer && row.operation == ***operation)
        };
        let less = rows
            .iter()
            .any(|row| row.peer == peer && row.keeps == Keeps::Less);
        let _ = write!(text, "| {peer}{}", if less { " *" } else { "" });
        for operation in &operations {
            let cell = of(operation).map(|row| match processes {
                1 => short(row.p50),
                _ => short(row.per_second / 1000.0),
            });
            let _ = write!(text, " | {}", cell.unwrap_or_default());
        }
        text += " |\n";
    }
    if rows.iter().any(|row| row.keeps == Keeps::Less) {
        text += "\n\\*: keeps less: what Memcached has goes with its server, and what redb has not synced with its process.\n";
    }
    text
}

/// Three digits.
fn short(number: f64) -> String {
    match number {
        _ if number < 1.0 => format!("{number:.3}"),
        _ if number < 10.0 => format!("{number:.2}"),
        _ if number < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// Race by race, who is ahead of diskette as it comes.
fn losses(figures: &Figures) -> String {
    let mut text = String::from(
        "\n## Where diskette loses\n\nWho is ahead, and how many times; of all at the same durability, and those that keep less (\\*).\n\n\
         | | processes | at the median | at the p99.9 | in throughput |\n|---|---:|---|---|---|\n",
    );
    let mut races = figures.races();
    races.sort_by_key(|race| race.power);
    for race in races {
        let Some(ours) = race.ours() else { continue };
        let rare = |row: &Figure| Some(ours.rare()? / row.rare()?);
        let cells = [
            ahead(&race, |row| ours.p50 / row.p50),
            ahead(&race, |row| rare(row).unwrap_or_default()),
            ahead(&race, |row| row.per_second / ours.per_second),
        ];
        if cells.iter().any(|cell| !cell.is_empty()) {
            let power = if race.power { ", power" } else { "" };
            let [p50, p999, throughput] = cells;
            let _ = writeln!(
                text,
                "| {}{power} | {} | {p50} | {p999} | {throughput} |",
                race.name(),
                race.processes,
            );
        }
    }
    text
}

fn ahead(race: &Race<'_>, by: impl Fn(&Figure) -> f64) -> String {
    let others = race.runners.iter().filter(|row| !row.ours);
    let mut others: Vec<_> = others
        .map(|row| (by(row), row))
        .filter(|(by, _)| *by > AHEAD)
        .collect();
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    let others = others.into_iter().map(|(by, row)| {
        let less = if row.keeps == Keeps::Less { "\\*" } else { "" };
        let name = row.peer.trim_end_matches(", by 100");
        format!("{name}{less} {by:.1}")
    });
    others.collect::<Vec<_>>().join(", ")
}

fn table(figures: &Figures) -> String {
    let mut text = String::from(
        "Times in microseconds for an item; CPU, of all processes and the server, too; memory and disk in MiB, when it was done.\n\n\
         | peer | keeps | operation | processes | a second | p50 | p99 | p99.9 | longest | CPU | memory | disk |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for race in figures.races() {
        for row in &race.runners {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {:.0} | {} | {} | {} | {:.0} | {} | {:.1} | {:.1} |",
                row.peer,
                row.keeps,
                race.name(),
                row.processes,
                row.per_second,
                short(row.p50),
                short(row.p99),
                short(row.p999),
                row.longest,
                short(row.processor),
                row.memory,
                row.disk,
            );
        }
    }
    text
}
