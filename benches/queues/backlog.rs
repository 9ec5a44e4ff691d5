//! A claim beside a thousand jobs that are ready, a million, and a million that are scheduled.

use std::time::{Duration, Instant};

use diskette::{Keep, Push, Queue, Store};
use diskette_testkit::Place;
use hdrhistogram::Histogram;

const SAMPLES: u32 = 20_000;
const CHUNK: u32 = 10_000;

struct Backlog {
    name: String,
    queue: Queue<u32>,
    claims: Histogram<u64>,
    _dir: Place,
}

pub(crate) fn measure(scale: u32) {
    let million = 1_000_000 / scale;
    let mut all = [(1000, 0), (million, 0), (million, million)]
        .map(|(ready, scheduled)| Backlog::of(ready, scheduled));
    // In turn, so that whatever else the machine does is shared by all.
    for _ in 0..SAMPLES / scale {
        all.iter_mut().for_each(Backlog::claim);
    }
    super::header("try_claim, microseconds");
    for backlog in &all {
        super::print(&backlog.name, &backlog.claims, 1e3);
    }
    let [few, many, most] = all.map(|it| it.claims.value_at_quantile(0.5) as f64);
    println!(
        "ratios of the medians: {:.2}, {:.2} (wanted 1.5)",
        many / few,
        most / few
    );
}

impl Backlog {
    fn of(ready: u32, scheduled: u32) -> Self {
        let dir = Place::new();
        let store = Store::open(dir.path()).expect("a store");
        let options = Queue::options().keep_done(Keep::none());
        let queue: Queue<u32> = options.new(&store, "jobs").expect("a queue");
        for first in (0..ready).step_by(CHUNK as usize) {
            let chunk = first..ready.min(first + CHUNK);
            queue.push_all(chunk).expect("room");
        }
        let later = Push::new().delay(Duration::from_secs(86_400));
        for first in (0..scheduled).step_by(CHUNK as usize) {
            let mut chunk = first..scheduled.min(first + CHUNK);
            let push = |tx: &diskette::Transaction<'_>| {
                let queue = queue.within(tx);
                chunk.try_for_each(|job| queue.push_with(&job, &later).map(drop))
            };
            store.transaction(push).expect("room");
        }
        Backlog {
            name: format!("{ready} are ready, {scheduled} scheduled"),
            queue,
            claims: super::latencies(),
            _dir: dir,
        }
    }

    /// Claims a job, and puts another in its place.
    #[allow(clippy::disallowed_methods)]
    fn claim(&mut self) {
        let start = Instant::now();
        let claim = self.queue.try_claim().expect("a write").expect("a job");
        super::record(&mut self.claims, start.elapsed());
        self.queue.push(&*claim).expect("a write");
        claim.complete_now().expect("a write");
    }
}
