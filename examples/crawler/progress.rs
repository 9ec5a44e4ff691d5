//! One live line for each worker and one for the whole.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::activity::Activity;
use crate::frontier::Counts;
use crate::worker::Report;

/// Between the lines that stand in for the live ones where standard error is no terminal.
const PLAIN_LINES: Duration = Duration::from_secs(5);
/// A page in hand for longer is worth a word.
const SLOW: Duration = Duration::from_secs(2);

pub struct Progress {
    lines: MultiProgress,
    workers: Vec<ProgressBar>,
    total: ProgressBar,
    activity: Mutex<Activity>,
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
            activity: Mutex::new(Activity::new(Instant::now())),
            last_plain_line: Mutex::new(Instant::now()),
        }
    }

    pub fn worker(&self, number: usize, report: &Report) {
        self.activity.lock().hear(number, report, Instant::now());
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

    pub fn died(&self, number: usize) {
        self.activity.lock().died(number);
    }

    pub fn total(&self, counts: Counts, restarts: u64) {
        let text = self.text(counts, restarts);
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

    fn text(&self, counts: Counts, restarts: u64) -> String {
        let (mut activity, now) = (self.activity.lock(), Instant::now());
        let (queued, rate) = (HumanCount(counts.queued), activity.rate(now));
        let mut text = format!("pages, {queued} queued, {rate:.0} a second");
        if restarts > 0 {
            text += &format!(", {restarts} restarts");
        }
        if let Some(slowest) = activity.slowest(now).filter(|slowest| slowest.time >= SLOW) {
            let (worker, seconds) = (slowest.worker + 1, slowest.time.as_secs());
            text += &format!(", worker {worker} at {} for {seconds} s", slowest.url);
        }
        text
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
