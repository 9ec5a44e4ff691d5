//! Who in this process waits at which line of the doorbell.
//!
//! The server is told once for all threads of a process, and not before one of them has looked in vain; it is told that nobody waits
//! any more when nobody has for a moment. Of the threads that wait for the same, one at a time looks: who gets something
//! has another look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use diskette_ipc::clock::uptime;
use diskette_ipc::{Doorbell, Mutex, OwnerId, Seen, fork};

use crate::error::Result;
use crate::postgres::connection::Connection;
use crate::postgres::{Postgres, ringing};

const TELL: &str = "INSERT INTO waiting (line, owner, number) VALUES ($1, $2, $3)";
const TAKE_BACK: &str = "DELETE FROM waiting WHERE owner = $1 AND number = $2";

/// How long a line is kept at which nobody waits any more.
const MOMENT: Duration = Duration::from_secs(1);

/// The lines at which threads of this process wait, or did a moment ago.
#[derive(Default)]
pub(crate) struct Lines {
    state: Mutex<State>,
    numbers: AtomicI64,
}

#[derive(Default)]
struct State {
    /// Of forks: a child has none of its parent's threads.
    generation: u64,
    lines: HashMap<Key, Line>,
}

/// The number of the store, or of a shard of it, and that of the line there.
type Key = (i64, usize);

#[derive(Default)]
struct Line {
    threads: usize,
    /// When the last of them left.
    left: Duration,
    /// By whom the server was told, and under which numbers.
    told: Vec<(OwnerId, i64)>,
    looking: bool,
    /// What a thread saw that didn't look, since another was at it.
    missed: Option<Seen>,
    /// The last look, if it was in vain.
    vain: Option<Vain>,
}

struct Vain {
    seen: Seen,
    at: Duration,
    /// When something may be there for which nobody rings.
    until: Option<Duration>,
}

/// A thread that waits at a line, until this is dropped.
pub(crate) struct Listening {
    postgres: Postgres,
    line: usize,
    /// Whether others who wait there wait for the same.
    alike: bool,
    /// As whom it has told the server.
    told: Option<OwnerId>,
    /// Since when it looks, and what it had seen.
    looks: Option<(Duration, Seen)>,
}

impl Postgres {
    pub(crate) fn listen(&self, line: usize, alike: bool) -> Listening {
        let listening = Listening {
            postgres: self.clone(),
            line,
            alike,
            told: None,
            looks: None,
        };
        listening.with(|line| line.threads += 1);
        listening
    }

    /// The server is told of the lines at which nobody waits any more.
    pub(crate) fn take_back(&self, connection: &Connection) {
        for (owner, number) in self.home().lines.quiet() {
            let row = [owner.as_i64().into(), number.into()];
            let _ = connection.execute(TAKE_BACK, &row);
        }
    }
}

impl Lines {
    fn quiet(&self) -> Vec<(OwnerId, i64)> {
        let now = uptime();
        let is_quiet = |line: &Line| line.threads == 0 && now.saturating_sub(line.left) >= MOMENT;
        let mut state = self.state.lock();
        let quiet = state.lines.extract_if(|_, line| is_quiet(line));
        quiet.flat_map(|(_, line)| line.told).collect()
    }
}

impl Listening {
    /// Has those who commit something for this line say so, from now on. Whether that is since just now.
    pub(crate) fn tell(&mut self) -> Result<bool> {
        let me = self.postgres.claimant()?;
        if self.told == Some(me) {
            return Ok(false);
        }
        let told = self.with(|line| line.told.iter().any(|&(owner, _)| owner == me));
        if !told {
            let home = self.postgres.at_home();
            let number = home.home().lines.numbers.fetch_add(1, Ordering::Relaxed);
            let line = ringing::of(self.line);
            let row = [line.into(), me.as_i64().into(), number.into()];
            home.lend()?.execute(TELL, &row)?;
            self.with(|line| line.told.push((me, number)));
        }
        self.told = Some(me);
        Ok(true)
    }

    /// To look for what others wait for as well. If one of them does so, or just did in vain, how long one can wait.
    pub(crate) fn look(&mut self, seen: Seen) -> Result<(), Option<Duration>> {
        if !self.alike || self.told.is_none() {
            return Ok(());
        }
        let now = uptime();
        self.with(|line| {
            if line.looking {
                line.missed = Some(seen);
                return Err(None);
            }
            match line.vain.as_ref().filter(|vain| vain.holds(seen, now)) {
                Some(vain) => Err(vain.until.map(|until| until - now)),
                None => {
                    line.looking = true;
                    Ok(())
                }
            }
        })?;
        self.looks = Some((now, seen));
        Ok(())
    }

    /// That look has found nothing for any of them, and nothing will come by itself for so long.
    pub(crate) fn in_vain(&mut self, left: Option<Duration>) {
        let Some((at, seen)) = self.looks.take() else {
            return;
        };
        let until = left.map(|left| uptime().saturating_add(left));
        self.with(|line| {
            line.looking = false;
            line.vain = Some(Vain { seen, at, until });
            line.missed = line.missed.filter(|&missed| missed != seen);
        });
    }

    fn with<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        let mut state = self.postgres.home().lines.state.lock();
        if state.generation != fork::generation() {
            state.generation = fork::generation();
            state.lines.clear();
        }
        let key = (self.postgres.shared.number, self.line);
        work(state.lines.entry(key).or_default())
    }
}

impl Vain {
    /// Whether there still is nothing.
    fn holds(&self, seen: Seen, now: Duration) -> bool {
        self.seen == seen
            && now.saturating_sub(self.at) < Doorbell::SAFETY_POLL
            && self.until.is_none_or(|until| now < until)
    }
}

impl Drop for Listening {
    /// Who leaves while he looks has got something: there may be more. And who leaves may be the only one who knew when to look.
    fn drop(&mut self) {
        let look = self.with(|line| {
            line.threads = line.threads.saturating_sub(1);
            line.left = uptime();
            line.looking &= self.looks.is_none();
            let known = line.vain.as_ref().is_some_and(|vain| vain.until.is_some());
            let for_others = self.looks.is_some() || line.missed.is_some() || known;
            let look = line.threads > 0 && !line.looking && for_others;
            if look {
                (line.missed, line.vain) = (None, None);
            }
            look
        });
        if look {
            self.postgres.bell().ring(self.line);
        }
    }
}
