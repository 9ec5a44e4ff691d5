//! One live line for each worker and one for the whole.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::frontier::Counts;
use crate::worker::Report;

/// Between the lines that stand in for the live ones where standard error is no terminal.
const PLAIN_LINES: Duration = Duration::from_secs(5);

pub struct Progress {
    lines: MultiProgress,
    workers: Vec<ProgressBar>,
    total: ProgressBar,
    last_plain_line: Mutex<Instant>,
}

impl Progress {
    pub fn new(workers: usize) -> Self {
        let lines = MultiProgress::new();
        let line = |number: usize| {
            let line = lines.add(
                ProgressBar::no_length()
                    .with_style(style("  {prefix}  {human_pos:>9}  {wide_msg:.dim}")),
            );
            line.set_prefix(format!("worker {:<2}", number + 1));
            line.set_message("starting");
            line
        };
        let workers = (0..workers).map(line).collect();
        let total = lines.add(
            ProgressBar::no_length().with_style(style("  {prefix}  {human_pos:>9}  {wide_msg}")),
        );
        total.set_prefix("all      ");
        Self {
            lines,
            workers,
            total,
            last_plain_line: Mutex::new(Instant::now()),
        }
    }

    pub fn worker(&self, number: usize, report: &Report) {
        let line = &self.workers[number];
        match report {
            Report::Fetching { url } => line.set_message(format!("get {url}")),
            Report::Recorded { url, outcome } => {
                line.set_message(format!("{outcome} {url}"));
                line.inc(1);
            }
            Report::PutOff { url, reason } => line.set_message(format!("put off {url}: {reason}")),
            Report::Broken { reason } => line.set_message(format!("broken: {reason}")),
        }
    }

    pub fn total(&self, counts: Counts, restarts: u64) {
        let rate = self.workers.iter().map(ProgressBar::position).sum::<u64>() as f64
            / self.total.elapsed().as_secs_f64();
        let mut text = format!(
            "pages, {} queued, {rate:.0} a second",
            HumanCount(counts.queued)
        );
        if restarts > 0 {
            text += &format!(", {restarts} restarts");
        }
        self.total.set_position(counts.pages);
        if self.lines.is_hidden() {
            let mut last = self.last_plain_line.lock();
            if last.elapsed() >= PLAIN_LINES {
                *last = Instant::now();
                eprintln!("{} {text}", HumanCount(counts.pages));
            }
        }
        self.total.set_message(text);
    }

    /// A line that stays, above those that move.
    pub fn say(&self, text: &str) {
        if self.lines.is_hidden() {
            eprintln!("{text}");
        } else {
            self.lines.suspend(|| eprintln!("{text}"));
        }
    }

    pub fn finish(&self) {
        let _ = self.lines.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are right, and a plain bar is no harm.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
