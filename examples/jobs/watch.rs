//! Keeps the workers running, and shows how far they are.

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use diskette::{QueueStats, Stop, Supervisor};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::job::Works;
use crate::options::Options;

/// How often the whole is looked at.
const TICK: Duration = Duration::from_millis(200);
/// Between the lines that stand in for the bar where standard error is no terminal.
const PLAIN_LINES: Duration = Duration::from_secs(5);

/// Until nothing is left to do, and then it is true, or there is a stop.
pub fn run(works: &Works, options: &Options, stop: &Stop) -> Result<bool> {
    works.diary.run_begins(options.workers)?;
    let progress = Arc::new(Progress::new(&works.jobs.stats()?));
    // The supervisor has the main thread, with which its children end.
    let watcher = {
        let (works, progress, stop) = (works.clone(), Arc::clone(&progress), stop.clone());
        thread::spawn(move || {
            let watched = watch(&works, &progress);
            stop.stop();
            watched
        })
    };
    let supervised = supervise(options, Arc::clone(&progress), stop);
    stop.stop();
    let watched = watcher.join();
    progress.bar.finish_and_clear();
    supervised?;
    watched.map_err(|_| anyhow!("the thread that shows the progress panicked"))?
}

fn supervise(options: &Options, progress: Arc<Progress>, stop: &Stop) -> Result<()> {
    let program = std::env::current_exe();
    let program = program.context("cannot find this program to start workers from")?;
    let mut started = HashSet::new();
    let worker = move |number: usize| {
        if !started.insert(number) {
            progress.restarted(number);
        }
        let mut command = Command::new(&program);
        command.args(["--worker", &number.to_string()]);
        command.args(std::env::args_os().skip(1));
        command
    };
    let supervisor = Supervisor::new(worker).processes(options.workers as usize);
    Ok(supervisor.run(stop)?)
}

fn watch(works: &Works, progress: &Progress) -> Result<bool> {
    loop {
        match works.jobs.wait_idle(TICK) {
            Ok(true) => return Ok(true),
            Ok(false) => progress.show(&works.jobs.stats()?),
            Err(error) if error.is_stopped() => return Ok(works.jobs.is_idle()?),
            Err(error) => return Err(error.into()),
        }
    }
}

struct Progress {
    bar: ProgressBar,
    /// When this run began, and what was finished then.
    begun: (Instant, u64),
    restarts: AtomicU64,
    last_plain_line: Mutex<Instant>,
}

impl Progress {
    fn new(stats: &QueueStats) -> Self {
        let template = "{bar:30} {human_pos}/{human_len} jobs, {msg}";
        // The template is right, and a plain bar is no harm.
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(stats.unfinished() + finished(stats)).with_style(style);
        Progress {
            bar: bar.with_position(finished(stats)),
            begun: (Instant::now(), finished(stats)),
            restarts: AtomicU64::new(0),
            last_plain_line: Mutex::new(Instant::now()),
        }
    }

    fn show(&self, stats: &QueueStats) {
        self.bar.set_length(stats.unfinished() + finished(stats));
        self.bar.set_position(finished(stats));
        let (since, before) = self.begun;
        let rate = finished(stats).saturating_sub(before) as f64 / since.elapsed().as_secs_f64();
        let mut text = format!("{rate:.0} a second");
        let further = [
            (stats.scheduled, "to be tried again"),
            (stats.dead, "dead"),
            (self.restarts.load(Relaxed), "restarts of workers"),
        ];
        for (count, what) in further.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {} {what}", HumanCount(count));
        }
        let mut last = self.last_plain_line.lock();
        if self.bar.is_hidden() && last.elapsed() >= PLAIN_LINES {
            *last = Instant::now();
            let [done, all] = [finished(stats), self.bar.length().unwrap_or(0)].map(HumanCount);
            eprintln!("{done}/{all} jobs, {text}");
        }
        self.bar.set_message(text);
    }

    /// A line that stays, above the bar.
    fn restarted(&self, number: usize) {
        self.restarts.fetch_add(1, Relaxed);
        self.bar
            .suspend(|| eprintln!("worker {} died: another takes its place", number + 1));
    }
}

fn finished(stats: &QueueStats) -> u64 {
    stats.done + stats.dead
}
