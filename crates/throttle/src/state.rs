//! The row of a throttle: its rates, its meter, and when that was last touched.

use std::time::Duration;

use diskette_ipc::Reading;
use diskette_store::{Db, Error, ErrorKind, Result, Structure};

use crate::fine::{Fine, fine};
use crate::gcra::{Appointment, Meter, Ticket};
use crate::rate::{self, Rate};
use crate::sql;

/// The most appointments that a throttle can have.
pub(crate) const MOST: usize = 10_000;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) rates: Vec<Rate>,
    pub(crate) meter: Meter,
    touched: Moment,
    /// Whether the row is to be written although nobody passes: else it would go by the old clock for ever.
    pub(crate) must_save: bool,
}

/// So far apart, in nanoseconds, may be what two machines know of the time of a server that they go by.
const CLOSE: u64 = 1_000_000_000;

/// A reading of the clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Moment {
    boot: u64,
    uptime: u64,
    wall: u64,
}

impl State {
    /// That of a new throttle.
    pub(crate) fn new(rates: &[Rate], reading: &Reading) -> Self {
        State {
            rates: rates.to_vec(),
            meter: Meter::new(rates),
            touched: Moment::of(reading),
            must_save: false,
        }
    }

    pub(crate) fn create(&self, db: &Db<'_>, structure: &Structure) -> Result<()> {
        let (rates, meter) = (rates_to_bytes(&self.rates), self.to_bytes());
        let id = structure.id().into();
        db.run(sql::CREATE, &[id, rates[..].into(), meter[..].into()])?;
        Ok(())
    }

    pub(crate) fn load(db: &Db<'_>, structure: &Structure) -> Result<Self> {
        db.query_one(sql::LOAD, &[structure.id().into()], |row| {
            Self::from_bytes(row.blob(0)?, row.blob(1)?).ok_or_else(corrupt)
        })?
        .ok_or_else(|| structure.missing(db))
    }

    pub(crate) fn save(&self, db: &Db<'_>, structure: &Structure) -> Result<()> {
        let (meter, id) = (self.to_bytes(), structure.id().into());
        db.run(sql::SAVE, &[meter[..].into(), id])?;
        Ok(())
    }

    pub(crate) fn save_with_rates(&self, db: &Db<'_>, structure: &Structure) -> Result<()> {
        let (rates, meter) = (rates_to_bytes(&self.rates), self.to_bytes());
        let id = structure.id().into();
        db.run(sql::SAVE_RATES, &[rates[..].into(), meter[..].into(), id])?;
        Ok(())
    }

    /// Brings the meter up to date; gives the present time, by which all its times go from here on.
    pub(crate) fn resume(&mut self, reading: &Reading) -> u64 {
        let (then, mut now) = (self.touched, Moment::of(reading));
        if now.boot == then.boot && then.uptime.saturating_sub(now.uptime) <= CLOSE {
            // Another machine knows the time of a server a little otherwise: no time has passed.
            now.uptime = now.uptime.max(then.uptime);
        }
        if now.boot != then.boot {
            // Only the time of day goes on over a restart, and it may have been set: what it says to have
            // elapsed is never below zero. Whoever had an appointment is dead.
            let elapsed = now.wall.saturating_sub(then.wall);
            let restarted = then.uptime.saturating_add(elapsed);
            self.meter.advance(&self.rates, restarted);
            self.meter.ahead.clear();
            self.meter.change_clock(restarted, now.uptime);
            self.must_save = true;
        } else if now.uptime < then.uptime {
            // Somebody goes by another clock: no time has passed.
            self.meter.change_clock(then.uptime, now.uptime);
            self.must_save = true;
        }
        self.meter.advance(&self.rates, now.uptime);
        self.touched = now;
        now.uptime
    }

    pub(crate) fn change_rates(&mut self, rates: &[Rate], now: u64) {
        self.meter.change_rates(&self.rates, rates, now);
        self.rates = rates.to_vec();
    }
}

impl Moment {
    fn of(reading: &Reading) -> Self {
        Moment {
            boot: reading.boot,
            uptime: nanos(reading.uptime),
            wall: nanos(reading.wall),
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// In the row, all little-endian: boot, uptime, time of day, closed until, a TAT for each rate, and the
/// appointments.
impl State {
    const HEADER: usize = 4 * 8;
    const TAT: usize = 16;
    const APPOINTMENT: usize = 8 + 4 + 8 + 8;

    fn to_bytes(&self) -> Vec<u8> {
        let Meter {
            tats,
            closed_until,
            ahead,
        } = &self.meter;
        let Moment { boot, uptime, wall } = self.touched;
        let size = Self::HEADER + Self::TAT * tats.len() + Self::APPOINTMENT * ahead.len();
        let mut bytes = Vec::with_capacity(size);
        bytes.extend(boot.to_le_bytes());
        for time in [uptime, wall, *closed_until] {
            bytes.extend(time.min(LAST).to_le_bytes());
        }
        for &tat in tats {
            bytes.extend(tat.min(fine(LAST)).to_le_bytes());
        }
        for Appointment { at, weight, ticket } in ahead {
            bytes.extend(at.min(&LAST).to_le_bytes());
            bytes.extend(weight.to_le_bytes());
            bytes.extend(ticket.owner.to_le_bytes());
            bytes.extend(ticket.number.to_le_bytes());
        }
        bytes
    }

    /// Nothing if no throttle could have written it.
    fn from_bytes(rates: &[u8], meter: &[u8]) -> Option<Self> {
        let rates = rates_from_bytes(rates)?;
        let mut rest = meter;
        let touched = Moment {
            boot: u64::from_le_bytes(take(&mut rest)?),
            uptime: time(&mut rest)?,
            wall: time(&mut rest)?,
        };
        let closed_until = time(&mut rest)?;
        let tats = rates
            .iter()
            .map(|_| tat(&mut rest))
            .collect::<Option<_>>()?;
        if rest.len() > MOST * Self::APPOINTMENT {
            return None;
        }
        let mut ahead = Vec::with_capacity(rest.len() / Self::APPOINTMENT);
        while !rest.is_empty() {
            ahead.push(Appointment {
                at: time(&mut rest)?,
                weight: u32::from_le_bytes(take(&mut rest)?),
                ticket: Ticket {
                    owner: i64::from_le_bytes(take(&mut rest)?),
                    number: i64::from_le_bytes(take(&mut rest)?),
                },
            });
        }
        let meter = Meter {
            tats,
            closed_until,
            ahead,
        };
        meter
            .ahead
            .is_sorted_by_key(|next| next.at)
            .then_some(State {
                rates,
                meter,
                touched,
                must_save: false,
            })
    }
}

/// The end of time, after three centuries.
const LAST: u64 = i64::MAX.cast_unsigned();

fn rates_to_bytes(rates: &[Rate]) -> Vec<u8> {
    rates.iter().flat_map(|rate| rate.to_bytes()).collect()
}

fn rates_from_bytes(bytes: &[u8]) -> Option<Vec<Rate>> {
    let (chunks, []) = bytes.as_chunks() else {
        return None;
    };
    let rates: Vec<_> = chunks.iter().map(Rate::from_bytes).collect();
    rate::check(&rates).ok().map(|()| rates)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

fn time(bytes: &mut &[u8]) -> Option<u64> {
    let time = u64::from_le_bytes(take(bytes)?);
    (time <= LAST).then_some(time)
}

fn tat(bytes: &mut &[u8]) -> Option<Fine> {
    let time = Fine::from_le_bytes(take(bytes)?);
    (time <= fine(LAST)).then_some(time)
}

fn corrupt() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "its row holds what no throttle has written: Store::check says what is damaged; \
         a throttle of another name starts afresh",
    )
}
