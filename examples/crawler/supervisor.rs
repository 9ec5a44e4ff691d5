//! Starts the worker processes, shows what they do, restarts those that die, and ends the crawl.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;

use crate::Options;
use crate::frontier::{Event, Frontier};
use crate::progress::Progress;
use crate::worker::{Report, UNCHANGED};

/// Deaths in a row without a page recorded in between; after so many, restarting is no help.
const FRUITLESS_DEATHS: u64 = 20;
/// How often the whole is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long the workers may take to stop: a little more than they allow themselves.
const GRACE: Duration = Duration::from_secs(5);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is queued and nothing in flight.
    Complete,
    /// As many pages as `--max-pages` allows.
    Limit,
    /// Ctrl-C.
    Interrupted,
}

#[derive(Default)]
pub struct Run {
    pub fetches: AtomicU64,
    pub restarts: AtomicU64,
    /// Pages that were what they had been.
    pub unchanged: AtomicU64,
    fruitless_deaths: AtomicU64,
    crew: Mutex<Crew>,
}

#[derive(Default)]
struct Crew {
    stopping: bool,
    interrupted: bool,
    workers: Vec<Option<Child>>,
    broken: Option<String>,
}

/// Crawls with `options.workers` processes until there is an end to it.
pub fn run(frontier: &Frontier, options: &Options, run: &Arc<Run>) -> Result<End> {
    let progress = Arc::new(Progress::new(options.workers));
    frontier.note(Event::Began)?;
    run.crew
        .lock()
        .workers
        .resize_with(options.workers, || None);
    let interrupted = Arc::clone(run);
    ctrlc::set_handler(move || interrupted.interrupt()).context("cannot listen for Ctrl-C")?;

    let (ended, all_ended) = mpsc::channel::<()>();
    for number in 0..options.workers {
        let (run, progress, ended) = (Arc::clone(run), Arc::clone(&progress), ended.clone());
        thread::spawn(move || {
            if let Err(error) = run.keep(number, &progress) {
                run.crew.lock().broken = Some(format!("{error:#}"));
            }
            drop(ended);
        });
    }
    drop(ended);

    let end = run.watch(frontier, options, &progress);
    run.stop();
    // Nothing is ever sent: what is awaited is that the last keeper drops its sender.
    if let Err(mpsc::RecvTimeoutError::Timeout) = all_ended.recv_timeout(GRACE) {
        run.kill();
        let _ = all_ended.recv();
    }
    progress.finish();
    end
}

impl Run {
    /// Until the crawl ends.
    fn watch(&self, frontier: &Frontier, options: &Options, progress: &Progress) -> Result<End> {
        let mut noted = 0;
        loop {
            let idle = frontier.wait_idle(TICK)?;
            let (counts, restarts) = (frontier.counts()?, self.restarts.load(Relaxed));
            for _ in noted..restarts {
                frontier.note(Event::Restarted)?;
            }
            noted = restarts;
            progress.total(counts, restarts);
            let crew = self.crew.lock();
            if let Some(reason) = &crew.broken {
                bail!("{reason}");
            }
            if idle {
                return Ok(End::Complete);
            }
            if options.max_pages.is_some_and(|most| counts.pages >= most) {
                return Ok(End::Limit);
            }
            if crew.interrupted {
                return Ok(End::Interrupted);
            }
        }
    }

    /// Keeps one worker alive until the crawl stops.
    fn keep(&self, number: usize, progress: &Progress) -> Result<()> {
        while let Some(output) = self.start(number)? {
            self.listen(number, output, progress);
            progress.died(number);
            let Some(status) = self.wait(number)? else {
                break;
            };
            let deaths = self.fruitless_deaths.fetch_add(1, Relaxed) + 1;
            if deaths >= FRUITLESS_DEATHS {
                bail!("workers died {deaths} times without finishing a page, at last by {status}");
            }
            self.restarts.fetch_add(1, Relaxed);
            progress.say(&format!(
                "worker {} died ({status}), restarting it",
                number + 1
            ));
        }
        Ok(())
    }

    /// Starts a worker, unless the crawl is stopping: this program again, in another role.
    fn start(&self, number: usize) -> Result<Option<ChildStdout>> {
        let mut crew = self.crew.lock();
        if crew.stopping {
            return Ok(None);
        }
        let program =
            std::env::current_exe().context("cannot find this program to start workers from")?;
        let mut worker = Command::new(program)
            .arg("worker")
            .args(std::env::args_os().skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the supervisor, which then lets its workers finish.
            .process_group(0)
            .spawn()
            .context("cannot start a worker")?;
        let output = worker.stdout.take();
        crew.workers[number] = Some(worker);
        Ok(output)
    }

    fn listen(&self, number: usize, output: ChildStdout, progress: &Progress) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The last line of a worker that was killed may be cut off.
            let Ok(report) = serde_json::from_str(&line) else {
                continue;
            };
            progress.worker(number, &report);
            match report {
                Report::Fetching { .. } => drop(self.fetches.fetch_add(1, Relaxed)),
                Report::Recorded { outcome, .. } => {
                    self.fruitless_deaths.store(0, Relaxed);
                    self.unchanged
                        .fetch_add(u64::from(outcome == UNCHANGED), Relaxed);
                }
                Report::PutOff { .. } => {}
                Report::Broken { reason } => self.crew.lock().broken = Some(reason),
            }
        }
    }

    /// How a worker died, or `None` if it was to stop.
    fn wait(&self, number: usize) -> Result<Option<ExitStatus>> {
        let mut crew = self.crew.lock();
        let Some(mut worker) = crew.workers[number].take() else {
            return Ok(None);
        };
        let expected = crew.stopping || crew.broken.is_some();
        drop(crew);
        let status = worker.wait().context("cannot wait for a worker")?;
        Ok((!expected).then_some(status))
    }

    /// Asks the workers to finish what they have in hand.
    fn stop(&self) {
        let mut crew = self.crew.lock();
        crew.stopping = true;
        for worker in crew.workers.iter_mut().flatten() {
            drop(worker.stdin.take());
        }
    }

    fn kill(&self) {
        for worker in self.crew.lock().workers.iter_mut().flatten() {
            let _ = worker.kill();
        }
    }

    /// The first Ctrl-C stops in good order, the second at once. Both leave a crawl that can go on.
    fn interrupt(&self) {
        let mut crew = self.crew.lock();
        if std::mem::replace(&mut crew.interrupted, true) {
            drop(crew);
            self.kill();
            std::process::exit(130);
        }
    }
}
