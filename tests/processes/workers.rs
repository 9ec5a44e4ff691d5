//! Workers in processes under a supervisor, and what becomes of their jobs when any of them is stopped, killed or stuck.

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

use diskette::{
    Backoff, Index, JobId, JobState, Outcome, Queue, Stop, Store, Supervisor, Why, Worker,
};
use diskette_testkit::{
    Child, Forked, PATIENCE, Place, Signal, assert_rest, eventually, role, stop_on,
};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Task {
    /// Counts itself.
    Count(u32),
    /// Goes on until its process is to stop, and counts itself then.
    Linger,
    /// The first attempt stays until it is killed; the next counts.
    Die,
    Panic,
    Never,
    /// Forks, and the child comes back.
    Fork,
}

struct Works {
    store: Store,
    tasks: Queue<Task>,
    /// How often each task has had its effect.
    effects: Index<String, u32>,
}

impl Works {
    fn open(dir: &str, stop: &Stop) -> Self {
        let store = Store::open(dir).unwrap().with_stop(stop);
        Works {
            tasks: Queue::options()
                .max_attempts(3)
                .backoff(Backoff::fixed(Duration::from_millis(1)))
                .new(&store, "tasks")
                .unwrap(),
            effects: Index::new(&store, "effects").unwrap(),
            store,
        }
    }

    fn push(&self, task: Task) -> JobId {
        self.tasks.push(&task).unwrap()
    }

    fn done(&self, id: JobId) -> Outcome<()> {
        self.tasks.wait(id, PATIENCE).unwrap().unwrap()
    }
}

role! {
    /// A worker with one thread.
    fn worker(parent) {
        let dir: String = parent.arg(0);
        let stop = stop_on([Signal::SIGTERM]);
        let Works { store, tasks, effects } = Works::open(&dir, &stop);
        let own = std::process::id();
        let handler = move |claim: diskette::queue::Claim<Task>| {
            match *claim {
                Task::Count(_) => {}
                Task::Linger => {
                    tell("lingers", own);
                    assert!(stop.wait_timeout(PATIENCE));
                }
                Task::Die if claim.attempt() == 1 => {
                    tell("dies", own);
                    Stop::new().wait_timeout(Duration::MAX);
                }
                Task::Die => tell("lives", own),
                // Without the message on the way, which takes longer than a job may where it comes with a backtrace.
                Task::Panic => resume_unwind(Box::new("of a handler")),
                Task::Never => drop(Stop::new().wait_timeout(Duration::MAX)),
                Task::Fork => match Forked::both() {
                    None => return Ok(()),
                    Some(child) => assert!(child.ended_well()),
                },
            }
            store.transaction(|tx| {
                let (effects, name) = (effects.within(tx), format!("{:?}", *claim));
                let times = effects.get(&name)?.unwrap_or(0);
                effects.insert(&name, &(times + 1))?;
                claim.complete(tx)
            })?;
            Ok(())
        };
        parent.say(format!("works {own}"));
        let worker = Worker::new(&tasks).threads(1).grace(PATIENCE);
        let limit = parent.arg::<u64>(1);
        let worked = match limit {
            0 => worker.run(handler),
            limit => worker.limit(Duration::from_millis(limit)).run(handler),
        };
        worked.unwrap();
    }
}

role! {
    /// A supervisor of so many.
    fn supervisor(parent) {
        let (dir, processes, limit): (String, usize, u64) = (parent.arg(0), parent.arg(1), parent.arg(2));
        let stop = stop_on([Signal::SIGTERM, Signal::SIGINT]);
        Supervisor::new(move |_| Child::command(worker, &[&dir, &limit]))
            .processes(processes)
            .grace(PATIENCE)
            .give_up_after(100)
            .run(&stop)
            .unwrap();
        parent.say("stopped");
    }
}

/// Says so to the test, beside others who write to the same pipe.
fn tell(what: &str, own: u32) {
    let line = format!("\n» {what} {own}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// Starts a supervisor, and returns when its workers work.
fn supervise(dir: &str, processes: usize, limit: u64) -> (Child, Vec<u32>) {
    let mut child = Child::spawn(supervisor, &[&dir, &processes, &limit]);
    let workers = (0..processes).map(|_| hear(&mut child, "works"));
    let workers = workers.collect();
    (child, workers)
}

/// The process that says so.
fn hear(child: &mut Child, what: &str) -> u32 {
    let said = child.hear(PATIENCE);
    let (verb, pid) = said.split_once(' ').unwrap_or((&said, ""));
    assert_eq!(verb, what, "{said}");
    pid.parse().unwrap()
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn works() -> (Place, String, Works) {
    let place = Place::new();
    let dir = place.path().display().to_string();
    let works = Works::open(&dir, &Stop::new());
    (place, dir, works)
}

#[test]
fn sigterm_lets_a_job_come_to_its_end_and_no_other_begin() {
    let (_directory, dir, works) = works();
    let (mut child, workers) = supervise(&dir, 1, 0);
    let lingers = works.push(Task::Linger);
    assert_eq!(hear(&mut child, "lingers"), workers[0]);
    works.push(Task::Count(1));
    child.signal(Signal::SIGTERM);
    assert_eq!(child.hear(PATIENCE), "stopped");
    assert!(child.wait(PATIENCE).success());
    assert!(!is_alive(workers[0]));
    assert_eq!(works.done(lingers), Outcome::Done(None));
    assert_eq!(works.tasks.stats().unwrap().ready, 1);
    assert_eq!(works.effects.get("Linger").unwrap(), Some(1));
}

#[test]
fn who_is_killed_is_replaced_and_its_job_runs_elsewhere() {
    let (_directory, dir, works) = works();
    let (mut child, workers) = supervise(&dir, 2, 0);
    let task = works.push(Task::Die);
    let victim = hear(&mut child, "dies");
    kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
    let said = BTreeSet::from([child.hear(PATIENCE), child.hear(PATIENCE)]);
    let pid = |verb: &str| -> u32 {
        let told = said.iter().find_map(|said| said.strip_prefix(verb));
        told.unwrap_or_else(|| panic!("{said:?}")).parse().unwrap()
    };
    let replacement = pid("works ");
    assert!(!workers.contains(&replacement));
    assert_ne!(pid("lives "), victim);
    assert_eq!(works.done(task), Outcome::Done(None));
    let job = works.tasks.get(task).unwrap().unwrap();
    assert_eq!((job.attempts, job.kills), (2, 1));
}

/// The first of these stopped all of a queue: each process that took it died, or was never heard of again.
#[test]
fn handlers_that_panic_fork_or_never_return_stop_nobody_else() {
    let (_directory, dir, works) = works();
    let [panics, never, forks] =
        [Task::Panic, Task::Never, Task::Fork].map(|task| works.push(task));
    let (_child, _workers) = supervise(&dir, 1, 500);
    let counts = works.push(Task::Count(1));
    assert_eq!(works.done(counts), Outcome::Done(None));
    assert_eq!(works.done(forks), Outcome::Done(None));
    let dead = |why, error: &str| Outcome::Dead {
        why,
        error: Some(error.to_owned()),
    };
    assert_eq!(
        works.done(panics),
        dead(Why::Failed, "panicked: of a handler")
    );
    let late = "its worker was late in the last of its attempts";
    assert_eq!(works.done(never), dead(Why::Late, late));
    // Two such threads are more than the process had, so it ended, and was started anew.
    let more = works.push(Task::Count(2));
    assert_eq!(works.done(more), Outcome::Done(None));
    for name in ["Fork", "Count(1)", "Count(2)"] {
        assert_eq!(works.effects.get(name).unwrap(), Some(1), "{name}");
    }
}

#[test]
fn two_supervisors_share_the_jobs_and_stop_in_good_order() {
    const JOBS: u32 = 300;
    let (_directory, dir, works) = works();
    let start = || Child::spawn(supervisor, &[&dir, &2, &0]);
    let mut pools = [start(), start()];
    works.tasks.push_all((0..JOBS).map(Task::Count)).unwrap();
    assert!(works.tasks.wait_idle(PATIENCE).unwrap());
    let mut workers = BTreeSet::new();
    for pool in &mut pools {
        workers.extend([hear(pool, "works"), hear(pool, "works")]);
        pool.signal(Signal::SIGINT);
        assert_eq!(pool.hear(PATIENCE), "stopped");
        assert!(pool.wait(PATIENCE).success());
    }
    assert_eq!(workers.len(), 4);
    assert!(!workers.into_iter().any(is_alive));
    let effects = works.effects.iter().map(|entry| entry.unwrap().1);
    assert_eq!(effects.collect::<Vec<_>>(), vec![1; JOBS as usize]);
    assert_eq!(works.tasks.stats().unwrap().claimed, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_supervisor_that_is_killed_leaves_nobody_behind() {
    let (_directory, dir, works) = works();
    let (mut child, workers) = supervise(&dir, 2, 0);
    works.push(Task::Die);
    hear(&mut child, "dies");
    child.kill();
    eventually(PATIENCE, || !workers.iter().any(|&pid| is_alive(pid)));
    eventually(PATIENCE, || works.tasks.stats().unwrap().claimed == 0);
    let ready = works
        .tasks
        .list(JobState::Ready)
        .map(|job| job.unwrap().attempts);
    assert_eq!(ready.collect::<Vec<_>>(), [1]);
}

#[test]
fn an_idle_pool_sleeps() {
    let (_directory, dir, works) = works();
    let (child, workers) = supervise(&dir, 2, 0);
    assert_eq!(works.done(works.push(Task::Count(1))), Outcome::Done(None));
    let pids = [&workers[..], &[child.id()]].concat();
    assert_rest(&pids, || {
        let second = Duration::from_secs(1);
        assert!(works.tasks.claim_timeout(second).unwrap().is_none());
    });
}
