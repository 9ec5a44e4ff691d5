//! What a call does to the rows of a chain of throttles: all of them in one transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use diskette_ipc::OwnerId;
use diskette_store::{Db, Error, ErrorKind, Result, Store};

use crate::gcra::{Appointment, Ticket};
use crate::links::{Link, load, save};
use crate::rate::{DECADE, Rate, check_weight};
use crate::retry_after::RetryAfter;
use crate::state::{MOST, State};

/// What is asked of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) weight: u32,
    pub(crate) latest: Latest,
    /// Of whoever may have to wait.
    pub(crate) ticket: Option<Ticket>,
}

/// How late is too late.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Latest {
    Now,
    /// In nanoseconds of uptime.
    At(u64),
    Never,
}

/// A time that a chain has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) at: u64,
    /// Whether it has come already: then there is no appointment.
    pub(crate) is_now: bool,
}

/// Why a wish can't be granted as things stand, if that is all there is to it: then nothing has to be
/// written.
pub(crate) fn refusal(db: &Db<'_>, links: &[Link], wish: Wish) -> Result<Option<RetryAfter>> {
    let plan = Plan::make(db, links, wish)?;
    let must_save = plan.states.iter().any(|state| state.must_save);
    Ok(plan.refusal(wish.latest).filter(|_| !must_save))
}

/// Gives the earliest time to a wish, in the place of the appointment that it has, if any.
pub(crate) fn book(db: &Db<'_>, links: &[Link], wish: Wish) -> Result<Result<Slot, RetryAfter>> {
    let mut plan = Plan::make(db, links, wish)?;
    if let Some(refusal) = plan.refusal(wish.latest) {
        save(db, links, &plan.states, |state| state.must_save)?;
        return Ok(Err(refusal));
    }
    let slot = plan.slot();
    let ticket = match wish.ticket {
        Some(ticket) if !slot.is_now => {
            plan.must_have_room()?;
            ticket
        }
        _ => Ticket {
            owner: 0,
            number: 0,
        },
    };
    for state in &mut plan.states {
        state.meter.book(Appointment {
            at: slot.at,
            weight: wish.weight,
            ticket,
        });
        state.meter.advance(&state.rates, plan.now);
    }
    save(db, links, &plan.states, |_| true)?;
    Ok(Ok(slot))
}

/// What would pass now by each rate of each throttle, whatever the others say.
pub(crate) fn available(db: &Db<'_>, links: &[Link]) -> Result<Vec<(Rate, u32)>> {
    let (mut states, now) = load(db, links)?;
    forget_the_dead(db.store(), &mut states)?;
    let each = states.iter().flat_map(|state| {
        let weights = state.meter.available(&state.rates, now);
        state.rates.iter().copied().zip(weights)
    });
    Ok(each.collect())
}

/// Whether an appointment is still ahead in any of the rows, though its time has come: it was moved.
pub(crate) fn is_ahead(db: &Db<'_>, links: &[Link], ticket: Ticket) -> Result<bool> {
    let (states, _) = load(db, links)?;
    Ok(states
        .iter()
        .any(|state| state.meter.find(ticket).is_some()))
}

/// Gives a slot back, where its time has not come.
pub(crate) fn cancel(db: &Db<'_>, links: &[Link], ticket: Ticket) -> Result<()> {
    let (mut states, _) = load(db, links)?;
    for state in &mut states {
        state.must_save |= state.meter.cancel(ticket);
    }
    save(db, links, &states, |state| state.must_save)
}

struct Plan {
    states: Vec<State>,
    now: u64,
    at: u64,
}

impl Plan {
    fn make(db: &Db<'_>, links: &[Link], wish: Wish) -> Result<Self> {
        let (mut states, now) = load(db, links)?;
        let mut has_waited = false;
        for state in &mut states {
            let found = wish.ticket.is_some_and(|ticket| state.meter.cancel(ticket));
            state.must_save |= found;
            has_waited |= found;
        }
        if !has_waited {
            // Else the burst may have become smaller since.
            let mut rates = states.iter().map(|state| &state.rates);
            rates.try_for_each(|rates| check_weight(rates, wish.weight))?;
        }
        let mut at = earliest(&states, now, wish.weight);
        if at > now && forget_the_dead(db.store(), &mut states)? {
            at = earliest(&states, now, wish.weight);
        }
        Ok(Plan { states, now, at })
    }

    fn slot(&self) -> Slot {
        Slot {
            at: self.at,
            is_now: self.at <= self.now,
        }
    }

    fn refusal(&self, latest: Latest) -> Option<RetryAfter> {
        let latest = match latest {
            Latest::Now => self.now,
            Latest::At(time) => time.max(self.now),
            Latest::Never => return None,
        };
        (self.at > latest).then(|| RetryAfter(Duration::from_nanos(self.at - self.now)))
    }

    fn must_have_room(&self) -> Result<()> {
        let mut crowds = self.states.iter().map(|state| state.meter.ahead.len());
        let full = if crowds.any(|crowd| crowd >= MOST) {
            format!("{MOST} calls are waiting already: try again later, or with a timeout")
        } else if self.at - self.now > DECADE {
            "the next free slot is more than ten years away".into()
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Full, full))
    }
}

/// The earliest time that suits all throttles: what one of them asks for, the others may push on.
fn earliest(states: &[State], now: u64, weight: u32) -> u64 {
    let mut at = now;
    loop {
        let times = states.iter();
        let times = times.map(|state| state.meter.earliest(&state.rates, at, weight));
        match times.max() {
            Some(later) if later > at => at = later,
            _ => return at,
        }
    }
}

/// Cancels what those have booked who are dead: whether there was any.
fn forget_the_dead(store: &Store, states: &mut [State]) -> Result<bool> {
    let appointments = states.iter().flat_map(|state| &state.meter.ahead);
    let owners: BTreeSet<_> = appointments.map(|next| next.ticket.owner).collect();
    let mut dead = BTreeSet::new();
    for owner in owners {
        if !store.is_alive(OwnerId::from_i64(owner))? {
            dead.insert(owner);
        }
    }
    for state in states {
        let ahead = &mut state.meter.ahead;
        ahead.retain(|next| !dead.contains(&next.ticket.owner));
    }
    Ok(!dead.is_empty())
}
