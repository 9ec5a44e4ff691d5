//! The server's clock, by which all machines go.
//!
//! A process knows how far its own is from that: it asks with each heartbeat of its session and, where it has none, when somebody
//! wants to know the time and it wasn't asked for a minute. What the server says was so at some moment between the question and
//! the answer; so the error is no greater than that round trip, and what clocks drift apart in a minute.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use diskette_ipc::{Clock, Mutex, Reading, Stop};

use crate::error::Result;
use crate::postgres::connection::Connection;
use crate::postgres::failure;
use crate::postgres::pool::Pool;
use crate::timeline::SERVER;

const NOW: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// How long what the server has said is good.
const GOOD: Duration = Duration::from_secs(60);

/// Time stands still rather than going back, unless it goes back by more than this: then the server's clock was set.
const STEP: Duration = Duration::from_secs(1);

/// The server's clock, as this process knows it.
pub(crate) struct ServerClock {
    local: Arc<dyn Clock>,
    pool: Arc<Pool>,
    schema: String,
    reckoning: Mutex<Reckoning>,
}

/// What the server's clock said, and since when by the local uptime.
#[derive(Debug)]
struct Reckoning {
    local: Duration,
    server: Duration,
    asked: Duration,
    /// The latest time that anybody was told.
    told: Duration,
}

impl ServerClock {
    /// Asks the server by this connection.
    pub(crate) fn new(
        local: Arc<dyn Clock>,
        pool: &Arc<Pool>,
        schema: &str,
        connection: &Connection,
    ) -> Result<Self> {
        let answer = ask(&*local, connection)?;
        Ok(ServerClock {
            local,
            pool: Arc::clone(pool),
            schema: schema.to_owned(),
            reckoning: Mutex::new(Reckoning::new(&answer)),
        })
    }

    /// Asks the server again.
    pub(crate) fn ask(&self, connection: &Connection) -> Result<()> {
        let answer = ask(&*self.local, connection)?;
        self.reckoning.lock().learn(&answer);
        Ok(())
    }

    /// If that fails, what is known is good for another while: who wants the time will fail as well.
    fn ask_if_it_is_time(&self) {
        let now = self.local.read().uptime;
        if self.reckoning.lock().must_ask(now)
            && let Ok(connection) = self.pool.lend_another(&self.schema)
        {
            let _ = self.ask(&connection);
        }
    }

    /// The local uptime at a time of the server; `None` once it has come.
    fn local(&self, time: Duration) -> Option<Duration> {
        let left = time.saturating_sub(self.read().uptime);
        let then = self.local.read().uptime.saturating_add(left);
        (!left.is_zero()).then_some(then)
    }
}

impl Clock for ServerClock {
    fn read(&self) -> Reading {
        self.ask_if_it_is_time();
        let mut reckoning = self.reckoning.lock();
        let now = reckoning.tell(self.local.read().uptime);
        Reading {
            boot: SERVER,
            uptime: now,
            wall: now,
        }
    }

    fn sleep_until(&self, uptime: Duration) {
        while let Some(then) = self.local(uptime) {
            self.local.sleep_until(then);
        }
    }

    fn sleep_until_stopped(&self, uptime: Duration, stop: &Stop) {
        while !stop.is_stopped()
            && let Some(then) = self.local(uptime)
        {
            self.local.sleep_until_stopped(then, stop);
        }
    }
}

/// What the server said, between two local uptimes.
struct Answer {
    asked: Duration,
    said: Duration,
    heard: Duration,
}

fn ask(local: &dyn Clock, connection: &Connection) -> Result<Answer> {
    let asked = local.read().uptime;
    let rows = connection.query(NOW, &[])?;
    let heard = local.read().uptime;
    let said: i64 = rows.first().ok_or_else(failure::lost)?.get(0);
    Ok(Answer {
        asked,
        said: Duration::from_micros(said.max(0).unsigned_abs()),
        heard,
    })
}

impl Answer {
    fn took(&self) -> Duration {
        self.heard.saturating_sub(self.asked)
    }
}

impl Reckoning {
    fn new(answer: &Answer) -> Self {
        Reckoning {
            local: answer.heard,
            server: answer.said + answer.took() / 2,
            asked: answer.heard,
            told: Duration::ZERO,
        }
    }

    /// What was reckoned is kept if it may be true, so that time goes evenly; else it moves to what is nearest to it.
    fn learn(&mut self, answer: &Answer) {
        let reckoned = self.at(answer.heard);
        self.server = reckoned.clamp(answer.said, answer.said + answer.took());
        self.local = answer.heard;
        self.asked = answer.heard;
    }

    /// Whether the server is to be asked: one is told so, who does it.
    fn must_ask(&mut self, local: Duration) -> bool {
        let is_time = local.saturating_sub(self.asked) >= GOOD;
        if is_time {
            self.asked = local;
        }
        is_time
    }

    fn tell(&mut self, local: Duration) -> Duration {
        let now = self.at(local);
        if now > self.told || self.told - now > STEP {
            self.told = now;
        }
        self.told
    }

    fn at(&self, local: Duration) -> Duration {
        let (since, before) = (
            local.saturating_sub(self.local),
            self.local.saturating_sub(local),
        );
        (self.server + since).saturating_sub(before)
    }
}

impl fmt::Debug for ServerClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerClock")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn answer(asked: f64, said: f64, heard: f64) -> Answer {
        Answer {
            asked: secs(asked),
            said: secs(said),
            heard: secs(heard),
        }
    }

    #[test]
    fn time_goes_evenly_as_long_as_the_server_agrees() {
        let mut time = Reckoning::new(&answer(10.0, 1000.0, 10.5));
        assert_eq!(time.tell(secs(11.0)), secs(1000.75));
        // Between 1009.5 and 1010.5.
        time.learn(&answer(19.0, 1009.5, 20.0));
        assert_eq!(time.tell(secs(20.0)), secs(1009.75));
        // Between 1019.875 and 1020: it was behind.
        time.learn(&answer(29.875, 1019.875, 30.0));
        assert_eq!(time.tell(secs(30.0)), secs(1019.875));
    }

    #[test]
    fn it_stands_still_rather_than_going_back_unless_the_server_was_set_back() {
        let mut time = Reckoning::new(&answer(10.0, 1000.0, 10.0));
        assert_eq!(time.tell(secs(20.0)), secs(1010.0));
        time.learn(&answer(20.0, 1009.5, 20.0));
        assert_eq!(time.tell(secs(20.25)), secs(1010.0));
        assert_eq!(time.tell(secs(21.0)), secs(1010.5));
        time.learn(&answer(22.0, 500.0, 22.0));
        assert_eq!(time.tell(secs(22.0)), secs(500.0));
    }

    #[test]
    fn one_asks_when_what_was_heard_is_old() {
        let mut time = Reckoning::new(&answer(10.0, 1000.0, 10.0));
        assert!(!time.must_ask(secs(69.0)));
        assert!(time.must_ask(secs(71.0)));
        assert!(!time.must_ask(secs(71.0)));
    }
}
