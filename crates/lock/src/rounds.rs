//! How the parties of a barrier meet: the rows of those who wait, and the one who finds all others there.

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

/// How a party finds the barrier.
enum Arrival {
    /// It is the last: all may go.
    Last,
    /// It waits for the end of this round.
    In(i64),
}

impl Barrier {
    pub(crate) fn pass(&self, deadline: Deadline) -> Result<Option<BarrierWait>> {
        static TICKET: AtomicI64 = AtomicI64::new(1);
        let party = Party {
            owner: self.store.claimant()?,
            ticket: TICKET.fetch_add(1, Ordering::Relaxed),
        };
        let round = match self.arrive(party, deadline) {
            Ok(Arrival::Last) => return Ok(Some(BarrierWait { is_leader: true })),
            Ok(Arrival::In(round)) => round,
            Err(error) if error.is_timeout() && deadline.is_past() => return Ok(None),
            Err(error) => return Err(error),
        };
        let over = self.wait_out(round, party, deadline);
        let in_vain = match over {
            Ok(true) => return Ok(Some(BarrierWait { is_leader: false })),
            Ok(false) => Ok(None),
            Err(error) if error.is_stopped() => Err(error),
            Err(error) => {
                let _ = self.withdraw(round, party);
                return Err(error);
            }
        };
        // The last may have come in the last moment.
        match self.withdraw(round, party)? {
            true => in_vain,
            false => Ok(Some(BarrierWait { is_leader: false })),
        }
    }

    fn arrive(&self, party: Party, deadline: Deadline) -> Result<Arrival> {
        let id = self.structure.id();
        self.store.hurried(deadline).write(|db| {
            let round = self.round(db)?;
            if self.others_alive(db)? + 1 < i64::from(self.parties) {
                let params = [id.into(), party.owner.as_i64().into(), party.ticket.into()];
                db.execute(sql::ARRIVE, &params)?;
                return Ok(Arrival::In(round));
            }
            db.execute(sql::WITHDRAW_ALL, &[id.into()])?;
            db.execute(sql::NEXT_ROUND, &[id.into()])?;
            db.ring(self.structure.arrivals());
            Ok(Arrival::Last)
        })
    }

    /// How many wait. If those are all that were missing, each is asked whether it lives: the news of a death may not have
    /// come yet.
    fn others_alive(&self, db: &Db<'_>) -> Result<i64> {
        let waiting = self.waiting_by_owner(db)?;
        let mut count = waiting.iter().map(|&(_, threads)| threads).sum();
        if count + 1 < i64::from(self.parties) {
            return Ok(count);
        }
        for (owner, threads) in waiting {
            let alive = self.store.owners().is_alive(OwnerId::from_i64(owner));
            if !alive.map_err(|error| Error::io("can't tell whether a party is alive", error))? {
                count -= threads; // its rows go when it is buried
            }
        }
        Ok(count)
    }

    /// Sleeps until the round is over; `false` when the time is up.
    fn wait_out(&self, round: i64, party: Party, deadline: Deadline) -> Result<bool> {
        let line = self.structure.arrivals();
        let over = |_: &Store| Ok(self.is_over(round, party)?.then_some(()));
        let waited = self.store.wait_for(&self.structure, line, deadline, over);
        Ok(waited?.is_some())
    }

    fn is_over(&self, round: i64, party: Party) -> Result<bool> {
        let params = [
            self.structure.id().into(),
            party.owner.as_i64().into(),
            party.ticket.into(),
        ];
        let standing = self.store.read_one(|db| {
            db.query_one(sql::STANDING, &params, |row| Ok((row.int(0)?, row.int(1)?)))?
                .ok_or_else(|| self.structure.missing(db))
        })?;
        match standing {
            (now, _) if now != round => Ok(true),
            (_, 0) => Err(taken_for_dead()),
            _ => Ok(false),
        }
    }

    /// Takes an arrival back; `false` if the round is over, so that it has counted. With all the time that the store allows, since
    /// what is not taken back would count.
    fn withdraw(&self, round: i64, party: Party) -> Result<bool> {
        self.store.write(|db| {
            if self.round(db)? != round {
                return Ok(false);
            }
            let id = self.structure.id();
            let params = [id.into(), party.owner.as_i64().into(), party.ticket.into()];
            db.execute(sql::WITHDRAW, &params)?;
            Ok(true)
        })
    }

    pub(crate) fn waiting_by_owner(&self, db: &Db<'_>) -> Result<Vec<(i64, i64)>> {
        db.query(sql::WAITING, &[self.structure.id().into()], |row| {
            Ok((row.int(0)?, row.int(1)?))
        })
    }

    fn round(&self, db: &Db<'_>) -> Result<i64> {
        let id = self.structure.id();
        let round = db.query_one(sql::ROUND, &[id.into()], |row| row.int(0))?;
        round.ok_or_else(|| self.structure.missing(db))
    }

    pub(crate) fn recorded(&self) -> Result<i64> {
        let id = self.structure.id();
        self.store.read_one(|db| {
            db.query_one(sql::PARTIES, &[id.into()], |row| row.int(0))?
                .ok_or_else(|| self.structure.missing(db))
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
