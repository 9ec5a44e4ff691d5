use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use diskette_ipc::{Deadline, Stop, background, offspring};
use diskette_store::{Error, ErrorKind, Result};

use crate::follow::follow;

/// Keeps a number of processes running, mostly of this program in the role of a [`Worker`](crate::Worker).
///
/// Whoever of them ends, in whatever way, is started again: at once if it had run for a second, else after a pause that doubles from
/// 0.1 to 5 seconds. When one has died too quickly [too often](Self::give_up_after) in a row, the supervisor stops the others and fails.
///
/// When it is stopped it sends each process SIGTERM, waits for the [grace time](Self::grace), and sends SIGKILL to those that are left. It
/// installs no signal handler: that of the program, for SIGTERM and SIGINT, stops the [`Stop`].
///
/// # Process safety
///
/// Any number of supervisors may have workers on the same queues. Each process is in a process group of its own, so that Ctrl-C is heard by
/// the supervisor alone. Run it in the main thread, or in one that lives as long: the kernel ends the children with the *thread* that
/// started them.
///
/// # Crashes
///
/// When the supervisor is killed, the kernel kills its processes, and their jobs are ready again. That is so on Linux; elsewhere they
/// go on.
///
/// # Example
///
/// ```no_run
/// use std::process::Command;
/// use diskette::{Queue, Stop, Store, Supervisor, Worker};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let stop = Stop::new();
///     let on_signal = stop.clone();
///     // With the feature `termination`, for SIGTERM and SIGHUP.
///     ctrlc::set_handler(move || on_signal.stop())?;
///     if std::env::args().nth(1).as_deref() == Some("worker") {
///         let store = Store::open("store")?.with_stop(&stop);
///         let mails = Queue::<String>::new(&store, "mails")?;
///         return Ok(Worker::new(&mails).threads(2).run(|claim| Ok(println!("to {}", *claim)))?);
///     }
///     let this = std::env::current_exe()?;
///     Supervisor::new(move |_number| {
///         let mut worker = Command::new(&this);
///         worker.arg("worker");
///         worker
///     })
///     .processes(4)
///     .run(&stop)?;
///     Ok(())
/// }
/// ```
pub struct Supervisor {
    command: Box<dyn FnMut(usize) -> Command>,
    processes: usize,
    grace: Duration,
    give_up_after: u32,
}

/// Who has run for so long was able to.
const SETTLED: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Supervisor {
    /// A supervisor of as many processes as there are processors, each started by what `command` makes for its number, from 0 on.
    ///
    /// The command's process group and what happens at the death of its parent are set by the supervisor.
    #[must_use]
    pub fn new(command: impl FnMut(usize) -> Command + 'static) -> Self {
        Supervisor {
            command: Box::new(command),
            processes: std::thread::available_parallelism().map_or(1, usize::from),
            grace: Duration::from_secs(15),
            give_up_after: 10,
        }
    }

    /// How many processes there are to be.
    #[must_use]
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = processes;
        self
    }

    /// How long they may take to end after SIGTERM; 15 seconds unless said. It should be longer than the [grace time of the
    /// workers](crate::Worker::grace) in them.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// After how many deaths in a row, each within a second of the start, a process is not started again; 10 unless said, which takes
    /// about 20 seconds.
    #[must_use]
    pub fn give_up_after(mut self, deaths: u32) -> Self {
        self.give_up_after = deaths;
        self
    }

    /// Keeps the processes running until it is stopped. They are all gone when it returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when a process can't be started for the first time, or when one died too often; what is running then is
    /// ended as after a stop. [`is_invalid_input`](Error::is_invalid_input) for 0 processes.
    pub fn run(self, stop: &Stop) -> Result<()> {
        if self.processes == 0 {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a supervisor of 0 processes would never do anything; choose 1 or more",
            ));
        }
        let (tell, events) = mpsc::channel();
        let (ended, told) = (Stop::new(), tell.clone());
        follow(vec![stop.clone()], &ended, move || {
            let _ = told.send(Event::Stopped);
        })?;
        let places = (0..self.processes).map(|_| Place::default()).collect();
        let mut supervision = Supervision {
            places,
            tell,
            command: self.command,
            give_up_after: self.give_up_after,
        };
        let watched = supervision.watch(stop, &events);
        ended.stop();
        if let Err(error) = &watched {
            tracing::error!(%error, "stopping");
        }
        supervision.end(self.grace, &events);
        watched
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("processes", &self.processes)
            .field("grace", &self.grace)
            .field("give_up_after", &self.give_up_after)
            .finish_non_exhaustive()
    }
}

enum Event {
    Stopped,
    /// The process of this place has ended, and is still to be waited for.
    Ended(usize),
}

struct Supervision {
    places: Vec<Place>,
    tell: Sender<Event>,
    command: Box<dyn FnMut(usize) -> Command>,
    give_up_after: u32,
}

/// Where one process runs after the other.
struct Place {
    child: Option<Child>,
    /// If there is no child, when there is to be one.
    start: Deadline,
    /// When it will have run for long enough.
    settled: Deadline,
    quick_deaths: u32,
}

impl Default for Place {
    fn default() -> Self {
        Place {
            child: None,
            start: Deadline::at_once(),
            settled: Deadline::never(),
            quick_deaths: 0,
        }
    }
}

impl Supervision {
    fn watch(&mut self, stop: &Stop, events: &Receiver<Event>) -> Result<()> {
        (0..self.places.len()).try_for_each(|number| {
            let started = self.start(number);
            started.map_err(|error| Error::io("can't start a worker process", error))
        })?;
        while !stop.is_stopped() {
            let vacant = self.places.iter().filter(|place| place.child.is_none());
            let wait = vacant.filter_map(|place| place.start.remaining()).min();
            let event = match wait {
                Some(wait) => events.recv_timeout(wait).ok(),
                None => events.recv().ok(),
            };
            if let Some(Event::Ended(number)) = event
                && let Some(status) = self.places[number].reap()
            {
                let how = match status {
                    Ok(status) => status.to_string(),
                    Err(error) => error.to_string(),
                };
                self.died(number, &how)?;
            }
            for number in 0..self.places.len() {
                let place = &self.places[number];
                if place.child.is_none()
                    && place.start.is_past()
                    && !stop.is_stopped()
                    && let Err(error) = self.start(number)
                {
                    self.died(number, &format!("it can't be started: {error}"))?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, number: usize) -> io::Result<()> {
        let place = &mut self.places[number];
        place.settled = Deadline::after(SETTLED);
        let mut command = (self.command)(number);
        let child = offspring::die_with_this_thread(&mut command)
            .process_group(0)
            .spawn()?;
        let id = child.id();
        place.child = Some(child);
        tracing::info!(number, id, "started a worker process");
        let tell = self.tell.clone();
        let listening = background::spawn("diskette-child", move || {
            let _ = offspring::await_end(id);
            let _ = tell.send(Event::Ended(number));
        });
        if listening.is_err() {
            // Nobody would hear of its end.
            place.kill();
            place.reap();
        }
        listening.map(drop)
    }

    /// When it is to be started again, or why not.
    fn died(&mut self, number: usize, how: &str) -> Result<()> {
        let place = &mut self.places[number];
        place.quick_deaths = match place.settled.is_past() {
            true => 0,
            false => place.quick_deaths.saturating_add(1),
        };
        let deaths = place.quick_deaths;
        if deaths > 0 && deaths >= self.give_up_after {
            let message = format!(
                "worker process {number} died {deaths} times in a row within {SETTLED:?} of its start, at last so: {how}; see what it printed"
            );
            return Err(Error::new(ErrorKind::Io, message));
        }
        let pause = match deaths {
            0 => Duration::ZERO,
            _ => FIRST_PAUSE.saturating_mul(1 << (deaths - 1).min(16)),
        };
        let pause = pause.min(LONGEST_PAUSE);
        place.start = Deadline::after(pause);
        tracing::warn!(
            number,
            how,
            ?pause,
            "a worker process ended, starting another"
        );
        Ok(())
    }

    fn end(&mut self, grace: Duration, events: &Receiver<Event>) {
        for child in self.places.iter().filter_map(|place| place.child.as_ref()) {
            let _ = offspring::terminate(child);
        }
        let end = Deadline::after(grace);
        while self.places.iter().any(|place| place.child.is_some()) {
            let event = match end.remaining() {
                Some(left) => events.recv_timeout(left).ok(),
                None => events.recv().ok(),
            };
            match event {
                Some(Event::Ended(number)) => drop(self.places[number].reap()),
                Some(Event::Stopped) => {}
                None => break,
            }
        }
        // Those that are left are killed as they are dropped.
    }
}

impl Place {
    fn reap(&mut self) -> Option<io::Result<ExitStatus>> {
        Some(self.child.take()?.wait())
    }

    fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
        }
    }
}

/// Whatever happens to the supervisor, nothing goes on without it.
impl Drop for Place {
    fn drop(&mut self) {
        self.kill();
        self.reap();
    }
}
