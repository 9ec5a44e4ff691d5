//! The threads of a worker, and who oversees them.

mod desks;

use std::any::Any;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use diskette_ipc::{Deadline, Mutex, Stop, fork};
use diskette_store::{Arrivals, Codec, Error, ErrorKind, Result, wait_any};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::claim::Claim;
use crate::crew::desks::Desks;
use crate::follow::follow;
use crate::held::Ending;
use crate::home::Home;
use crate::queue::Queue;
use crate::turns::Turns;
use crate::worker::{Aside, Worked};

/// What a crew is to do.
pub(crate) struct Shift<J, C> {
    /// With `stop`.
    pub(crate) queues: Vec<Queue<J, C>>,
    pub(crate) threads: usize,
    pub(crate) grace: Duration,
    pub(crate) work: Arc<dyn Fn(Claim<J, C>) -> Worked + Send + Sync>,
    /// The program's.
    pub(crate) outer: Vec<Stop>,
    /// The crew's own.
    pub(crate) stop: Stop,
}

/// Jobs that may take no time at all are looked at so often.
const SHORTEST: Duration = Duration::from_millis(1);

pub(crate) struct Crew<J, C> {
    shift: Shift<J, C>,
    turns: Mutex<Turns>,
    desks: Desks,
}

enum Event {
    Stopped,
    /// A thread has ended. One that was lost has been replaced before.
    Left {
        was_lost: bool,
        ended: Result<()>,
    },
    Failed(Error),
}

impl<J, C> Crew<J, C>
where
    J: Serialize + DeserializeOwned + 'static,
    C: Codec + 'static,
{
    pub(crate) fn new(shift: Shift<J, C>, turns: Turns) -> Self {
        Crew {
            shift,
            turns: Mutex::new(turns),
            desks: Desks::default(),
        }
    }

    pub(crate) fn run(self, until_idle: bool, aside: Vec<Aside>) -> Result<()> {
        let crew = Arc::new(self);
        let (tell, events) = mpsc::channel();
        let ended = crew.begin(until_idle, aside, &tell).and_then(|()| {
            let names: Vec<_> = crew.shift.queues.iter().map(Queue::name).collect();
            tracing::info!(queues = ?names, threads = crew.shift.threads, "working");
            crew.oversee(&tell, &events)
        });
        crew.shift.stop.stop();
        tracing::info!("stopped");
        ended
    }

    fn begin(
        self: &Arc<Self>,
        until_idle: bool,
        aside: Vec<Aside>,
        tell: &Sender<Event>,
    ) -> Result<()> {
        let told = tell.clone();
        follow(self.shift.outer.clone(), &self.shift.stop, move || {
            let _ = told.send(Event::Stopped);
        })?;
        if until_idle {
            let (crew, tell) = (Arc::clone(self), tell.clone());
            spawn("diskette-idle".into(), move || {
                let event = match crew.wait_idle() {
                    Err(error) if !error.is_stopped() => Event::Failed(error),
                    _ => Event::Stopped,
                };
                crew.shift.stop.stop();
                let _ = tell.send(event);
            })?;
        }
        for run in aside {
            let (stop, tell) = (self.shift.stop.clone(), tell.clone());
            spawn("diskette-aside".into(), move || {
                let ran = catch_unwind(AssertUnwindSafe(|| run(&stop)));
                let ran = ran.unwrap_or_else(|panic| Err(panicked("beside the jobs", &*panic)));
                if let Err(error) = ran
                    && !error.is_stopped()
                {
                    let _ = tell.send(Event::Failed(error));
                }
            })?;
        }
        (1..=self.shift.threads).try_for_each(|number| self.hire(number, tell))
    }

    fn hire(self: &Arc<Self>, number: usize, tell: &Sender<Event>) -> Result<()> {
        let (crew, tell, generation) = (Arc::clone(self), tell.clone(), fork::generation());
        spawn(format!("worker-{number}"), move || {
            let worked = catch_unwind(AssertUnwindSafe(|| crew.work(number)));
            if fork::generation() != generation {
                return;
            }
            let (was_lost, ended) = worked
                .unwrap_or_else(|panic| (false, Err(panicked("as a job was claimed", &*panic))));
            let _ = tell.send(Event::Left { was_lost, ended });
        })
    }

    /// Until there is a stop, an error, or the thread was lost meanwhile.
    fn work(&self, number: usize) -> (bool, Result<()>) {
        while !self.is_stopping() {
            let claim = match self.claim() {
                Ok(claim) => claim,
                Err(error) if error.is_stopped() => break,
                Err(error) => return (false, Err(error)),
            };
            let was_lost = match claim {
                Some(claim) => self.work_on(number, claim),
                None => Ok(false), // another worker was faster
            };
            match was_lost {
                Ok(false) => {}
                Ok(true) => return (true, Ok(())),
                Err((was_lost, error)) => return (was_lost, Err(error)),
            }
        }
        (false, Ok(()))
    }

    fn claim(&self) -> Result<Option<Claim<J, C>>> {
        let queues = &self.shift.queues;
        if let [queue] = &queues[..] {
            return queue.claim().map(Some);
        }
        let order = self.turns.lock().order();
        let all = order.iter().filter_map(|&(queue, _)| queues.get(queue));
        let all: Vec<_> = all.map(|queue| queue as &dyn Arrivals).collect();
        let first = wait_any(&all, Duration::MAX)?;
        let Some(&next) = first.and_then(|first| order.get(first)) else {
            return Ok(None);
        };
        let claim = queues.get(next.0).map_or(Ok(None), Queue::try_claim)?;
        if claim.is_some() {
            self.turns.lock().taken(next);
        }
        Ok(claim)
    }

    /// Was this thread lost over it?
    fn work_on(
        &self,
        number: usize,
        mut claim: Claim<J, C>,
    ) -> std::result::Result<bool, (bool, Error)> {
        let (id, attempt, generation) = (claim.id(), claim.attempt(), fork::generation());
        let Some(held) = claim.hold.0.as_mut() else {
            return Ok(false);
        };
        let queue = held.inner.structure.name();
        let _entered = tracing::info_span!("job", queue, id = %id, attempt).entered();
        let twin = held.clone();
        let home = Arc::new(Home::new(held.time_limit));
        held.home = Some(Arc::clone(&home));
        if self.is_stopping() || !self.desks.sit_down(number, twin, &home) {
            home.close();
            return claim
                .release()
                .map(|()| false)
                .map_err(|error| (false, error));
        }
        let worked = catch_unwind(AssertUnwindSafe(|| {
            (self.shift.work)(claim).map_err(|error| error_text(&*error))
        }));
        if fork::generation() != generation {
            return Ok(true);
        }
        let text = match worked {
            Ok(worked) => worked.err(),
            Err(panic) => Some(format!("panicked: {}", panic_text(&*panic))),
        };
        match &text {
            None => tracing::debug!("done"),
            Some(error) => tracing::warn!(error, "failed"),
        }
        let ended = home.close().map_or(Ok(()), |held| {
            let ending = text.as_deref().map_or(Ending::Complete, Ending::Fail);
            let ended = held.end(&held.store, ending);
            held.inner.structure.doing("ending a job", ended)
        });
        let was_lost = self.desks.get_up(number);
        match ended {
            Ok(()) => Ok(was_lost),
            Err(error) if error.is_overtaken() || error.is_moved() => {
                tracing::warn!("it is not this worker's any more");
                Ok(was_lost)
            }
            Err(error) => Err((was_lost, error)),
        }
    }

    /// The crew's own stop follows the program's a little later.
    fn is_stopping(&self) -> bool {
        let mut stops = self.shift.outer.iter().chain([&self.shift.stop]);
        stops.any(Stop::is_stopped)
    }

    /// Until all threads have ended, or are not waited for any more.
    fn oversee(self: &Arc<Self>, tell: &Sender<Event>, events: &Receiver<Event>) -> Result<()> {
        let limits = self
            .shift
            .queues
            .iter()
            .filter_map(|queue| queue.time_limit);
        // No job that is begun from now on is late before that.
        let limit = limits.min().unwrap_or(Duration::MAX).max(SHORTEST);
        let (mut working, mut hired, mut lost) = (self.shift.threads, self.shift.threads, 0_usize);
        let mut failure = None;
        let mut end = Deadline::never();
        while working > 0 && !end.is_past() {
            let next = self.desks.next_late().min(limit);
            let wait = match end.remaining() {
                Some(left) => next.min(left),
                None => next,
            };
            let mut ending = |error: Option<Error>| {
                if end == Deadline::never() {
                    end = Deadline::after(self.shift.grace);
                }
                self.shift.stop.stop();
                if let Some(error) = error {
                    tracing::error!(%error, "stopping");
                    failure.get_or_insert(error);
                }
            };
            match receive(events, wait) {
                Some(Event::Stopped) => ending(None),
                Some(Event::Failed(error)) => ending(Some(error)),
                Some(Event::Left { was_lost, ended }) => {
                    match was_lost {
                        true => lost -= 1,
                        false => working -= 1,
                    }
                    if let Err(error) = ended {
                        ending(Some(error));
                    }
                }
                None => {}
            }
            for late in self.desks.late() {
                tracing::warn!(%late, "beyond its time limit: its thread is lost until it returns");
                working -= 1;
                lost += 1;
                if lost > self.shift.threads {
                    ending(Some(too_many_lost(lost)));
                } else if !self.shift.stop.is_stopped() {
                    hired += 1;
                    match self.hire(hired, tell) {
                        Ok(()) => working += 1,
                        Err(error) => ending(Some(error)),
                    }
                }
            }
        }
        self.desks.hand_back();
        failure.map_or(Ok(()), Err)
    }

    /// Until all queues are idle at once.
    fn wait_idle(&self) -> Result<()> {
        let queues = &self.shift.queues;
        loop {
            for queue in queues {
                queue.wait_idle(Duration::MAX)?;
            }
            let idle = queues.iter().map(Queue::is_idle);
            if idle
                .collect::<Result<Vec<_>>>()?
                .into_iter()
                .all(|idle| idle)
            {
                return Ok(());
            }
        }
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(name).spawn(run);
    let spawned = spawned.map_err(|error| Error::io("can't start a thread of a worker", error));
    spawned.map(drop)
}

fn receive(events: &Receiver<Event>, wait: Duration) -> Option<Event> {
    match wait {
        Duration::MAX => events.recv().ok(),
        wait => events.recv_timeout(wait).ok(),
    }
}

fn too_many_lost(lost: usize) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "{lost} jobs never came back to their worker, each beyond its time limit and with a thread of its own; their jobs were given to others: \
             end this process, which ends them"
        ),
    )
}

fn panicked(when: &str, panic: &(dyn Any + Send)) -> Error {
    let message = format!("the program panicked {when}: {}", panic_text(panic));
    Error::new(ErrorKind::Misuse, message)
}

/// With what caused it, where it doesn't say so itself.
fn error_text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("with something that is no text")
}
