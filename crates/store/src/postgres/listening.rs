//! Who in this process waits at which line of the doorbell.
//!
//! The server is told once for all threads of a process, and not before one of them has looked in vain; it is told that nobody waits
//! any more when nobody has for a moment. Of the threads that wait for the same one is on watch: it is woken when the line is rung, and
//! looks. The others sleep apart, until it leaves and the next has the watch; if it has got something, there may be more.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use diskette_ipc::clock::uptime;
use diskette_ipc::{Awaited, Doorbell, Mutex, OwnerId, Seen, fork};

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
    sleepers: AtomicUsize,
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
    /// Of those who wait for the same, who is on watch, and who will be, one after the other.
    watch: Option<usize>,
    asleep: VecDeque<usize>,
    /// The last look, if it was in vain.
    vain: Option<Vain>,
    /// Whether others were faster when it was rung last.
    beaten: bool,
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
    number: usize,
    /// As whom it has told the server.
    told: Option<OwnerId>,
    looks: Option<Look>,
}

struct Look {
    at: Duration,
    /// Before it.
    seen: Seen,
    /// Whether something is likely to be there, since the line was rung.
    expects: bool,
}

impl Postgres {
    pub(crate) fn listen(&self, line: usize, alike: bool) -> Listening {
        let mut listening = Listening {
            postgres: self.clone(),
            line,
            alike,
            number: self.home().lines.sleepers.fetch_add(1, Ordering::Relaxed),
            told: None,
            looks: None,
        };
        let told = listening.with(|line| {
            line.threads += 1;
            line.told.last().map(|&(owner, _)| owner)
        });
        listening.told = told.filter(|&owner| self.is_still(owner));
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
        // Who is on watch does so before he sleeps, and then looks for all; or he leaves, and the next has the watch.
        let number = self.number;
        if self.alike && self.with(|line| line.watch != Some(number)) {
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

    /// To look for what others wait for as well: whether something is likely to be there. If another is on watch, or this one has just looked in
    /// vain, how long to wait, and where. Whoever has just been called looks himself.
    pub(crate) fn look(
        &mut self,
        awaited: &mut Awaited<'_>,
        called: bool,
    ) -> Result<bool, Option<Duration>> {
        if !self.alike {
            return Ok(false);
        }
        let (me, now, seen) = (self.number, uptime(), awaited.seen);
        let watch = |line: &mut Line| {
            if *line.watch.get_or_insert(me) != me {
                if !line.asleep.contains(&me) {
                    line.asleep.push_back(me);
                }
                awaited.line = apart(me);
                awaited.seen = awaited.bell.seen(awaited.line);
                return Err(None);
            }
            match &line.vain {
                Some(vain) if vain.holds(seen, now) => Err(vain.until.map(|until| until - now)),
                Some(vain) => Ok(vain.seen != seen && !line.beaten),
                None => Ok(false),
            }
        };
        let expects = match self.with(watch) {
            _ if called => false,
            watched => watched?,
        };
        let at = now;
        self.looks = Some(Look { at, seen, expects });
        Ok(expects)
    }

    /// That look has found nothing for any of them, and nothing will come by itself for so long.
    pub(crate) fn in_vain(&mut self, left: Option<Duration>) {
        let Some(Look { at, seen, expects }) = self.looks.take() else {
            return;
        };
        if self.told.is_none() {
            return; // nobody rings for what has come since
        }
        let until = left.map(|left| uptime().saturating_add(left));
        self.with(|line| {
            line.beaten |= expects;
            line.vain = Some(Vain { seen, at, until });
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
    /// Who leaves while he looks has got something.
    fn drop(&mut self) {
        let (me, got) = (self.number, self.looks.is_some());
        let next = self.with(|line| {
            line.threads = line.threads.saturating_sub(1);
            line.left = uptime();
            line.asleep.retain(|&it| it != me);
            line.beaten &= !got;
            if line.watch != Some(me) {
                return None;
            }
            if got {
                line.vain = None;
            }
            line.watch = line.asleep.pop_front();
            line.watch
        });
        if let Some(next) = next {
            self.postgres.bell().ring(apart(next));
        }
    }
}

/// Where a thread sleeps that is not on watch. The structures of most stores have other lines; who shares one looks in vain.
fn apart(number: usize) -> usize {
    const FIRST: usize = Doorbell::LINES / 2;
    FIRST + number % (Doorbell::LINES - FIRST)
}
