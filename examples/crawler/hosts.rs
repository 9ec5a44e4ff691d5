//! How each host wants to be treated, by all workers together: asked no more often than its rate, over no
//! more connections than it has permits, and not at all while it asks for quiet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use diskette::{BoundedSemaphore, Permit, Rate, Result, RetryAfter, Store, Throttle};
use parking_lot::Mutex;
use url::Url;

use crate::Options;
use crate::fetch::Setback;
use crate::scope::is_loopback;

/// Between two requests to a host, and the connections to it, unless it is on this machine.
const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);
const DEFAULT_CONNECTIONS: u32 = 4;
/// Between two requests to a host without a rate that other URLs have to wait for.
pub const LEAST_INTERVAL: Duration = Duration::from_millis(1);
/// However long a server asks us to stay away, or to wait from one page to the next.
pub const LONGEST_DELAY: Duration = Duration::from_secs(600);
/// How long a thread waits for its turn; where it would take longer, it has other hosts to see to.
const PATIENCE: Duration = Duration::from_millis(250);

/// All hosts met by this process.
pub struct Hosts {
    store: Store,
    interval: Option<Duration>,
    connections: Option<u32>,
    met: Mutex<HashMap<String, Arc<Host>>>,
}

pub struct Host {
    store: Store,
    name: String,
    connections: Option<BoundedSemaphore>,
    pace: Mutex<Pace>,
}

struct Pace {
    interval: Duration,
    throttle: Option<Throttle>,
}

/// The right to send one request, now. Its connection counts until this is dropped.
pub struct Turn {
    _permit: Option<Permit>,
}

/// As it is called in the store: `http` and `https` of one host are one host.
pub fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl Hosts {
    pub fn new(store: &Store, options: &Options) -> Self {
        Self {
            store: store.clone(),
            interval: options.rate,
            connections: options.per_host,
            met: Mutex::default(),
        }
    }

    pub fn of(&self, url: &Url) -> Result<Arc<Host>> {
        let name = name(url);
        let mut met = self.met.lock();
        if let Some(host) = met.get(&name) {
            return Ok(Arc::clone(host));
        }
        let host = Host::open(
            &self.store,
            &name,
            self.interval(url),
            self.connections(url),
        )?;
        let host = Arc::new(host);
        met.insert(name, Arc::clone(&host));
        Ok(host)
    }

    /// Makes the rates of an earlier run's hosts those of this run; what they ask for themselves comes on
    /// top of it, when it is met.
    pub fn begin(&self, earlier: impl IntoIterator<Item = Url>) -> Result<()> {
        for url in earlier {
            if let Some(throttle) = Throttle::find(&self.store, &rate_of(&name(&url)))? {
                set_interval(&throttle, self.interval(&url))?;
            }
        }
        Ok(())
    }

    /// Zero for no limit.
    fn interval(&self, url: &Url) -> Duration {
        self.interval.unwrap_or(if is_loopback(url) {
            Duration::ZERO
        } else {
            DEFAULT_INTERVAL
        })
    }

    fn connections(&self, url: &Url) -> Option<u32> {
        self.connections
            .or((!is_loopback(url)).then_some(DEFAULT_CONNECTIONS))
    }
}

impl Host {
    fn open(
        store: &Store,
        name: &str,
        interval: Duration,
        connections: Option<u32>,
    ) -> Result<Self> {
        let connections = connections.map(|most| {
            // With the number in its name, as another run may have another.
            BoundedSemaphore::new(store, &format!("{most} connections to {name}"), most)
        });
        let throttle = if interval.is_zero() {
            Throttle::find(store, &rate_of(name))?
        } else {
            Some(throttle(store, name, interval)?)
        };
        Ok(Self {
            store: store.clone(),
            name: name.to_owned(),
            connections: connections.transpose()?,
            pace: Mutex::new(Pace { interval, throttle }),
        })
    }

    /// # Errors
    ///
    /// [`Setback::NotYet`] if it would take long.
    pub fn turn(&self) -> std::result::Result<Turn, Setback> {
        // The permit first: with a slot in hand there must be nothing left to wait for.
        let permit = match &self.connections {
            None => None,
            Some(connections) => match connections.try_acquire()? {
                None => return Err(Setback::NotYet(self.interval())),
                permit => permit,
            },
        };
        let throttle = self.pace.lock().throttle.clone();
        match throttle.map_or(Ok(Ok(())), |throttle| throttle.acquire_timeout(PATIENCE)) {
            Ok(Ok(())) => Ok(Turn { _permit: permit }),
            // Back a little before its time, it sleeps up to it.
            Ok(Err(RetryAfter(wait))) => Err(Setback::NotYet(wait.saturating_sub(PATIENCE / 2))),
            // So many others had something to write.
            Err(error) if error.is_timeout() => Err(Setback::NotYet(PATIENCE)),
            Err(error) => Err(error.into()),
        }
    }

    /// From one request to the next.
    pub fn interval(&self) -> Duration {
        self.pace.lock().interval.max(LEAST_INTERVAL)
    }

    /// A `Crawl-delay`, where it is longer than what we do anyway.
    pub fn keep_interval(&self, delay: Duration) -> Result<()> {
        let delay = delay.min(LONGEST_DELAY);
        let mut pace = self.pace.lock();
        if delay > pace.interval {
            set_interval(self.throttle(&mut pace)?, delay)?;
            pace.interval = delay;
        }
        Ok(())
    }

    /// Lets no worker near the host for that long.
    pub fn postpone(&self, delay: Duration) -> Result<()> {
        self.throttle(&mut self.pace.lock())?.postpone(delay)
    }

    fn throttle<'p>(&self, pace: &'p mut Pace) -> Result<&'p Throttle> {
        Ok(match &mut pace.throttle {
            Some(throttle) => throttle,
            none => none.insert(throttle(&self.store, &self.name, pace.interval)?),
        })
    }
}

fn throttle(store: &Store, host: &str, interval: Duration) -> Result<Throttle> {
    let name = rate_of(host);
    match Throttle::new(store, &name, rate(interval)) {
        // Some other process has read already what this host asks for.
        Err(error) if error.is_invalid_input() => Throttle::find(store, &name)?.ok_or(error),
        opened => opened,
    }
}

fn set_interval(throttle: &Throttle, interval: Duration) -> Result<()> {
    let rate = rate(interval);
    if throttle.rates()? == [rate] {
        return Ok(());
    }
    throttle.set_rates(rate)
}

/// A little slower than asked for: some requests take longer to arrive than others, and it is where they
/// arrive that they are counted.
fn rate(interval: Duration) -> Rate {
    Rate::new(1, (interval + interval / 33).max(Duration::from_micros(1)))
}

fn rate_of(host: &str) -> String {
    format!("rate of {host}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::Cli;

    const HOUR: Duration = Duration::from_secs(3600);

    fn hosts(store: &Store, options: &[&str]) -> Hosts {
        let command = ["crawler"].iter().chain(options);
        Hosts::new(store, &Cli::parse_from(command).options)
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store")).unwrap();
        (dir, store)
    }

    fn url(host: &str) -> Url {
        Url::parse(&format!("http://{host}/page")).unwrap()
    }

    fn wait(host: &Host) -> Option<Duration> {
        match host.turn() {
            Ok(_) => None,
            Err(Setback::NotYet(wait)) => Some(wait),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_host_is_called_by_its_name_and_port_whatever_the_scheme() {
        let name = |url| name(&Url::parse(url).unwrap());
        assert_eq!(name("http://example.org/x"), "example.org");
        assert_eq!(name("https://Example.org:443/y?z"), "example.org");
        assert_eq!(name("http://[::1]:8000/"), "[::1]:8000");
    }

    #[test]
    fn only_this_machine_has_no_limits_unless_they_are_given() {
        let (_dir, store) = store();
        let by_default = hosts(&store, &[]);
        let (here, there) = (url("localhost"), url("example.org"));
        assert_eq!(by_default.interval(&here), Duration::ZERO);
        assert_eq!(by_default.connections(&here), None);
        assert_eq!(by_default.interval(&there), DEFAULT_INTERVAL);
        assert_eq!(by_default.connections(&there), Some(DEFAULT_CONNECTIONS));

        let given = hosts(&store, &["--rate", "2/s", "--per-host", "3"]);
        assert_eq!(given.interval(&here), Duration::from_millis(500));
        assert_eq!(given.connections(&here), Some(3));
        assert_eq!(
            hosts(&store, &["--rate", "none"]).interval(&there),
            Duration::ZERO
        );
    }

    #[test]
    fn the_processes_share_the_rate_and_the_connections_of_a_host() {
        let (_dir, store) = store();
        let options = ["--rate", "1/h", "--per-host", "1"];
        let one = hosts(&store, &options).of(&url("a.example")).unwrap();
        let other = hosts(&store, &options).of(&url("a.example")).unwrap();
        let turn = one.turn().unwrap();
        assert_eq!(wait(&other), Some(HOUR), "no connection is left");
        drop(turn);
        assert!(wait(&other).unwrap() > HOUR * 9 / 10);
        let elsewhere = hosts(&store, &options).of(&url("b.example")).unwrap();
        assert_eq!(wait(&elsewhere), None);
    }

    #[test]
    fn what_a_host_asks_for_slows_all_down_until_another_run_begins() {
        let (_dir, store) = store();
        let options = ["--rate", "20/s"];
        let one = hosts(&store, &options).of(&url("a.example")).unwrap();
        one.keep_interval(Duration::from_secs(100)).unwrap();
        one.keep_interval(Duration::from_secs(1)).unwrap();
        assert_eq!(wait(&one), None);
        let other = hosts(&store, &options).of(&url("a.example")).unwrap();
        assert!(wait(&other).unwrap() > Duration::from_secs(90));

        hosts(&store, &options).begin([url("a.example")]).unwrap();
        let next = hosts(&store, &options).of(&url("a.example")).unwrap();
        assert!(wait(&next).is_none_or(|wait| wait < Duration::from_secs(1)));
    }

    #[test]
    fn a_host_that_asks_for_quiet_gets_it_even_without_a_rate() {
        let (_dir, store) = store();
        let host = hosts(&store, &[]).of(&url("localhost")).unwrap();
        assert_eq!(wait(&host), None);
        host.postpone(HOUR).unwrap();
        assert!(wait(&host).unwrap() > HOUR * 9 / 10);
        let other = hosts(&store, &[]).of(&url("localhost")).unwrap();
        assert!(wait(&other).unwrap() > HOUR * 9 / 10);
    }
}
