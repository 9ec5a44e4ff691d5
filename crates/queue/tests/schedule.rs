//! Jobs that come again and again, by a clock that is set by hand.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use diskette_queue::{Clock, Cron, ManualClock, Queue, Schedule, Worker};
use diskette_store::{Stop, Store};
use diskette_testkit::{Child, PATIENCE, Place, role};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn text(tick: SystemTime) -> String {
    let since = tick.duration_since(UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(since.as_secs()).unwrap();
    let time = DateTime::from_timestamp(seconds, 0).unwrap();
    time.format("%m-%d %H:%M").to_string()
}

struct Timed {
    _place: Place,
    queue: Queue<String>,
    clock: ManualClock,
}

impl Timed {
    /// A queue at this time of day, in UTC.
    fn at(time: &str) -> Self {
        let place = Place::new();
        let store = Store::open(place.path()).unwrap();
        let clock = ManualClock::new();
        let wanted = DateTime::parse_from_rfc3339(time).unwrap().timestamp();
        let now = i64::try_from(clock.read().wall.as_secs()).unwrap();
        clock.step_wall(wanted - now);
        let options = Queue::options().clock(clock.clone());
        Timed {
            queue: options.new(&store, "queue").unwrap(),
            _place: place,
            clock,
        }
    }

    fn every(&self, cron: &Cron) -> Schedule<String> {
        self.queue.every("schedule", cron, text).unwrap()
    }

    /// Lets time go by in such steps, and fires after each; all that was pushed.
    fn ticks(&self, schedule: &Schedule<String>, step: Duration, steps: u32) -> Vec<String> {
        for _ in 0..steps {
            self.clock.advance(step);
            schedule.fire().unwrap();
        }
        self.pushed()
    }

    fn pushed(&self) -> Vec<String> {
        std::iter::from_fn(|| {
            let claim = self.queue.try_claim().unwrap()?;
            let tick = claim.clone();
            claim.complete_now().unwrap();
            Some(tick)
        })
        .collect()
    }
}

fn berlin(expression: &str) -> Cron {
    Cron::new(expression)
        .unwrap()
        .zone("Europe/Berlin")
        .unwrap()
}

#[test]
fn a_time_of_day_comes_once_a_day_though_clocks_change() {
    // At 01:00 UTC on the 28th three becomes two.
    let timed = Timed::at("2001-10-26T12:00:00Z");
    let schedule = timed.every(&berlin("30 2 * * *"));
    let ticks = timed.ticks(&schedule, 10 * MINUTE, 6 * 24 * 3);
    assert_eq!(ticks, ["10-27 00:30", "10-28 00:30", "10-29 01:30"]);

    // At 01:00 UTC on the 31st two becomes three: half past two never comes.
    let timed = Timed::at("2002-03-29T12:00:00Z");
    let schedule = timed.every(&berlin("30 2 * * *"));
    let ticks = timed.ticks(&schedule, 10 * MINUTE, 6 * 24 * 3);
    assert_eq!(ticks, ["03-30 01:30", "03-31 01:00", "04-01 00:30"]);
}

#[test]
fn each_hour_comes_although_clocks_change() {
    for day in ["2001-10-27T22:30:00Z", "2002-03-30T22:30:00Z"] {
        let timed = Timed::at(day);
        let schedule = timed.every(&berlin("0 * * * *"));
        assert_eq!(timed.ticks(&schedule, 30 * MINUTE, 10).len(), 5, "{day}");
    }
}

#[test]
fn of_what_was_missed_the_latest_comes_and_nothing_twice() {
    let timed = Timed::at("2001-06-01T00:30:00Z");
    let schedule = timed.every(&Cron::new("0 * * * *").unwrap());
    assert_eq!(timed.ticks(&schedule, HOUR, 1), ["06-01 01:00"]);
    assert_eq!(timed.ticks(&schedule, 50 * HOUR, 1), ["06-03 03:00"]);

    // Another process has the same, and a clock that is set back changes nothing.
    let other = timed.every(&Cron::new("0 * * * *").unwrap());
    assert_eq!(other.fire().unwrap(), None);
    timed.clock.step_wall(-7200);
    assert_eq!(timed.ticks(&schedule, HOUR, 2), <[String; 0]>::default());
    assert_eq!(timed.ticks(&schedule, HOUR, 1), ["06-03 04:00"]);

    // It was set to a year that was none, and back.
    let year = 365 * 24 * 3600;
    timed.clock.step_wall(year);
    assert_eq!(timed.ticks(&schedule, HOUR, 1).len(), 1);
    timed.clock.step_wall(-year);
    let next = schedule.next().unwrap().map(text);
    assert_eq!(next.unwrap(), "06-03 06:00");
    schedule.fire().unwrap();
    assert_eq!(timed.ticks(&schedule, HOUR, 1), ["06-03 06:00"]);
}

#[test]
fn another_expression_holds_for_all_from_then_on() {
    let timed = Timed::at("2001-06-01T00:30:00Z");
    let hourly = timed.every(&Cron::new("0 * * * *").unwrap());
    let daily = timed.every(&Cron::new("15 6 * * *").unwrap());
    assert_eq!(hourly.next().unwrap(), None);
    assert_eq!(daily.next().unwrap().map(text).unwrap(), "06-01 06:15");
    for _ in 0..24 {
        timed.clock.advance(HOUR);
        for schedule in [&hourly, &daily] {
            schedule.fire().unwrap();
        }
    }
    assert_eq!(timed.pushed(), ["06-01 06:15"]);
}

#[test]
fn a_worker_runs_its_schedule_by_the_clock_on_the_wall() {
    let place = Place::new();
    let stop = Stop::new();
    let store = Store::open(place.path()).unwrap();
    let queue = Queue::<u64>::new(&store.with_stop(&stop), "queue").unwrap();
    let each_second = Cron::new("* * * * * *").unwrap();
    let schedules = [(); 2].map(|()| {
        let seconds = |tick: SystemTime| tick.duration_since(UNIX_EPOCH).unwrap().as_secs();
        queue.every("each second", &each_second, seconds).unwrap()
    });
    let (say, hear) = mpsc::channel();
    let working = std::thread::spawn(move || {
        let worker = Worker::new(&queue).threads(1);
        let worker = schedules.iter().fold(worker, Worker::every);
        worker.run(move |claim| Ok(say.send(*claim)?))
    });
    let ticks = [(); 3].map(|()| hear.recv_timeout(PATIENCE).unwrap());
    assert!(ticks.is_sorted_by(|one, next| one < next), "{ticks:?}");
    stop.stop();
    working.join().unwrap().unwrap();
}

#[test]
fn a_schedule_whose_jobs_can_not_be_made_ends_its_worker() {
    let place = Place::new();
    let store = Store::open(place.path()).unwrap();
    let queue = Queue::<u64>::new(&store, "queue").unwrap();
    let each_second = Cron::new("* * * * * *").unwrap();
    let broken = queue
        .every("broken", &each_second, |_| panic!("no job"))
        .unwrap();
    let worker = Worker::new(&queue).threads(1).every(&broken);
    let error = worker.run(|_| Ok(())).unwrap_err().to_string();
    assert!(
        error.contains("panicked beside the jobs: no job"),
        "{error}"
    );
    assert_eq!(queue.stats().unwrap().unfinished(), 0);
}

role! {
    /// Runs a schedule, with its number in the jobs, until it is killed.
    fn ticker(parent) {
        let (dir, number): (String, u64) = (parent.arg(0), parent.arg(1));
        let queue = Queue::<(u64, u64)>::new(&Store::open(&dir).unwrap(), "queue").unwrap();
        let seconds = move |tick: SystemTime| {
            (tick.duration_since(UNIX_EPOCH).unwrap().as_secs(), number)
        };
        let cron = Cron::new("* * * * * *").unwrap();
        let schedule = queue.every("each second", &cron, seconds).unwrap();
        parent.say("runs");
        schedule.run().unwrap();
    }
}

#[test]
fn of_several_processes_one_pushes_each_tick_though_who_did_is_killed() {
    let place = Place::new();
    let path = place.path();
    let queue = Queue::<(u64, u64)>::new(&Store::open(path).unwrap(), "queue").unwrap();
    let mut tickers: Vec<_> = (0..3_u64)
        .map(|number| Some(Child::spawn(ticker, &[&path.display(), &number])))
        .collect();
    for ticker in tickers.iter_mut().flatten() {
        assert_eq!(ticker.hear(PATIENCE), "runs");
    }
    let mut ticks = Vec::new();
    for _ in 0..2 {
        let claim = queue.claim_timeout(PATIENCE).unwrap().unwrap();
        let (tick, by) = *claim;
        claim.complete_now().unwrap();
        ticks.push(tick);
        if let Some(mut ticker) = tickers[usize::try_from(by).unwrap()].take() {
            ticker.kill();
        }
    }
    let last = queue.claim_timeout(PATIENCE).unwrap().unwrap();
    ticks.push(last.0);
    assert!(ticks.is_sorted_by(|one, next| one < next), "{ticks:?}");
}

#[test]
fn what_says_no_times_is_refused() {
    for expression in ["", "* * * *", "61 * * * *", "every day"] {
        assert!(Cron::new(expression).unwrap_err().is_invalid_input());
    }
    let nowhere = Cron::new("* * * * *").unwrap().zone("Europe/Atlantis");
    assert!(nowhere.unwrap_err().to_string().contains("Atlantis"));
}
