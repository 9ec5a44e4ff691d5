//! Waiting for slots, in the order of arrival.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::clock::{self, Deadline};
use crate::deadlock::Link;
use crate::line;
use crate::seat::{Row, Seat};
use crate::slots::{Hold, Slots};
use crate::stop::Stop;

/// How a wait for slots has ended.
#[derive(Debug)]
pub enum Taken {
    /// They are held.
    Held(Hold),
    /// The deadline has passed.
    TimedOut,
    /// The wait was stopped.
    Stopped,
    /// There are fewer slots than that.
    TooMany,
    /// Waiting would have been in vain: each of these waits for what the next one holds, and the last for the first. The
    /// first is the thread that asked.
    Deadlock(Vec<Link>),
}

/// How a thread holds what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custody {
    /// By itself: who takes it gives it back, unless it was [made the process's](Hold::belong_to_process). So a circle of
    /// such waits never ends, and is found.
    Thread,
    /// Anybody may give it back.
    Any,
}

/// What a thread waits for, as its seat says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    /// The unit at which the structure's slots begin.
    pub(crate) at: u32,
    pub(crate) custody: Custody,
}

impl Slots {
    /// For so long after they went to somebody who had waited, slots are open to all who come, even while others wait. A
    /// hand-over costs two wake-ups, and a thread that takes and gives back a thousand times wouldn't get far otherwise. Then
    /// they are kept for whoever has waited longest.
    pub const TURN: Duration = Duration::from_millis(1);

    /// The longest that a waiter goes without looking again. All who wait are rung when somebody dies, at whatever point of
    /// handing over, so it matters only where nobody hears of deaths, or when the first in the queue is stopped.
    pub const SAFETY_POLL: Duration = Duration::from_secs(2);

    /// Who doesn't look within this time of being rung, since its process is stopped, say, is passed over until it does.
    pub const GRACE: Duration = Duration::from_millis(100);

    /// Takes `n` slots, and waits for them until `deadline`.
    ///
    /// # Fairness
    ///
    /// Who waits is served in the order of arrival, and nobody who waits is overtaken for longer than a
    /// [turn](Self::TURN): with `k` threads before it, a thread waits no longer than `k + 1` turns and
    /// the time for which what it wants is held. Who wants several holds none of them while it waits. A thread that is
    /// [stopped](Self::GRACE) while it waits loses its place until it goes on.
    ///
    /// # Errors
    ///
    /// Those of [`try_take`](Self::try_take).
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn take(&self, n: u32, deadline: Deadline, custody: Custody) -> io::Result<Taken> {
        self.take_unless_stopped(n, deadline, custody, None)
    }

    /// Takes `n` slots, and waits for them until `deadline` or `stop`. Otherwise like [`take`](Self::take).
    ///
    /// # Errors
    ///
    /// Those of [`try_take`](Self::try_take).
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn take_unless_stopped(
        &self,
        n: u32,
        deadline: Deadline,
        custody: Custody,
        stop: Option<&Stop>,
    ) -> io::Result<Taken> {
        self.board().must_be_intact()?;
        let seat = Seat::mine(self.board())?;
        if let Some(hold) = self.take_if_open(&seat, n) {
            return Ok(Taken::Held(hold));
        }
        let waiting = Waiting::begin(self, &seat, custody);
        let line = &waiting.row.line;
        let mut overslept = true;
        loop {
            let seen = line.seen();
            waiting.look();
            seat.must_be_kept(self.board())?;
            if let Some(hold) = self.take_if_open(&seat, n) {
                // Who overtakes doesn't open it for longer.
                if self.is_first(&seat) {
                    self.head().turn.store(now(), SeqCst);
                }
                return Ok(Taken::Held(hold));
            }
            if std::mem::take(&mut overslept) && self.bury_the_dead_in_the_way()? {
                continue;
            }
            // Or else nobody behind this thread would get any either.
            if n > self.known_limit() {
                return Ok(Taken::TooMany);
            }
            if let Some(circle) = self.circle(&seat)? {
                return Ok(Taken::Deadlock(circle));
            }
            if deadline.is_past() {
                return Ok(Taken::TimedOut);
            }
            if stop.is_some_and(Stop::is_stopped) {
                return Ok(Taken::Stopped);
            }
            if !line::wait_any([(line, seen)], stop, deadline, Self::SAFETY_POLL) {
                return Ok(Taken::TimedOut);
            }
            self.board().must_be_intact()?;
            overslept = line.seen() == seen;
        }
    }

    /// Takes what is free, unless it is kept for somebody else.
    pub(crate) fn take_if_open(&self, seat: &Arc<Seat>, n: u32) -> Option<Hold> {
        self.is_open_to(seat).then(|| self.take_free(seat, n))?
    }

    /// Lets the one who has waited longest look, if anybody waits.
    pub(crate) fn pass_on(&self) {
        let waited = &self.head().waited;
        while waited.load(SeqCst) != 0 {
            // Down before the look, so that nobody who comes between the two is missed.
            waited.store(0, SeqCst);
            let Some(first) = self.first() else {
                return;
            };
            let arrival = first.arrival.load(SeqCst);
            waited.store(1, SeqCst);
            let _ = first.rung.compare_exchange(0, now(), SeqCst, SeqCst);
            first.line.ring();
            // Who has left since may have given back while nobody seemed to wait. Each round somebody has.
            if self.waits(first) && first.arrival.load(SeqCst) == arrival {
                return;
            }
        }
    }

    /// Frees the seats of the dead that hold these slots or wait for them; says whether there were any.
    pub(crate) fn bury_the_dead_in_the_way(&self) -> io::Result<bool> {
        let board = self.board();
        let holders = board
            .each(self.at)
            .map(|at| board.slot(at).holder.load(SeqCst))
            .filter(|&key| board.is_seated(key))
            .map(|key| board.seat_row(key as usize));
        // Behind the first, of all and of those that come when rung, the dead are in nobody's way yet.
        let first = self.queue().min_by_key(|row| row.arrival.load(SeqCst));
        board.bury_the_dead_among(holders.chain(first).chain(self.first()))
    }

    fn is_open_to(&self, seat: &Seat) -> bool {
        let head = self.head();
        if head.waited.load(SeqCst) == 0 {
            return true;
        }
        if !is_past(head.turn.load(SeqCst), self.turn) {
            return true;
        }
        if self.first().is_none() {
            self.pass_on(); // so that it is known: nobody is left
            return true;
        }
        self.is_first(seat)
    }

    fn is_first(&self, seat: &Seat) -> bool {
        let first = self.first();
        first.is_some_and(|first| first.key.load(SeqCst) == seat.key)
    }

    fn first(&self) -> Option<&Row> {
        let comes = |row: &&Row| match row.rung.load(SeqCst) {
            0 => true,
            rung => !is_past(rung, Self::GRACE),
        };
        let arrival = |row: &&Row| row.arrival.load(SeqCst);
        self.queue().filter(comes).min_by_key(arrival)
    }

    pub(crate) fn queue(&self) -> impl Iterator<Item = &Row> {
        self.board().seats().filter(|row| self.waits(row))
    }

    fn waits(&self, row: &Row) -> bool {
        row.want().is_some_and(|want| want.at == self.at)
    }
}

impl Row {
    pub(crate) fn want(&self) -> Option<Want> {
        let wants = self.wants.load(SeqCst);
        if wants == 0 || self.key.load(SeqCst) == 0 {
            return None;
        }
        Some(Want {
            at: (wants >> 32) as u32,
            custody: match wants & 2 {
                0 => Custody::Any,
                _ => Custody::Thread,
            },
        })
    }

    fn set_want(&self, want: Want) {
        let custody = match want.custody {
            Custody::Any => 0,
            Custody::Thread => 2,
        };
        self.wants
            .store(u64::from(want.at) << 32 | custody | 1, SeqCst);
    }
}

/// The thread is in the queue.
struct Waiting<'s> {
    slots: &'s Slots,
    row: &'s Row,
    key: u64,
}

impl<'s> Waiting<'s> {
    fn begin(slots: &'s Slots, seat: &Seat, custody: Custody) -> Self {
        let row = seat.row(slots.board());
        row.arrival.store(slots.board().arrival(), SeqCst);
        row.set_want(Want {
            at: slots.at,
            custody,
        });
        Self {
            slots,
            row,
            key: seat.key,
        }
    }

    /// Says that this thread looks now, and wants to be rung if it looks in vain.
    fn look(&self) {
        self.row.rung.store(0, SeqCst);
        self.slots.head().waited.store(1, SeqCst);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let board = self.slots.board();
        if board.must_be_intact().is_err() || !board.is_seated(self.key) {
            return;
        }
        self.row.wants.store(0, SeqCst);
        // This thread may have been rung for what is somebody else's turn now.
        if self.slots.count_free() > 0 {
            self.slots.pass_on();
        }
    }
}

/// Nanoseconds of uptime, as all processes count them.
pub(crate) fn now() -> u64 {
    clock::uptime().as_nanos() as u64
}

/// Has so much time gone by since then? A time to come, which only damage can make, is long past.
fn is_past(since: u64, time: Duration) -> bool {
    u128::from(now().wrapping_sub(since)) >= time.as_nanos()
}
