use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use diskette_ipc::Stop;
use diskette_store::{Codec, Error, ErrorKind, MessagePack, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::claim::Claim;
use crate::crew::{Crew, Shift};
use crate::queue::Queue;
use crate::turns::Turns;

/// What became of a job, as its handler says: `Ok` completes it, an error fails it, with its text and those of its sources.
pub type Worked = std::result::Result<(), Box<dyn StdError + Send + Sync>>;

/// The rest of the way of a job, for a [layer](Worker::around).
pub type Next<'n, J, C = MessagePack> = dyn Fn(Claim<J, C>) -> Worked + 'n;

pub(crate) type Layer<J, C> = Box<dyn Fn(Claim<J, C>, &Next<'_, J, C>) -> Worked + Send + Sync>;

/// Threads that claim jobs and give them to a handler, until they are stopped.
///
/// The handler gets each job as its [`Claim`]. It may end that itself, mostly with a transaction in which the work has its effects, or
/// leave it to the worker: who returns `Ok` has completed the job, who returns an error has it failed, and tried again later. A
/// transaction that is rolled back takes the end of the claim back with it, and then it is the worker's again.
///
/// It stops when the [`Stop`] of the queue's store is stopped: no job is begun any more, what runs may come to its end within the
/// [grace time](Self::grace), and what has not is [released](Claim::release).
///
/// # More processes than one
///
/// Run a worker in each: a [`Supervisor`](crate::Supervisor) starts them and keeps them alive. There is no `processes(m)` here, and can't be
/// an honest one. A handler is code and what it has captured, which no other process can be given. One that is forked off has but one of
/// the threads, with whatever locks the others held. And a program that is started anew does again all that it did before it came to this
/// line, from its arguments on: where it becomes a worker instead is for its `main` to say, in the one `if` of the supervisor's example.
///
/// # Panics
///
/// One in the handler is caught: the job has failed, with the text of the panic. Where panics abort, the process dies, and the job
/// is claimed by another as its worker died.
///
/// # Process safety
///
/// Any number of processes may work on a queue. A handler that forks must see to it that the child ends: one that comes back from the
/// handler has no claim, and ends there.
///
/// # Crashes
///
/// As with every claim: what a process had is ready again when it dies.
///
/// # Reports
///
/// By `tracing`: a span `job` around the handler, with the queue, the id and the attempt; in it, an event for each end (`DEBUG` for what is done,
/// `WARN` for what failed, panicked, or isn't the worker's any more); `WARN` for a job beyond its limit or the grace time.
///
/// # Cost
///
/// That of the claims. Who finds no job sleeps: an idle worker uses no processor.
///
/// # Example
///
/// ```
/// use diskette::{Index, Queue, Store, Worker};
///
/// # let dir = tempfile::tempdir()?;
/// # std::env::set_current_dir(&dir)?;
/// let store = Store::open("store")?;
/// let pictures = Queue::<String>::new(&store, "pictures")?;
/// let sizes = Index::<String, usize>::new(&store, "sizes")?;
/// pictures.push_all(["cat.jpg", "dog.jpeg"].map(String::from))?;
///
/// let (works, sized) = (store.clone(), sizes.clone());
/// Worker::new(&pictures).threads(2).run_until_idle(move |claim| {
///     let size = claim.len(); // an error here, or a panic, and the job is tried again later
///     works.transaction(|tx| {
///         sized.within(tx).insert(&*claim, &size)?;
///         claim.complete(tx)
///     })?;
///     Ok(())
/// })?;
/// assert_eq!(sizes.get("dog.jpeg")?, Some(8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Worker<J, C = MessagePack> {
    queues: Vec<Queue<J, C>>,
    /// The rank and the weight of each.
    turns: Vec<(usize, u32)>,
    threads: usize,
    limit: Option<Duration>,
    grace: Duration,
    layers: Vec<Layer<J, C>>,
    aside: Vec<Aside>,
}

/// What runs beside the jobs, until it is stopped.
pub(crate) type Aside = Box<dyn FnOnce(&Stop) -> Result<()> + Send>;

impl<J, C> Worker<J, C>
where
    J: Serialize + DeserializeOwned + 'static,
    C: Codec + 'static,
{
    /// A worker for the jobs of this queue, with as many threads as there are processors.
    #[must_use]
    pub fn new(queue: &Queue<J, C>) -> Self {
        Self::weighted([(queue, 1)])
    }

    /// A worker for several queues with weights: as long as all of them have jobs, those with weights of 6, 3 and 1 get six, three and one of
    /// ten jobs that are begun, so that none waits for ever. What one has no jobs for goes to the others, and isn't made up for later. Jobs are
    /// counted, not the time that they take, and each worker counts its own.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use diskette::{Queue, Store, Worker};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let orders = Queue::<String>::new(&store, "orders")?;
    /// let reports = Queue::<String>::new(&store, "reports")?;
    /// orders.push_all(["order"; 100])?;
    /// reports.push_all(["report"; 100])?;
    ///
    /// static BEGUN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    /// Worker::weighted([(&orders, 3), (&reports, 1)]).threads(1).run_until_idle(|claim| {
    ///     BEGUN.lock().unwrap().push(claim.to_string());
    ///     Ok(())
    /// })?;
    /// assert_eq!(BEGUN.lock().unwrap()[..8].iter().filter(|job| *job == "report").count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn weighted<'q>(queues: impl IntoIterator<Item = (&'q Queue<J, C>, u32)>) -> Self {
        let (queues, turns) = queues
            .into_iter()
            .map(|(queue, weight)| (queue.clone(), (0, weight)))
            .unzip();
        Worker {
            queues,
            turns,
            threads: thread::available_parallelism().map_or(1, usize::from),
            limit: None,
            grace: Duration::from_secs(10),
            layers: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// Works on this queue, too, when there is nothing to do in those that were named before it. As long as those have jobs it waits, for ever if
    /// need be: [`weighted`](Self::weighted) queues don't.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Queue, Store, Worker};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let urgent = Queue::<String>::new(&store, "urgent")?;
    /// let others = Queue::<String>::new(&store, "others")?;
    /// others.push("sweep")?;
    /// urgent.push("extinguish")?;
    /// Worker::new(&urgent).then(&others).threads(1).run_until_idle(|claim| {
    ///     println!("{}", *claim); // extinguish, sweep
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn then(mut self, queue: &Queue<J, C>) -> Self {
        self.queues.push(queue.clone());
        self.turns.push((self.turns.len(), 1));
        self
    }

    /// How many jobs it works on at once.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How long a job may take: that is the [time limit](Queue::with_time_limit) of its claim. When it is over, the job is given to
    /// others, or is dead if this was its last attempt; and what the late handler does with its claim is refused.
    ///
    /// A thread can't be killed. The one of a handler that doesn't return is lost until it does; another takes its place. When more are
    /// lost than the worker has threads, [`run`](Self::run) fails: then the process is to end, and with it what is lost.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// How long jobs may go on after a stop; 10 seconds unless said.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Does something around each job: it gets the claim, and what comes `next` with it. The layer that was added first is the outermost.
    ///
    /// This is the place for limits that all processes keep together, by a semaphore or a throttle; for the time that is spent
    /// waiting here not to count, [renew](Claim::renew) the claim.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{BoundedSemaphore, Queue, Rate, Store, Throttle, Worker};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let calls = Queue::<String>::new(&store, "calls")?;
    /// calls.push("example.org/a")?;
    ///
    /// let per_host = store.clone();
    /// let rate = Throttle::new(&store, "rate of calls", "50/s".parse::<Rate>()?)?;
    /// Worker::new(&calls)
    ///     .around(move |claim, next| {
    ///         let host = claim.split('/').next().unwrap_or_default();
    ///         let _permit = BoundedSemaphore::new(&per_host, host, 2)?.acquire()?;
    ///         next(claim)
    ///     })
    ///     .around(move |claim, next| {
    ///         rate.acquire()?;
    ///         claim.renew()?;
    ///         next(claim)
    ///     })
    ///     .run_until_idle(|claim| Ok(println!("calling {}", *claim)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn around(
        mut self,
        layer: impl Fn(Claim<J, C>, &Next<'_, J, C>) -> Worked + Send + Sync + 'static,
    ) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// Runs this schedule, too, as long as it works; with the feature `cron`. If that fails, or what makes its jobs panics,
    /// [`run`](Self::run) does.
    #[cfg(feature = "cron")]
    #[must_use]
    pub fn every(mut self, schedule: &crate::Schedule<J, C>) -> Self {
        let schedule = schedule.clone();
        let run = move |stop: &Stop| schedule.with_stop(stop).run();
        self.aside.push(Box::new(run));
        self
    }

    /// Works until the [`Stop`] of a queue's store is stopped. Without one it ends with an error only.
    ///
    /// The library installs no signal handler: that is the program's, which stops its `Stop` there.
    ///
    /// # Errors
    ///
    /// The first that claiming or ending a job has met, other than that it was [given to another](Error::is_overtaken): all
    /// threads stop, as after a stop, and then it is returned. [`is_timeout`](Error::is_timeout) when more threads are lost to
    /// jobs beyond their [limit](Self::limit) than there are to be; [`is_invalid_input`](Error::is_invalid_input) for 0 threads, no queues, and
    /// a weight of 0.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Queue, Stop, Store, Worker};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let stop = Stop::new();
    /// let store = Store::open("store")?.with_stop(&stop);
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// mails.push("the last")?;
    ///
    /// Worker::new(&mails).run(move |claim| {
    ///     if *claim == "the last" {
    ///         stop.stop(); // a program does this in its handler of SIGTERM and SIGINT, by the crate ctrlc, say
    ///     }
    ///     Ok(())
    /// })?;
    /// assert_eq!(mails.stats()?.done, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run(
        self,
        handler: impl Fn(Claim<J, C>) -> Worked + Send + Sync + 'static,
    ) -> Result<()> {
        self.work(handler, false)
    }

    /// The same, and it ends as well when there is nothing left to do: every job of its queues is done or dead. What is scheduled is waited for.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run).
    pub fn run_until_idle(
        self,
        handler: impl Fn(Claim<J, C>) -> Worked + Send + Sync + 'static,
    ) -> Result<()> {
        self.work(handler, true)
    }

    /// Refuses what couldn't be meant.
    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        if self.threads == 0 {
            return invalid(
                "a worker with 0 threads would never do anything; choose 1 or more".into(),
            );
        }
        if self.queues.is_empty() {
            return invalid("a worker without a queue would never do anything; name one".into());
        }
        let mut weights = self.turns.iter().map(|(_, weight)| weight);
        match weights.position(|&weight| weight == 0) {
            Some(at) => invalid(format!(
                "a weight of 0 would never give a job of the queue {:?} its turn; choose 1 or more, or name it by `then`",
                self.queues[at].name()
            )),
            None => Ok(()),
        }
    }

    fn work(
        self,
        handler: impl Fn(Claim<J, C>) -> Worked + Send + Sync + 'static,
        until_idle: bool,
    ) -> Result<()> {
        self.check()?;
        let own = Stop::new();
        let stops = self.queues.iter().filter_map(|queue| queue.store().stop());
        let outer = stops.cloned().collect();
        let queues = self.queues.iter().map(|queue| {
            let queue = queue.through(queue.store().with_stop(&own));
            match self.limit {
                Some(limit) => queue.with_time_limit(limit),
                None => queue,
            }
        });
        let shift = Shift {
            queues: queues.collect(),
            threads: self.threads,
            grace: self.grace,
            work: Arc::new(layered(self.layers, handler)),
            outer,
            stop: own,
        };
        Crew::new(shift, Turns::new(self.turns)).run(until_idle, self.aside)
    }
}

/// The handler with all that is around it.
fn layered<J, C>(
    layers: Vec<Layer<J, C>>,
    handler: impl Fn(Claim<J, C>) -> Worked + Send + Sync,
) -> impl Fn(Claim<J, C>) -> Worked + Send + Sync {
    fn pass<J, C>(layers: &[Layer<J, C>], handler: &Next<'_, J, C>, claim: Claim<J, C>) -> Worked {
        match layers.split_first() {
            Some((first, rest)) => first(claim, &|claim| pass(rest, handler, claim)),
            None => handler(claim),
        }
    }
    move |claim| pass(&layers, &handler, claim)
}

impl<J, C> fmt::Debug for Worker<J, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("queues", &self.queues)
            .field("turns", &self.turns)
            .field("threads", &self.threads)
            .field("limit", &self.limit)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
