//! The generic cell rate algorithm, with appointments. Pure arithmetic, by one clock: in nanoseconds where
//! somebody has to be on time, finer within.
//!
//! For each rate a meter keeps the *theoretical arrival time* (TAT): when all that has been let through
//! would be used up at exactly that rate. A weight conforms at a time `t` if with its cost the TAT is
//! no more than the cost of a whole burst ahead of `t`.
//!
//! Who has to wait doesn't push the TAT into the future but gets an appointment, which counts
//! once its time has come. So it can be cancelled without a trace, and in a chain one who waits for a
//! slow throttle leaves the time until then to others on the fast one.
//!
//! > Invariant: if all keep their appointments, each of them conforms to every rate.

#[cfg(test)]
mod tests;

use crate::fine::{Fine, fine, rounded_up};
use crate::rate::Rate;

/// What a throttle remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meter {
    /// One for each rate.
    pub(crate) tats: Vec<Fine>,
    /// Nobody passes before this time.
    pub(crate) closed_until: u64,
    /// Those ahead, by time; of two at the same time the one that was made first.
    pub(crate) ahead: Vec<Appointment>,
}

/// A time at which somebody will pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appointment {
    pub(crate) at: u64,
    pub(crate) weight: u32,
    pub(crate) ticket: Ticket,
}

/// Whose appointment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The process.
    pub(crate) owner: i64,
    /// Tells the appointments of a process apart.
    pub(crate) number: i64,
}

impl Meter {
    /// One that nobody has passed.
    pub(crate) fn new(rates: &[Rate]) -> Self {
        Meter {
            tats: vec![0; rates.len()],
            closed_until: 0,
            ahead: Vec::new(),
        }
    }

    /// Counts the appointments whose time has come.
    pub(crate) fn advance(&mut self, rates: &[Rate], now: u64) {
        let due = self.ahead.partition_point(|next| next.at <= now);
        for appointment in self.ahead.drain(..due) {
            count(rates, &mut self.tats, appointment.at, appointment.weight);
        }
    }

    /// The earliest time, not before `from`, at which a weight conforms and leaves every appointment
    /// conforming.
    pub(crate) fn earliest(&self, rates: &[Rate], from: u64, weight: u32) -> u64 {
        let mut from = from.max(self.closed_until);
        let mut tats = self.tats.clone();
        let limits = self.limits(rates);
        for (next, limits) in self.ahead.iter().zip(limits.chunks_exact(rates.len())) {
            let at = conforming(rates, &tats, from, weight);
            // Later within the same gap it could only disturb more.
            if at < next.at && {
                let mut with = tats.clone();
                count(rates, &mut with, at, weight);
                with.iter().zip(limits).all(|(tat, limit)| tat <= limit)
            } {
                return at;
            }
            count(rates, &mut tats, next.at, next.weight);
            from = from.max(next.at);
        }
        conforming(rates, &tats, from, weight)
    }

    /// For each rate, the greatest weight that conforms now and leaves every appointment conforming, which are all later.
    pub(crate) fn available(&self, rates: &[Rate], now: u64) -> Vec<u32> {
        if self.closed_until > now {
            return vec![0; rates.len()];
        }
        let limits = self.limits(rates);
        let each = rates.iter().zip(&self.tats).enumerate();
        let available = each.map(|(i, (rate, &tat))| {
            let now = fine(now);
            let burst = now.saturating_add(rate.cost(rate.burst));
            let limit = limits.get(i).map_or(burst, |&first| burst.min(first));
            let weight = limit.saturating_sub(tat.max(now)) / rate.cost(1);
            u32::try_from(weight).unwrap_or(u32::MAX).min(rate.burst)
        });
        available.collect()
    }

    /// Makes an appointment, at a time that [`earliest`](Self::earliest) has named.
    pub(crate) fn book(&mut self, appointment: Appointment) {
        let place = self
            .ahead
            .partition_point(|other| other.at <= appointment.at);
        self.ahead.insert(place, appointment);
    }

    /// When the appointment is, if it is still ahead.
    pub(crate) fn find(&self, ticket: Ticket) -> Option<u64> {
        let found = self.ahead.iter().find(|other| other.ticket == ticket);
        found.map(|appointment| appointment.at)
    }

    /// Removes an appointment, if it is still ahead.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> bool {
        let before = self.ahead.len();
        self.ahead.retain(|other| other.ticket != ticket);
        self.ahead.len() < before
    }

    /// Lets nobody pass before a time. The appointments move with it, in their order and as far apart as
    /// they were.
    pub(crate) fn postpone(&mut self, until: u64) {
        self.closed_until = self.closed_until.max(until);
        let first = self.ahead.first().map_or(u64::MAX, |first| first.at);
        let shift = self.closed_until.saturating_sub(first);
        for appointment in &mut self.ahead {
            appointment.at = appointment.at.saturating_add(shift);
        }
    }

    /// Goes on under other rates. One that was there before goes on as it was; under a new one counts all
    /// that has been let through and is not used up, to a whole burst at most. Appointments stay where they
    /// are, or move to where they conform.
    pub(crate) fn change_rates(&mut self, old: &[Rate], new: &[Rate], now: u64) {
        let carry_over = |rate: &Rate| {
            let tats = old.iter().zip(&self.tats);
            let used = tats.map(|(old, tat)| rate.carry_over(old, tat.saturating_sub(fine(now))));
            fine(now).saturating_add(used.max().unwrap_or(0))
        };
        let tats = new.iter().map(|rate| {
            let before = old.iter().position(|old| old == rate);
            before.map_or_else(|| carry_over(rate), |before| self.tats[before])
        });
        self.tats = tats.collect();

        let (mut tats, mut from) = (self.tats.clone(), 0);
        for appointment in &mut self.ahead {
            from = conforming(new, &tats, from.max(appointment.at), appointment.weight);
            appointment.at = from;
            count(new, &mut tats, from, appointment.weight);
        }
    }

    /// Goes on by another clock, which says `now` when the old one says `then`.
    pub(crate) fn change_clock(&mut self, then: u64, now: u64) {
        for tat in &mut self.tats {
            *tat = fine(now).saturating_add(tat.saturating_sub(fine(then)));
        }
        let times = self.ahead.iter_mut().map(|appointment| &mut appointment.at);
        for time in times.chain([&mut self.closed_until]) {
            *time = now.saturating_add(time.saturating_sub(then));
        }
    }

    /// For each appointment and rate, the latest TAT before it with which it and all after it conform.
    fn limits(&self, rates: &[Rate]) -> Vec<Fine> {
        let mut limits = vec![Fine::MAX; self.ahead.len() * rates.len()];
        let mut after = vec![Fine::MAX; rates.len()];
        let backwards = self.ahead.iter().zip(limits.chunks_exact_mut(rates.len()));
        for (appointment, limits) in backwards.rev() {
            for ((rate, after), limit) in rates.iter().zip(&mut after).zip(limits) {
                let own = fine(appointment.at).saturating_add(rate.room_before(appointment.weight));
                *limit = own.min(after.saturating_sub(rate.cost(appointment.weight)));
                *after = *limit;
            }
        }
        limits
    }
}

/// The earliest time, not before `from`, at which a weight conforms if nobody else comes.
fn conforming(rates: &[Rate], tats: &[Fine], from: u64, weight: u32) -> u64 {
    let times = rates.iter().zip(tats);
    let times = times.map(|(rate, tat)| rounded_up(tat.saturating_sub(rate.room_before(weight))));
    times.fold(from, u64::max)
}

/// Lets a weight through.
fn count(rates: &[Rate], tats: &mut [Fine], at: u64, weight: u32) {
    for (rate, tat) in rates.iter().zip(tats) {
        *tat = (*tat).max(fine(at)).saturating_add(rate.cost(weight));
    }
}
