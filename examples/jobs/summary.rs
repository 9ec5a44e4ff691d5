//! A table of all that happened.

use std::io::Write;

use anyhow::Result;
use indicatif::{DecimalBytes, HumanCount};

use crate::dead::Dead;
use crate::history::{Bar, Fate, History};
use crate::job::{Kind, Works};
use crate::latencies::{Latencies, duration};

/// Of the dead, however many there are.
const MOST_LINES: usize = 20;

pub struct Summary {
    pub seconds: f64,
    pub workers: u32,
    pub deaths: u64,
    pub files: u64,
    pub directories: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Jobs that are neither done nor dead.
    pub left: u64,
    pub attempts: u64,
    /// Attempts that weren't the first at their job.
    pub retries: u64,
    pub failed: u64,
    pub cut_off: u64,
    /// From the push to the first attempt.
    pub waited: Option<Latencies>,
    /// Of attempts that came to an end.
    pub ran: Option<Latencies>,
    pub dead: Vec<Dead>,
}

impl Summary {
    pub fn of(works: &Works, history: &History) -> Result<Self> {
        let bars = &history.attempts;
        let of_kind = |kind| {
            let done = bars.iter().filter(|bar| bar.fate == Fate::Done);
            done.filter(|bar| bar.kind == kind).count() as u64
        };
        let (mut bytes_in, mut bytes_out) = (0, 0);
        for file in works.files.values() {
            let file = file?;
            bytes_in += file.bytes_in;
            bytes_out += file.bytes_out;
        }
        let ended = bars.iter().filter(|bar| bar.fate != Fate::CutOff);
        Ok(Summary {
            seconds: history.seconds,
            workers: history.workers,
            deaths: history.deaths as u64,
            files: of_kind(Kind::File),
            directories: of_kind(Kind::Directory),
            bytes_in,
            bytes_out,
            left: works.jobs.stats()?.unfinished(),
            attempts: bars.len() as u64,
            retries: bars.iter().filter(|bar| bar.waited.is_none()).count() as u64,
            failed: history.count(Fate::Failed) as u64,
            cut_off: history.count(Fate::CutOff) as u64,
            waited: Latencies::of(bars.iter().filter_map(|bar| bar.waited))?,
            ran: Latencies::of(ended.map(Bar::seconds))?,
            dead: Dead::all(works)?,
        })
    }

    /// What was done, in how long, by whom.
    pub fn heading(&self) -> String {
        format!(
            "{} files of {} directories in {} by {} worker processes",
            HumanCount(self.files),
            HumanCount(self.directories),
            duration(self.seconds),
            self.workers
        )
    }

    /// Names, figures, and what is to be said of them.
    pub fn rows(&self) -> Vec<[String; 3]> {
        let (jobs, seconds) = (self.files + self.directories, self.seconds.max(1e-6));
        let count = |count: u64| HumanCount(count).to_string();
        let bytes = |bytes: u64| DecimalBytes(bytes).to_string();
        let (failed, cut_off) = (count(self.failed), count(self.cut_off));
        let share = 100.0 * self.bytes_out as f64 / self.bytes_in.max(1) as f64;
        let read_a_second = (self.bytes_in as f64 / seconds) as u64;
        let mut rows = vec![
            (
                "jobs done",
                count(jobs),
                format!("{:.0} a second", jobs as f64 / seconds),
            ),
            (
                "read",
                bytes(self.bytes_in),
                format!("{} a second", bytes(read_a_second)),
            ),
            (
                "written",
                bytes(self.bytes_out),
                format!("{share:.1} % of that"),
            ),
            (
                "retries",
                count(self.retries),
                format!("{failed} attempts failed, {cut_off} were cut off"),
            ),
            ("workers died", count(self.deaths), String::new()),
            ("jobs dead", count(self.dead.len() as u64), String::new()),
        ];
        if self.left > 0 {
            rows.push(("jobs left", count(self.left), "run again to go on".into()));
        }
        let rows = rows.into_iter();
        rows.map(|(name, figure, note)| [name.into(), figure, note])
            .collect()
    }

    /// Names, and the latencies of each.
    pub fn latencies(&self) -> Vec<(&'static str, [String; 3])> {
        let rows = [("waited", self.waited), ("ran", self.ran)];
        let rows = rows
            .into_iter()
            .filter_map(|(name, latencies)| Some((name, latencies?)));
        rows.map(|(name, Latencies { p50, p99, max })| (name, [p50, p99, max].map(duration)))
            .collect()
    }

    pub fn write(&self, mut out: impl Write) -> Result<()> {
        writeln!(out, "{}\n", self.heading())?;
        for [name, figure, note] in self.rows() {
            writeln!(
                out,
                "{}",
                format!("{name:<14}{figure:>12}   {note}").trim_end()
            )?;
        }
        writeln!(out, "{:<14}{:>12}{:>10}{:>10}", "", "p50", "p99", "max")?;
        for (name, [p50, p99, max]) in self.latencies() {
            writeln!(out, "{name:<14}{p50:>12}{p99:>10}{max:>10}")?;
        }
        if !self.dead.is_empty() {
            writeln!(out, "\nDead; --retry-dead tries them again:")?;
        }
        for dead in self.dead.iter().take(MOST_LINES) {
            writeln!(out, "  {}: {}", dead.path, dead.reason())?;
        }
        if self.dead.len() > MOST_LINES {
            writeln!(out, "  and {} more", self.dead.len() - MOST_LINES)?;
        }
        Ok(())
    }
}
