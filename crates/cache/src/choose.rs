//! Who is to go, by the policy.

use std::collections::BTreeMap;
use std::vec;

use diskette_store::{Access, Db, Result, Row, Value};

use crate::config::Excess;
use crate::evict::{Going, STEP};
use crate::part::Part;
use crate::policy::Policy;
use crate::sql;

/// At most so many that were used are passed over, one after the other: the next goes all the same.
const SPARED: usize = 64;

/// Who is to go.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) entries: Vec<Going>,
    /// Or there are no others.
    pub(crate) are_enough: bool,
}

impl<A: Access> Part<'_, A> {
    /// Who is to go by the policy, but not `own`.
    pub(crate) fn choose(
        &self,
        db: &Db<'_>,
        policy: Policy,
        excess: Excess,
        own: Option<i64>,
    ) -> Result<Chosen> {
        if excess.is_none() {
            return Ok(Chosen {
                entries: Vec::new(),
                are_enough: true,
            });
        }
        self.inner.settle(db)?;
        match policy.spares_the_used() {
            true => self.sweep(db, policy, excess, own),
            false => self.least(db, policy, excess, own),
        }
    }

    /// By SIEVE's hand, which goes from the oldest to the newest, and again.
    fn sweep(
        &self,
        db: &Db<'_>,
        policy: Policy,
        mut excess: Excess,
        own: Option<i64>,
    ) -> Result<Chosen> {
        let id = self.inner.structure.id().into();
        let start = db.query_one(sql::HAND, &[id], |row| row.int(0))?;
        let (start, places) = (start.unwrap_or(0), self.entries().share().rows());
        let mut victims = Victims::after(db, start.max(places.start), Order::ByPlace(places.end));
        let (mut entries, mut hand, mut spared) = (Vec::new(), start, 0);
        while !excess.is_none()
            && let Some(mut victim) = victims.next()?
        {
            hand = victim.rank;
            if Some(victim.id()) == own {
                continue;
            }
            self.learn(db, policy, &mut victim)?;
            if victim.uses > 0 && spared < SPARED {
                db.run(sql::SPARE, &[victim.id().into()])?;
                spared += 1;
                continue;
            }
            excess.take(&victim.entry);
            entries.push(victim.entry);
        }
        // From the newest it goes on to the oldest: what comes next is to have its time.
        let is_at_the_end = victims.all_are_at(hand)?;
        let next = if is_at_the_end { 0 } else { hand };
        db.run(sql::SET_HAND, &[next.into(), id])?;
        let nothing_to_take = is_at_the_end && start == 0 && entries.is_empty() && spared == 0;
        Ok(Chosen {
            entries,
            are_enough: excess.is_none() || nothing_to_take,
        })
    }

    /// By the least rank. Who has a greater one than is written gets it, and his turn by that.
    fn least(
        &self,
        db: &Db<'_>,
        policy: Policy,
        mut excess: Excess,
        own: Option<i64>,
    ) -> Result<Chosen> {
        let id = self.inner.structure.id().into();
        let mut victims = Victims::after(db, i64::MIN, Order::ByRank(id));
        let (mut entries, mut used) = (Vec::new(), BTreeMap::new());
        while !excess.is_none() {
            let next = victims.peek()?.map(Victim::place);
            let least = match (next, used.first_key_value().map(|(&place, _)| place)) {
                (None, _) if !victims.are_all_read => break,
                (None, None) => break,
                (Some(next), least) if least.is_none_or(|least| next < least) => {
                    let Some(mut victim) = victims.next()? else {
                        break;
                    };
                    if Some(victim.id()) == own {
                        continue;
                    }
                    self.learn(db, policy, &mut victim)?;
                    let rank = policy.rank(victim.uses, victim.stored, victim.used);
                    match rank.filter(|&rank| rank > victim.rank) {
                        Some(rank) => {
                            used.insert((rank, victim.id()), victim.entry);
                            continue;
                        }
                        None => victim.entry,
                    }
                }
                _ => match used.pop_first() {
                    Some((_, entry)) => entry,
                    None => break,
                },
            };
            excess.take(&least);
            entries.push(least);
        }
        let none_left = used.is_empty() && victims.peek()?.is_none() && victims.are_all_read;
        for (rank, id) in used.into_keys() {
            db.run(sql::RANK, &[rank.into(), id.into()])?;
        }
        Ok(Chosen {
            are_enough: excess.is_none() || none_left && entries.is_empty(),
            entries,
        })
    }

    /// What this process has read of it.
    fn learn(&self, db: &Db<'_>, policy: Policy, victim: &mut Victim) -> Result<()> {
        let (id, stored) = (victim.id(), victim.stored);
        let (uses, last) = self.inner.take_down(db, policy, id, victim.uses, stored)?;
        victim.uses = uses;
        victim.used = last.map_or(victim.used, |last| victim.used.max(last));
        Ok(())
    }
}

/// The entries in the order of their ranks or places, and at most [`STEP`] of them. They are read in pages, the first of which is small:
/// mostly one goes where one comes.
struct Victims<'d> {
    db: &'d Db<'d>,
    order: Order,
    page: vec::IntoIter<Victim>,
    /// The rank and the id of the last one read.
    last: (i64, i64),
    read: i64,
    are_all_read: bool,
}

enum Order {
    /// Of the cache with this number.
    ByRank(Value<'static>),
    /// Before this one.
    ByPlace(i64),
}

struct Victim {
    entry: Going,
    /// Or its place, if they go by that.
    rank: i64,
    uses: i64,
    stored: i64,
    used: i64,
}

const FIRST_PAGE: i64 = 16;

impl<'d> Victims<'d> {
    fn after(db: &'d Db<'_>, rank: i64, order: Order) -> Self {
        Victims {
            db,
            order,
            page: Vec::new().into_iter(),
            last: (rank, i64::MAX),
            read: 0,
            are_all_read: false,
        }
    }

    fn next(&mut self) -> Result<Option<Victim>> {
        self.turn()?;
        Ok(self.page.next())
    }

    fn peek(&mut self) -> Result<Option<&Victim>> {
        self.turn()?;
        Ok(self.page.as_slice().first())
    }

    /// Whether there are no others than with this rank.
    fn all_are_at(&mut self, rank: i64) -> Result<bool> {
        self.turn()?;
        let newest = self.page.as_slice().last();
        Ok(self.are_all_read && newest.is_none_or(|newest| newest.rank == rank))
    }

    /// Turns the page at its end, to one that is as long as all before it.
    fn turn(&mut self) -> Result<()> {
        let most = self.read.max(FIRST_PAGE).min(STEP - self.read);
        if !self.page.as_slice().is_empty() || self.are_all_read || most == 0 {
            return Ok(());
        }
        let (rank, id) = self.last;
        let (rank, id, at_most) = (rank.into(), id.into(), most.into());
        let page = match self.order {
            Order::ByRank(cache) => {
                let after = [cache, rank, id, at_most];
                self.db.query(sql::VICTIMS, &after, Victim::of)?
            }
            Order::ByPlace(end) => {
                let after = [rank, end.into(), at_most];
                self.db.query(sql::VICTIMS_IN_ORDER, &after, Victim::of)?
            }
        };
        let count = i64::try_from(page.len()).unwrap_or(most);
        (self.read, self.are_all_read) = (self.read + count, count < most);
        if let Some(last) = page.last() {
            self.last = last.place();
        }
        self.page = page.into_iter();
        Ok(())
    }
}

impl Victim {
    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Victim {
            entry: Going::of(row)?,
            rank: row.int(3)?,
            uses: row.int(4)?,
            stored: row.int(5)?,
            used: row.int(6)?,
        })
    }

    fn id(&self) -> i64 {
        self.entry.place.id
    }

    /// In the order in which they go.
    fn place(&self) -> (i64, i64) {
        (self.rank, self.id())
    }
}
