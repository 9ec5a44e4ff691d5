//! What threads of any machine hold and wait for: rows of two tables. Those of the dead go with their estates.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use diskette_ipc::{Custody, Deadline, Holder, Link, OwnerId, Party, fork};
use tokio_postgres::Row;

use crate::access::Access;
use crate::db::Db;
use crate::error::Result;
use crate::hold::Taken;
use crate::postgres::Postgres;
use crate::postgres::work::{Manner, To, Work};
use crate::row::Value;
use crate::store::Store;
use crate::structure::{Structure, arrivals, departures};
use crate::waiting::Attempt;

const MAKE: &str =
    "INSERT INTO slots (structure, most) VALUES ($1, $2) ON CONFLICT (structure) DO NOTHING";
const SET_LIMIT: &str = "UPDATE slots SET most = $2 WHERE structure = $1";
const LIMIT: &str = "SELECT most FROM slots WHERE structure = $1";
const FREE: &str = "SELECT most - (SELECT count(*) FROM holds WHERE holds.structure = slots.structure) FROM slots \
    WHERE structure = $1";
/// Takes the first `$2` free ones, if there are so many, and nobody has waited since before the arrival `$3`. They have one token.
const TAKE: &str = "WITH held AS (SELECT count(*) AS n FROM holds WHERE structure = $1), this AS (SELECT nextval('tokens') AS token, \
        CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS since), \
    free AS (SELECT slot FROM held, generate_series(0, held.n + $2 - 1) AS all_of(slot) \
        WHERE NOT EXISTS (SELECT 1 FROM holds WHERE holds.structure = $1 AND holds.slot = all_of.slot) ORDER BY slot LIMIT $2) \
    INSERT INTO holds (structure, slot, token, owner, thread, name, since, custody) \
    SELECT $1, slot, token, $4, $5, $6, since, $7 FROM free, this, held \
    WHERE held.n + $2 <= (SELECT most FROM slots WHERE structure = $1) \
    AND NOT EXISTS (SELECT 1 FROM waits WHERE waits.structure = $1 AND waits.arrival < $3) RETURNING slot, token";
const HELD: &str = "SELECT count(*) FROM holds WHERE structure = $1 AND token = $2 \
    AND EXISTS (SELECT 1 FROM slots WHERE slots.structure = $1)";
const GIVE: &str = "DELETE FROM holds WHERE structure = $1 AND token = $2";
const DISOWN: &str = "UPDATE holds SET custody = 0 WHERE structure = $1 AND token = $2";
/// Those of the structure can't be given back while the transaction is open.
const SHOW: &str = "SELECT 1 FROM holds WHERE structure = $1 AND token = $2 FOR KEY SHARE";
const HOLDERS: &str = "SELECT owner, name, count(*), max(token), since FROM holds WHERE structure = $1 \
    GROUP BY owner, thread, name, since ORDER BY since, max(token)";
const COME: &str =
    "INSERT INTO waits (structure, owner, thread, name) VALUES ($1, $2, $3, $4) RETURNING arrival";
const GO: &str = "DELETE FROM waits WHERE arrival = $1";
/// The threads that hold some of what the structure has by themselves, and what each of them waits for.
const HELD_BY: &str = "SELECT holds.owner, holds.thread, max(holds.name), max(coalesce(waits.structure, -1)) FROM holds \
    LEFT JOIN waits ON waits.owner = holds.owner AND waits.thread = holds.thread \
    WHERE holds.structure = $1 AND holds.custody = 1 GROUP BY holds.owner, holds.thread";
const FORGET: [&str; 2] = [
    "DELETE FROM holds WHERE structure = $1",
    "DELETE FROM waits WHERE structure = $1",
];
const OF_THE_DEAD: &str = "SELECT structure FROM holds WHERE owner = $1 UNION SELECT structure FROM waits WHERE owner = $1";
const BURY: [&str; 2] = [
    "DELETE FROM holds WHERE owner = $1",
    "DELETE FROM waits WHERE owner = $1",
];

/// After all who wait.
const LAST: i64 = i64::MAX;

/// A chain of those who wait for each other is followed no further; rows of a damaged database may lead anywhere.
const FARTHEST: usize = 1000;

/// What a structure has for threads to hold.
#[derive(Clone)]
pub(crate) struct Slots {
    postgres: Postgres,
    structure: Arc<Structure>,
}

/// What a thread has taken; given back when dropped.
pub(crate) struct Hold {
    slots: Slots,
    owner: OwnerId,
    /// Those that were taken, all of which have one token.
    taken: Vec<u32>,
    token: u64,
    generation: u64,
    given: bool,
}

/// A place in the queue; given up when dropped.
struct Waiting<'s> {
    slots: &'s Slots,
    arrival: i64,
}

impl Slots {
    pub(crate) fn new(postgres: &Postgres, structure: Arc<Structure>, limit: u32) -> Result<Self> {
        let slots = Slots {
            postgres: postgres.clone(),
            structure,
        };
        let row = [slots.id(), i64::from(limit).into()];
        let connection = postgres.lend_another()?;
        connection.execute(MAKE, &row)?;
        drop(connection);
        Ok(slots)
    }

    pub(crate) fn limit(&self) -> Result<u32> {
        self.number(LIMIT)
    }

    pub(crate) fn free(&self) -> Result<u32> {
        self.number(FREE)
    }

    pub(crate) fn set_limit(&self, limit: u32) -> Result<()> {
        self.change(SET_LIMIT, &[self.id(), i64::from(limit).into()])
            .map(drop)
    }

    pub(crate) fn holders(&self) -> Result<Vec<Holder>> {
        let rows = self.postgres.aside(HOLDERS, &[self.id()])?;
        let holders = rows.iter().map(|row| {
            let owner = OwnerId::from_i64(row.get(0));
            let mut party = self.postgres.party_of(owner).unwrap_or_default();
            party.thread = row.get(1);
            Ok(Holder::new(
                party,
                u32::try_from(row.get::<_, i64>(2)).unwrap_or(u32::MAX),
                UNIX_EPOCH + Duration::from_micros(row.get::<_, i64>(4).unsigned_abs()),
                row.get::<_, i64>(3).cast_unsigned(),
                self.postgres.is_alive(owner)?,
            ))
        });
        holders.collect()
    }

    /// Takes `n` slots if they are free and nobody waits.
    pub(crate) fn try_take(&self, n: u32, custody: Custody) -> Result<Option<Hold>> {
        self.take_after(n, custody, LAST)
    }

    /// Takes `n` slots in the order of arrival.
    pub(crate) fn take(
        &self,
        store: &Store,
        n: u32,
        deadline: Deadline,
        custody: Custody,
    ) -> Result<Taken> {
        let waiting = self.come()?;
        let line = self.structure.arrivals();
        let taken = store.wait_by_time(&self.structure, line, deadline, |_| {
            if let Some(hold) = self.take_after(n, custody, waiting.arrival)? {
                return Ok(Attempt::Done(Taken::Held(hold.into())));
            }
            if n > self.limit()? {
                return Ok(Attempt::Done(Taken::TooMany));
            }
            Ok(match self.leave_a_circle(custody, waiting.arrival)? {
                Some(circle) => Attempt::Done(Taken::Deadlock(circle)),
                None => Attempt::NotYet,
            })
        });
        match taken {
            Ok(taken) => Ok(taken.unwrap_or(Taken::TimedOut)),
            Err(error) if error.is_stopped() => Ok(Taken::Stopped),
            Err(error) => Err(error),
        }
    }

    fn take_after(&self, n: u32, custody: Custody, arrival: i64) -> Result<Option<Hold>> {
        let owner = self.postgres.claimant()?;
        let name = Party::me().thread;
        let row = [
            self.id(),
            i64::from(n).into(),
            arrival.into(),
            owner.as_i64().into(),
            this_thread().into(),
            name.as_str().into(),
            i64::from(custody == Custody::Thread).into(),
        ];
        let taken = self.in_turn(To::Slots(self.structure.id()), |work| {
            work.query(TAKE, &row)
        })?;
        let Some(first) = taken.first() else {
            return Ok(None);
        };
        let slot = |row: &Row| u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX);
        Ok(Some(Hold {
            slots: self.clone(),
            owner,
            taken: taken.iter().map(slot).collect(),
            token: first.get::<_, i64>(1).cast_unsigned(),
            generation: fork::generation(),
            given: false,
        }))
    }

    fn come(&self) -> Result<Waiting<'_>> {
        let (owner, name) = (self.postgres.claimant()?, Party::me().thread);
        let row = [
            self.id(),
            owner.as_i64().into(),
            this_thread().into(),
            name.as_str().into(),
        ];
        let come = self.in_turn(To::Slots(self.structure.id()), |work| {
            work.query(COME, &row)
        })?;
        Ok(Waiting {
            slots: self,
            arrival: come.first().map_or(0, |row| row.get(0)),
        })
    }

    /// Those who wait for each other, from this thread on, if it would be one of them: then it waits no more. One thread at a
    /// time looks, so that one of the circle is told.
    fn leave_a_circle(&self, custody: Custody, arrival: i64) -> Result<Option<Vec<Link>>> {
        let none = |sql: &str, params: &[Value<'_>]| self.postgres.aside(sql, params);
        if custody == Custody::Any || self.circle(none)?.is_none() {
            return Ok(None);
        }
        self.in_turn(To::Circles, |work| {
            let circle = self.circle(|sql, params| work.query(sql, params))?;
            if circle.is_some() {
                work.execute(GO, &[arrival.into()])?;
            }
            Ok(circle)
        })
    }

    fn circle(
        &self,
        query: impl Fn(&str, &[Value<'_>]) -> Result<Vec<Row>>,
    ) -> Result<Option<Vec<Link>>> {
        let me = (self.postgres.claimant()?.as_i64(), this_thread());
        // From each structure that was reached, and how.
        let mut reached = vec![(
            self.structure.id(),
            vec![Link::new(Party::me(), self.structure.id())],
        )];
        let mut next = 0;
        while let Some((structure, links)) = reached.get(next).cloned() {
            next += 1;
            for row in query(HELD_BY, &[structure.into()])? {
                let who: (i64, i64) = (row.get(0), row.get(1));
                if who == me {
                    return Ok(Some(links));
                }
                let waits_for: i64 = row.get(3);
                let is_new = reached.iter().all(|&(known, _)| known != waits_for);
                if waits_for >= 0 && is_new && reached.len() < FARTHEST {
                    let owner = OwnerId::from_i64(who.0);
                    let mut party = self.postgres.party_of(owner).unwrap_or_default();
                    party.thread = row.get(2);
                    let mut links = links.clone();
                    links.push(Link::new(party, waits_for));
                    reached.push((waits_for, links));
                }
            }
        }
        Ok(None)
    }

    fn number(&self, sql: &str) -> Result<u32> {
        let rows = self.postgres.aside(sql, &[self.id()])?;
        let number = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        Ok(u32::try_from(number).unwrap_or(0))
    }

    /// Changes something for which others may wait; how many rows?
    fn change(&self, sql: &str, params: &[Value<'_>]) -> Result<usize> {
        let line = self.structure.arrivals();
        let changed = self.in_turn(To::Slots(self.structure.id()), |work| {
            work.ring(line);
            work.execute(sql, params)
        });
        self.postgres.ring(&[line], &[]);
        changed
    }

    /// In a turn of its own, whatever this thread has open.
    fn in_turn<R>(&self, to: To, run: impl FnOnce(&Work<'_>) -> Result<R>) -> Result<R> {
        let connection = self.postgres.lend_another()?;
        let turn = self.postgres.turn(to);
        let one = matches!(to, To::Slots(_));
        let manner = if one {
            Manner::WriteOne(turn)
        } else {
            Manner::Write(turn)
        };
        let work = Work::new(&connection, manner);
        let result = run(&work)?;
        work.commit()?;
        Ok(result)
    }

    fn id(&self) -> Value<'static> {
        self.structure.id().into()
    }
}

impl Hold {
    pub(crate) fn is_held(&self) -> bool {
        self.is_mine()
            && self
                .slots
                .postgres
                .aside(HELD, &self.row())
                .is_ok_and(|rows| {
                    let held = rows.first().map_or(0, |row| row.get::<_, i64>(0));
                    usize::try_from(held) == Ok(self.taken.len())
                })
    }

    /// Whether it is held, and will be until the transaction ends.
    pub(crate) fn is_held_for(&self, db: &Db<'_>) -> Result<bool> {
        Ok(self.is_mine() && db.query(SHOW, &self.row(), |_| Ok(()))?.len() == self.taken.len())
    }

    pub(crate) fn token(&self) -> u64 {
        self.token
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = (u32, u64)> {
        self.taken.iter().map(|&slot| (slot, self.token))
    }

    /// Makes it the process's; whether it still was held.
    pub(crate) fn belong_to_process(&self) -> bool {
        self.is_mine() && self.change(DISOWN)
    }

    /// Whether it still was held.
    pub(crate) fn give_back(mut self) -> bool {
        self.give()
    }

    fn give(&mut self) -> bool {
        let is_mine = self.is_mine();
        self.given = true;
        is_mine && self.change(GIVE)
    }

    fn change(&self, sql: &str) -> bool {
        let changed = self.slots.change(sql, &self.row());
        changed.is_ok_and(|rows| rows == self.taken.len())
    }

    fn row(&self) -> [Value<'static>; 2] {
        [self.slots.id(), self.token.cast_signed().into()]
    }

    /// Whether this process still is who has taken it: no forked child, and with the same session.
    fn is_mine(&self) -> bool {
        !self.given
            && self.generation == fork::generation()
            && self.slots.postgres.is_still(self.owner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.give();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // The next in the queue may have waited for this one only.
        let _ = self.slots.change(GO, &[self.arrival.into()]);
    }
}

impl Postgres {
    /// Wakes those who wait for something of it.
    pub(crate) fn tell_removed(&self, structure: i64) {
        let lines = [arrivals(structure), departures(structure)];
        self.ring(&lines, &lines);
    }

    /// A statement by itself that reads, whatever this thread has open.
    fn aside(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let connection = self.lend_another()?;
        connection.query(sql, params)
    }

    /// What the dead held is free, and those who wait for it are woken.
    pub(crate) fn free_what_was_held(&self, owner: OwnerId) -> Result<()> {
        let store = self.store();
        let of_owner = [owner.as_i64().into()];
        let held = |db: &Db<'_>| db.query(OF_THE_DEAD, &of_owner, |row| row.int(0));
        if store.read_one(held)?.is_empty() {
            return Ok(());
        }
        store.write(|db| {
            for structure in held(db)? {
                db.ring(arrivals(structure));
            }
            BURY.iter()
                .try_for_each(|sql| db.execute(sql, &of_owner).map(drop))
        })
    }
}

/// Nobody holds nor waits for anything of a structure that was removed.
pub(crate) fn forget_holds(db: &Db<'_>, structure: i64) -> Result<()> {
    FORGET
        .iter()
        .try_for_each(|sql| db.execute(sql, &[structure.into()]).map(drop))
}

/// A number of this thread in its process.
fn this_thread() -> i64 {
    use std::sync::atomic::{AtomicI64, Ordering};
    static NEXT: AtomicI64 = AtomicI64::new(1);
    thread_local! {
        static NUMBER: i64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|&number| number)
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hold").field(&self.token).finish()
    }
}
