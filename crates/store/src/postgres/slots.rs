//! What threads of any machine hold and wait for: rows of two tables. Those of the dead go with their estates.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use diskette_ipc::{Custody, Deadline, Holder, Link, OwnerId, Party, clock, fork};

use crate::access::Access;
use crate::db::{Db, Row, Value};
use crate::error::Result;
use crate::holdable::Taken;
use crate::postgres::Postgres;
use crate::store::Store;
use crate::structure::Structure;
use crate::waiting::Attempt;

const MAKE: &str =
    "INSERT INTO slots (structure, most) VALUES ($1, $2) ON CONFLICT (structure) DO NOTHING";
const SET_LIMIT: &str = "INSERT INTO slots (structure, most) VALUES ($1, $2) \
    ON CONFLICT (structure) DO UPDATE SET most = excluded.most";
const LIMIT: &str = "SELECT most FROM slots WHERE structure = $1";
const FREE: &str = "SELECT most - (SELECT count(*) FROM holds WHERE holds.structure = slots.structure) FROM slots \
    WHERE structure = $1";
/// Takes `$2` free ones, if there are so many, and nobody has waited since before the arrival `$3`.
const TAKE: &str = "WITH free AS (SELECT slot FROM generate_series(0, (SELECT most FROM slots WHERE structure = $1) - 1) AS s(slot) \
    WHERE NOT EXISTS (SELECT 1 FROM holds WHERE holds.structure = $1 AND holds.slot = s.slot) ORDER BY slot LIMIT $2) \
    INSERT INTO holds (structure, slot, token, owner, thread, name, since, custody) \
    SELECT $1, slot, nextval('tokens'), $4, $5, $6, $7, $8 FROM free WHERE (SELECT count(*) FROM free) = $2 \
    AND NOT EXISTS (SELECT 1 FROM waits WHERE waits.structure = $1 AND waits.arrival < $3) RETURNING slot, token";
const IS_HELD: &str = "SELECT 1 FROM holds WHERE structure = $1 AND slot = $2 AND token = $3";
const GIVE: &str = "DELETE FROM holds WHERE structure = $1 AND slot = $2 AND token = $3";
const DISOWN: &str =
    "UPDATE holds SET custody = 0 WHERE structure = $1 AND slot = $2 AND token = $3";
const HOLDERS: &str = "SELECT owner, name, count(*), max(token), since FROM holds WHERE structure = $1 \
    GROUP BY owner, thread, name, since ORDER BY since";
const COME: &str =
    "INSERT INTO waits (structure, owner, thread, name) VALUES ($1, $2, $3, $4) RETURNING arrival";
const GO: &str = "DELETE FROM waits WHERE arrival = $1";
/// The threads that hold some of what the structure has by themselves, and what each of them waits for.
const HELD_BY: &str = "SELECT holds.owner, holds.thread, max(holds.name), max(coalesce(waits.structure, -1)) FROM holds \
    LEFT JOIN waits ON waits.owner = holds.owner AND waits.thread = holds.thread \
    WHERE holds.structure = $1 AND holds.custody = 1 GROUP BY holds.owner, holds.thread";
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
    /// The slots, and the tokens that go with them.
    tokens: Vec<(u32, u64)>,
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
        slots.write(|db| db.execute(MAKE, &row).map(drop))?;
        Ok(slots)
    }

    pub(crate) fn limit(&self) -> Result<u32> {
        self.number(LIMIT)
    }

    pub(crate) fn free(&self) -> Result<u32> {
        self.number(FREE)
    }

    pub(crate) fn set_limit(&self, limit: u32) -> Result<()> {
        self.write(|db| {
            db.ring(self.structure.arrivals());
            let row = [self.id(), i64::from(limit).into()];
            db.execute(SET_LIMIT, &row).map(drop)
        })
    }

    pub(crate) fn holders(&self) -> Result<Vec<Holder>> {
        let store = self.postgres.store();
        let found = store.read_one(|db| {
            db.query(HOLDERS, &[self.id()], |row| {
                let (owner, name) = (OwnerId::from_i64(row.int(0)?), row.text(1)?.to_owned());
                Ok((owner, name, row.int(2)?, row.int(3)?, row.int(4)?))
            })
        })?;
        let holders = found
            .into_iter()
            .map(|(owner, thread, permits, token, since)| {
                let mut party = self.postgres.party_of(owner).unwrap_or_default();
                party.thread = thread;
                Ok(Holder::new(
                    party,
                    u32::try_from(permits).unwrap_or(u32::MAX),
                    UNIX_EPOCH + Duration::from_micros(since.unsigned_abs()),
                    token.cast_unsigned(),
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
            Ok(match self.circle(custody)? {
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
        let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let row = [
            self.id(),
            i64::from(n).into(),
            arrival.into(),
            owner.as_i64().into(),
            this_thread().into(),
            name.as_str().into(),
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX).into(),
            i64::from(custody == Custody::Thread).into(),
        ];
        let taken = |row: &Row<'_>| {
            let slot = u32::try_from(row.int(0)?).unwrap_or(u32::MAX);
            Ok((slot, row.int(1)?.cast_unsigned()))
        };
        let tokens = self.write(|db| db.query(TAKE, &row, taken))?;
        Ok((!tokens.is_empty()).then(|| Hold {
            slots: self.clone(),
            owner,
            tokens,
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
        let arrival = self.write(|db| db.query_one(COME, &row, |row| row.int(0)))?;
        Ok(Waiting {
            slots: self,
            arrival: arrival.unwrap_or_default(),
        })
    }

    /// Those who wait for each other, from this thread on, if it would be one of them.
    fn circle(&self, custody: Custody) -> Result<Option<Vec<Link>>> {
        if custody == Custody::Any {
            return Ok(None);
        }
        let store = self.postgres.store();
        let me = (self.postgres.claimant()?.as_i64(), this_thread());
        // From each structure that was reached, and how.
        let mut reached = vec![(
            self.structure.id(),
            vec![Link::new(Party::me(), self.structure.id())],
        )];
        let mut next = 0;
        while let Some((structure, links)) = reached.get(next).cloned() {
            next += 1;
            let held_by = store.read_one(|db| {
                db.query(HELD_BY, &[structure.into()], |row| {
                    let who = (row.int(0)?, row.int(1)?);
                    Ok((who, row.text(2)?.to_owned(), row.int(3)?))
                })
            })?;
            for (who, thread, waits_for) in held_by {
                if who == me {
                    return Ok(Some(links));
                }
                let is_new = reached.iter().all(|&(known, _)| known != waits_for);
                if waits_for >= 0 && is_new && reached.len() < FARTHEST {
                    let mut party = self
                        .postgres
                        .party_of(OwnerId::from_i64(who.0))
                        .unwrap_or_default();
                    party.thread = thread;
                    let mut links = links.clone();
                    links.push(Link::new(party, waits_for));
                    reached.push((waits_for, links));
                }
            }
        }
        Ok(None)
    }

    fn number(&self, sql: &str) -> Result<u32> {
        let store = self.postgres.store();
        let number = store.read_one(|db| db.query_one(sql, &[self.id()], |row| row.int(0)))?;
        Ok(number
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0))
    }

    fn write<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        let store = self.postgres.store();
        self.structure.inside(&store).write_one(operation)
    }

    fn id(&self) -> Value<'static> {
        self.structure.id().into()
    }
}

impl Hold {
    pub(crate) fn is_held(&self) -> bool {
        let store = self.slots.postgres.store();
        self.is_mine()
            && self.tokens.iter().all(|&(slot, token)| {
                let row = self.row(slot, token);
                let found = store.read_one(|db| db.query_one(IS_HELD, &row, |_| Ok(())));
                matches!(found, Ok(Some(())))
            })
    }

    pub(crate) fn tokens(&self) -> &[(u32, u64)] {
        &self.tokens
    }

    /// Makes it the process's; whether it still was held.
    pub(crate) fn belong_to_process(&self) -> bool {
        self.is_mine() && self.each(DISOWN).is_ok_and(|held| held)
    }

    /// Whether it still was held.
    pub(crate) fn give_back(mut self) -> bool {
        self.give()
    }

    fn give(&mut self) -> bool {
        if std::mem::replace(&mut self.given, true) || !self.is_mine_still() {
            return false;
        }
        self.each(GIVE).is_ok_and(|held| held)
    }

    fn each(&self, sql: &str) -> Result<bool> {
        self.slots.write_all(|db| {
            db.ring(self.slots.structure.arrivals());
            let mut all = true;
            for &(slot, token) in &self.tokens {
                all &= db.execute(sql, &self.row(slot, token))? == 1;
            }
            Ok(all)
        })
    }

    fn row(&self, slot: u32, token: u64) -> [Value<'static>; 3] {
        [
            self.slots.id(),
            i64::from(slot).into(),
            token.cast_signed().into(),
        ]
    }

    fn is_mine(&self) -> bool {
        !self.given && self.is_mine_still()
    }

    /// Whether this process still is who has taken it: no forked child, and with the same session.
    fn is_mine_still(&self) -> bool {
        self.generation == fork::generation() && self.slots.postgres.is_still(self.owner)
    }
}

impl Slots {
    fn write_all<R>(&self, operation: impl FnOnce(&Db<'_>) -> Result<R>) -> Result<R> {
        let store = self.postgres.store();
        self.structure.inside(&store).write(operation)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.given || !self.is_mine_still() {
            return;
        }
        let postgres = self.slots.postgres.clone();
        let hold = Hold {
            slots: self.slots.clone(),
            owner: self.owner,
            tokens: std::mem::take(&mut self.tokens),
            generation: self.generation,
            given: false,
        };
        self.given = true;
        postgres.store().when_free(move |_| {
            hold.give_back();
        });
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // The next in the queue may have waited for this one only.
        let _ = self.slots.write(|db| {
            db.ring(self.slots.structure.arrivals());
            db.execute(GO, &[self.arrival.into()])
        });
    }
}

impl Postgres {
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
                db.ring(crate::structure::arrivals(structure));
            }
            BURY.iter()
                .try_for_each(|sql| db.execute(sql, &of_owner).map(drop))
        })
    }
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
        f.debug_tuple("Hold").field(&self.tokens).finish()
    }
}
