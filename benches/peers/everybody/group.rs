//! The processes of one peer, which do one operation after the other, all of them at once.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Deserialize;
use tempfile::TempDir;

use crate::Extent;
use crate::figures::{Figure, Figures};
use crate::peers::{OF_VALUES, Peer};
use crate::racer::Racer;
use crate::servers::Server;
use crate::subject::{Asked, Done};
use crate::usage;

/// Measured when it has been done once, by each process, with so many entries: a second time is what they are for.
const WARM: [&str; 2] = ["get", "memoize"];
const WARMED: u64 = 10_000;
const MEMOIZED: u64 = 100;
/// For what is not to be measured: no end in sight.
const ALL_OF_IT: f64 = 1e6;
const HOURS: Duration = Duration::from_secs(3 * 3600);
/// Beyond the time that an operation is given.
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct Group<'g> {
    peer: &'g Peer,
    extent: &'g Extent,
    size: usize,
    processes: u64,
    // In the order in which they go.
    racers: Vec<Racer>,
    server: Option<Server>,
    directory: TempDir,
}

/// Why there is no figure.
enum Failed {
    NotInstalled,
    /// It has died, or is much too late: there will be none any more.
    Silent,
    /// So it says itself.
    Said(String),
}

impl<'g> Group<'g> {
    pub(crate) fn of(peer: &'g Peer, extent: &'g Extent, size: usize, processes: u64) -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Group {
            peer,
            extent,
            size,
            processes,
            racers: Vec::new(),
            server: None,
            directory: directory.expect("a directory on the disk"),
        }
    }

    /// Adds what is measured, if the peer is installed.
    pub(crate) fn measure(mut self, all: &mut Figures) {
        match self.start() {
            Ok(()) => {}
            Err(Failed::NotInstalled) => return,
            Err(failed) => return all.failures.push(self.failure("open", &failed)),
        }
        for &operation in self.peer.operations {
            if !self.extent.measures(operation, self.size) {
                continue;
            }
            match self.operation(operation) {
                Ok(figure) => all.rows.extend(figure),
                Err(failed) => {
                    all.failures.push(self.failure(operation, &failed));
                    if matches!(failed, Failed::Silent) {
                        return;
                    }
                }
            }
        }
    }

    fn failure(&self, at: &str, failed: &Failed) -> String {
        let (name, size, processes) = (self.peer.name, self.size, self.processes);
        let why = match failed {
            Failed::NotInstalled => "it isn't installed",
            Failed::Silent => "it died, or was late",
            Failed::Said(why) => why,
        };
        let failure = format!("{name}, {size} bytes, {processes} process(es), {at}: {why}");
        eprintln!("{failure}");
        failure
    }

    /// One process after the other, since not every peer bears that several make its files; the first fills them.
    fn start(&mut self) -> Result<(), Failed> {
        let directory = self.directory.path();
        let start = |store: &str| {
            let command = self.peer.start(directory, store);
            command.ok_or(Failed::NotInstalled)
        };
        start("")?;
        if let Some(kind) = self.peer.server {
            let server = Server::start(kind, directory).ok_or(Failed::NotInstalled)?;
            self.server = Some(server);
        }
        let served = self.server.as_ref().and_then(Server::store);
        let store = served.unwrap_or_else(|| "store".to_owned());
        for n in 0..self.processes {
            let command = start(&store)?;
            let mut racer = Racer::start(command);
            if racer.hear(MINUTE).as_deref() != Some("ready") {
                return Err(Failed::Silent);
            }
            if n == 0 {
                ask(
                    &mut racer,
                    &self.once("set", self.extent.entries(self.size)),
                );
                hear(&mut racer, HOURS)?;
            }
            self.racers.push(racer);
        }
        Ok(())
    }

    fn operation(&mut self, operation: &str) -> Result<Option<Figure>, Failed> {
        let mut entries = self.extent.entries(self.size);
        if operation == "memoize" {
            entries = entries.min(MEMOIZED);
        }
        if WARM.contains(&operation) {
            let warm = Asked {
                batch: 1,
                ..self.once(operation, entries.min(WARMED))
            };
            self.racers.iter_mut().for_each(|racer| ask(racer, &warm));
            self.hear(MINUTE)?;
        }
        let before = usage::processor(&self.family());
        for (n, racer) in (0..).zip(&mut self.racers) {
            let again = operation != "delete";
            let asked = Asked {
                operation: operation.to_owned(),
                batch: self.peer.batch,
                size: self.size,
                entries,
                first: if again {
                    n * entries / self.processes
                } else {
                    n
                },
                step: if again { 1 } else { self.processes },
                again,
                seconds: self.extent.seconds,
            };
            ask(racer, &asked);
        }
        let patience = MINUTE + Duration::from_secs_f64(self.extent.seconds);
        let done = self.hear(patience)?;
        let processor = usage::processor(&self.family()) - before;
        Ok((!done.is_empty()).then(|| self.figure(operation, entries, &done, processor)))
    }

    /// What all of them say.
    fn hear(&mut self, patience: Duration) -> Result<Vec<Done>, Failed> {
        let all = self.racers.iter_mut().map(|racer| hear(racer, patience));
        // Each, whatever another says: so that nobody is a line behind.
        let all: Vec<_> = all.collect();
        let all = all.into_iter().filter_map(Result::transpose);
        all.collect()
    }

    /// To do all of it, in large batches.
    fn once(&self, operation: &str, entries: u64) -> Asked {
        Asked {
            operation: operation.to_owned(),
            batch: ((1 << 20) / self.size as u64).clamp(1, 1000),
            size: self.size,
            entries,
            first: 0,
            step: 1,
            again: false,
            seconds: ALL_OF_IT,
        }
    }

    fn figure(&self, operation: &str, entries: u64, done: &[Done], processor: f64) -> Figure {
        let mut latencies =
            Histogram::<u64>::new_with_bounds(1, 600_000_000_000, 3).expect("ten minutes");
        for &(nanoseconds, times) in done.iter().flat_map(|done| &done.latencies) {
            latencies.saturating_record_n(nanoseconds, times);
        }
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let items: u64 = done.iter().map(|done| done.items).sum();
        let elsewhere = self.server.as_ref().and_then(Server::elsewhere);
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Figure {
            peer: self.peer.name,
            keeps: self.peer.keeps,
            operation: operation.to_owned(),
            size: OF_VALUES.contains(&operation).then_some(self.size),
            processes: self.processes,
            batch: self.peer.batch,
            entries,
            items,
            per_second: done.iter().map(|it| it.items as f64 / it.seconds).sum(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            longest: latencies.max() as f64 / 1000.0,
            processor: processor * 1e6 / items.max(1) as f64,
            memory: megabytes(usage::memory(&self.family())),
            disk: megabytes(usage::disk(
                elsewhere.as_deref().unwrap_or(self.directory.path()),
            )),
            ours: self.peer.is_ours(),
        }
    }

    /// All processes that work for the peer.
    fn family(&self) -> Vec<u32> {
        let server = self.server.as_ref().and_then(Server::id);
        let ids = self.racers.iter().map(|racer| racer.child.id());
        ids.chain(server.into_iter().flat_map(usage::family))
            .collect()
    }
}

fn ask(racer: &mut Racer, asked: &Asked) {
    racer.say(&serde_json::to_string(asked).expect("numbers"));
}

fn hear(racer: &mut Racer, patience: Duration) -> Result<Option<Done>, Failed> {
    let line = racer.hear(patience).ok_or(Failed::Silent)?;
    serde_json::from_str(&line).map_err(|_| {
        let failure = serde_json::from_str::<Failure>(&line);
        Failed::Said(failure.map_or(line, |it| it.failed))
    })
}

/// In place of an answer.
#[derive(Deserialize)]
struct Failure {
    failed: String,
}
