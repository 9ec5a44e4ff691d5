//! One of the processes that ask for the page.

use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use diskette::cache::{Clock, SystemClock};
use diskette::{Barrier, Cache, Fresh, Memoized, Store};

use crate::figures::Visits;
use crate::{Options, Seen, Strategy, ms};

const URL: &str = "/";
/// Between two requests of a thread.
const PAUSE: Duration = ms(10);
const PATIENCE: Duration = ms(60_000);

type Pages = Cache<String, String>;
type Ask = dyn Fn() -> Result<String> + Sync;

/// Asks for the page until the time is up, and writes down how that went.
pub fn visit(strategy: Strategy, store: &Path, options: &Options) -> Result<()> {
    let store = Store::open(store)?;
    let pages = Pages::new(&store, "pages")?;
    let expiry = ms(options.expiry_ms);
    let press = Arc::new(Press::new(ms(options.page_ms))?);
    let make = Arc::clone(&press);
    let ask: Box<Ask> = match strategy {
        Strategy::None => Box::new(move || Ok(make.page())),
        Strategy::Memoize => Box::new(move || {
            if let Some(page) = pages.get(URL)? {
                return Ok(page);
            }
            let page = make.page();
            pages.insert_with(URL, &page, expiry)?;
            Ok(page)
        }),
        Strategy::SingleFlight => Box::new(move || Ok(pages.memoize(URL, expiry, || make.page())?)),
        Strategy::EarlyRefresh => {
            // Old enough for who asks while the new one is made.
            let stale = expiry + ms(options.page_ms);
            let fresh = Fresh::for_(expiry).early(options.beta).stale_for(stale);
            let page = Memoized::new(pages, fresh, move |_: &String| Ok::<_, Error>(make.page()));
            Box::new(move || page.call(&URL.into()))
        }
    };

    let all = Barrier::new(&store, "all", options.processes)?;
    let wait_for_all = || all.wait_timeout(PATIENCE)?.context("the others don't come");
    wait_for_all()?;
    let begin = press.now();
    let calls = thread::scope(|scope| {
        let visitor = || ask_again_and_again(&*ask, begin, &press, options);
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(visitor)).collect();
        let calls = threads.into_iter().map(|thread| match thread.join() {
            Ok(calls) => calls,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        calls.collect::<Result<Vec<_>>>()
    })?;
    // While one still asks, nobody dies in the middle of a page.
    wait_for_all()?;
    let visits = Visits {
        begin,
        calls: calls.concat(),
        computations: press.computations(),
    };
    Seen::new(&store, "seen")?.insert(&process::id(), &visits)?;
    Ok(())
}

/// When each call began, and how long it took.
fn ask_again_and_again(
    ask: &Ask,
    begin: Duration,
    press: &Press,
    options: &Options,
) -> Result<Vec<(Duration, Duration)>> {
    let end = begin + Duration::from_secs(options.seconds);
    let mut calls = Vec::new();
    loop {
        let (at, asked) = (press.now(), Instant::now());
        if at >= end {
            return Ok(calls);
        }
        ask()?;
        calls.push((at, asked.elapsed()));
        thread::sleep(PAUSE);
    }
}

/// What makes the page, and knows when it did.
struct Press {
    takes: Duration,
    clock: SystemClock,
    /// From when to when, if that is over.
    computations: Mutex<Vec<(Duration, Option<Duration>)>>,
}

impl Press {
    fn new(takes: Duration) -> Result<Self> {
        Ok(Press {
            takes,
            clock: SystemClock::new()?,
            computations: Mutex::default(),
        })
    }

    /// All processes have the same.
    fn now(&self) -> Duration {
        self.clock.read().uptime
    }

    fn page(&self) -> String {
        let mut computations = self.lock();
        let this = computations.len();
        computations.push((self.now(), None));
        drop(computations);
        thread::sleep(self.takes);
        self.lock()[this].1 = Some(self.now());
        "<!doctype html><title>Welcome</title>".into()
    }

    fn computations(&self) -> Vec<(Duration, Duration)> {
        let now = self.now();
        let until_now = self.lock().clone().into_iter();
        until_now
            .map(|(begin, end)| (begin, end.unwrap_or(now)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Duration, Option<Duration>)>> {
        let lock = self.computations.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}
