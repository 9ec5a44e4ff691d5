//! How the parties of a barrier meet: the rows of those who wait, and the one who finds all others there.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use diskette_ipc::{Deadline, OwnerId};
use diskette_store::{Access, Db, Error, ErrorKind, Result, Store};

use crate::barrier::{Barrier, BarrierWait};
use crate::sql;

/// One thread in one wait.
#[derive(Clone, Copy)]
struct Party {
    owner: OwnerId,
    /// Tells the waits of one process apart.
    ticket: i64,
}

const LEADER: BarrierWait = BarrierWait { is_leader: true };
const FOLLOWER: BarrierWait = BarrierWait { is_leader: false };

/// How a party finds the barrier.
enum Arrival {
    /// It is the last: all may go.
    Last,
    /// It waits for the end of this round.
    In(i64),
}

impl Barrier {
    pub(crate) fn pass(&self, deadline: Deadline) -> Result<Option<BarrierWait>> {
        // Who waits when the store moves arrives anew.
        let pass = |store: &Store| {
            let store = store.clone();
            let structure = Arc::clone(&self.structure);
            Barrier { structure, store }.pass_here(deadline)
        };
        self.store.in_one_place(pass)
    }

    fn pass_here(&self, deadline: Deadline) -> Result<Option<BarrierWait>> {
        static TICKET: AtomicI64 = AtomicI64::new(1);
        let party = Party {
            owner: self.store.claimant()?,
            ticket: TICKET.fetch_add(1, Ordering::Relaxed),
        };
        let round = match self.arrive(party, deadline) {
            Ok(Arrival::Last) => return Ok(Some(LEADER)),
            Ok(Arrival::In(round)) => round,
            Err(error) if error.is_timeout() && deadline.is_past() => return Ok(None),
            Err(error) => return Err(error),
        };
        let over = self.wait_out(round, party, deadline);
        let in_vain = match over {
            Ok(Some(wait)) => return Ok(Some(wait)),
            Ok(None) => Ok(None),
            Err(error) if error.is_stopped() => Err(error),
            Err(error) => {
                let _ = self.withdraw(round, party);
                return Err(error);
            }
        };
        // The last may have come in the last moment.
        match self.withdraw(round, party)? {
            true => in_vain,
            false => Ok(Some(FOLLOWER)),
        }
    }

    fn arrive(&self, party: Party, deadline: Deadline) -> Result<Arrival> {
        let id = self.structure.id();
        let store = self.store.hurried(deadline);
        self.structure.inside(&store).write(|db| {
            let (round, parties) = self.round(db)?;
            if self.wait_there(db, parties - 1)? {
                self.end_round(db)?;
                return Ok(Arrival::Last);
            }
            let params = [id.into(), party.owner.as_i64().into(), party.ticket.into()];
            db.run(sql::ARRIVE, &params)?;
            Ok(Arrival::In(round))
        })
    }

    /// Whether so many wait. Then each of them is asked whether it lives: the news of a death may not have come yet.
    fn wait_there(&self, db: &Db<'_>, needed: i64) -> Result<bool> {
        let waiting = self.waiting_by_owner(db)?;
        let mut count: i64 = waiting.iter().map(|&(_, threads)| threads).sum();
        if count < needed {
            return Ok(false);
        }
        for (owner, threads) in waiting {
            if !self.store.is_alive(OwnerId::from_i64(owner))? {
                count -= threads; // its rows go when it is buried
            }
        }
        Ok(count >= needed)
    }

    fn end_round(&self, db: &Db<'_>) -> Result<()> {
        let id = self.structure.id();
        db.run(sql::WITHDRAW_ALL, &[id.into()])?;
        db.run(sql::NEXT_ROUND, &[id.into()])?;
        db.ring(self.structure.arrivals());
        Ok(())
    }

    /// Sleeps until the round is over; `None` when the time is up.
    fn wait_out(
        &self,
        round: i64,
        party: Party,
        deadline: Deadline,
    ) -> Result<Option<BarrierWait>> {
        let line = self.structure.arrivals();
        let over = |store: &Store| self.over(store, round, party);
        self.store.wait_for(&self.structure, line, deadline, over)
    }

    fn over(&self, store: &Store, round: i64, party: Party) -> Result<Option<BarrierWait>> {
        let params = [
            self.structure.id().into(),
            party.owner.as_i64().into(),
            party.ticket.into(),
        ];
        let standing = store.read_one(|db| {
            db.query_one(sql::STANDING, &params, |row| {
                Ok((row.int(0)?, row.int(1)?, row.int(2)?))
            })?
            .ok_or_else(|| self.structure.missing(db))
        })?;
        match standing {
            (now, ..) if now != round => Ok(Some(FOLLOWER)),
            (_, 0, _) => Err(taken_for_dead()),
            (.., 0) => Ok(None),
            _ => self.lead(store, round),
        }
    }

    /// Ends the round in which all wait since there are fewer parties, if no other of them was faster.
    fn lead(&self, store: &Store, round: i64) -> Result<Option<BarrierWait>> {
        self.structure.inside(store).write(|db| {
            let (now, parties) = self.round(db)?;
            if now != round {
                return Ok(Some(FOLLOWER));
            }
            if !self.wait_there(db, parties)? {
                return Ok(None);
            }
            self.end_round(db)?;
            Ok(Some(LEADER))
        })
    }

    /// Takes an arrival back; `false` if the round is over, so that it has counted. With all the time that the store allows, since
    /// what is not taken back would count.
    fn withdraw(&self, round: i64, party: Party) -> Result<bool> {
        self.structure.inside(&self.store).write(|db| {
            if self.round(db)?.0 != round {
                return Ok(false);
            }
            let id = self.structure.id();
            let params = [id.into(), party.owner.as_i64().into(), party.ticket.into()];
            db.run(sql::WITHDRAW, &params)?;
            Ok(true)
        })
    }

    pub(crate) fn waiting_by_owner(&self, db: &Db<'_>) -> Result<Vec<(i64, i64)>> {
        db.query(sql::WAITING, &[self.structure.id().into()], |row| {
            Ok((row.int(0)?, row.int(1)?))
        })
    }

    /// The round, and how many must come.
    fn round(&self, db: &Db<'_>) -> Result<(i64, i64)> {
        let id = self.structure.id();
        let round = db.query_one(sql::ROUND, &[id.into()], |row| {
            Ok((row.int(0)?, row.int(1)?))
        })?;
        round.ok_or_else(|| self.structure.missing(db))
    }

    pub(crate) fn recorded(&self) -> Result<u32> {
        let (_, parties) = self.store.read_one(|db| self.round(db))?;
        Ok(u32::try_from(parties).unwrap_or(u32::MAX))
    }

    pub(crate) fn set(&self, parties: u32) -> Result<()> {
        let id = self.structure.id();
        self.structure.inside(&self.store).write(|db| {
            let changed = db.execute(sql::SET_PARTIES, &[i64::from(parties).into(), id.into()])?;
            if changed == 0 {
                return Err(self.structure.missing(db));
            }
            db.ring(self.structure.arrivals());
            Ok(())
        })
    }
}

fn taken_for_dead() -> Error {
    Error::new(
        ErrorKind::Removed,
        "the owner file of this process was removed, so that it was taken for dead and its arrival doesn't count; end the \
         process, and begin anew",
    )
}
