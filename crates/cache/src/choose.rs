//! Who is to go, by the policy.

use std::vec;

use diskette_store::{Access, Db, Result, Value};

use crate::config::{Config, Excess};
use crate::evict::{Going, STEP};
use crate::part::Part;
use crate::sql;

/// At most so many that were used are passed over, one after the other: the next goes all the same.
const SPARED: usize = 64;

/// Who is to go.
#[derive(Debug, Default)]
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
        config: &Config,
        mut excess: Excess,
        own: Option<i64>,
    ) -> Result<Chosen> {
        let mut entries = Vec::new();
        if excess.is_none() {
            return Ok(Chosen {
                entries,
                are_enough: true,
            });
        }
        self.inner.settle(db)?;
        let id = self.inner.structure.id().into();
        let has_hand = config.policy.spares_the_used();
        let start = match has_hand {
            true => db.query_one(sql::HAND, &[id], |row| row.int(0))?,
            false => None,
        };
        let start = start.unwrap_or(i64::MIN);
        let mut victims = Victims::after(db, id, start);
        let (mut hand, mut spared) = (start, 0);
        while !excess.is_none()
            && let Some(Victim { entry, uses, rank }) = victims.next()?
        {
            hand = rank;
            if Some(entry.place.id) == own {
                continue;
            }
            if has_hand && uses > 0 && spared < SPARED {
                db.run(sql::SPARE, &[entry.place.id.into()])?;
                spared += 1;
                continue;
            }
            excess.take(&entry);
            entries.push(entry);
        }
        let none_left = victims.none_left()?;
        let nothing_to_take = none_left && start == i64::MIN && entries.is_empty() && spared == 0;
        if has_hand {
            // From the newest it goes on to the oldest: what comes next is to have its time.
            let next = if none_left { i64::MIN } else { hand };
            db.run(sql::SET_HAND, &[next.into(), id])?;
        }
        Ok(Chosen {
            entries,
            are_enough: excess.is_none() || nothing_to_take,
        })
    }
}

/// The entries in the order of their ranks, and at most [`STEP`] of them. They are read in pages, the first of which is small: mostly
/// one goes where one comes.
struct Victims<'d> {
    db: &'d Db<'d>,
    cache: Value<'static>,
    page: vec::IntoIter<Victim>,
    /// The rank and the id of the last one read.
    last: (i64, i64),
    read: i64,
    are_all_read: bool,
}

struct Victim {
    entry: Going,
    uses: i64,
    rank: i64,
}

const FIRST_PAGE: i64 = 8;

impl<'d> Victims<'d> {
    fn after(db: &'d Db<'_>, cache: Value<'static>, rank: i64) -> Self {
        Victims {
            db,
            cache,
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

    fn none_left(&mut self) -> Result<bool> {
        self.turn()?;
        Ok(self.are_all_read && self.page.as_slice().is_empty())
    }

    /// Turns the page at its end, to one that is as long as all before it.
    fn turn(&mut self) -> Result<()> {
        let most = self.read.max(FIRST_PAGE).min(STEP - self.read);
        if !self.page.as_slice().is_empty() || self.are_all_read || most == 0 {
            return Ok(());
        }
        let (rank, id) = self.last;
        let after = [self.cache, rank.into(), id.into(), most.into()];
        let page = self.db.query(sql::VICTIMS, &after, |row| {
            Ok(Victim {
                entry: Going::of(row)?,
                uses: row.int(3)?,
                rank: row.int(4)?,
            })
        })?;
        let count = i64::try_from(page.len()).unwrap_or(most);
        (self.read, self.are_all_read) = (self.read + count, count < most);
        if let Some(last) = page.last() {
            self.last = (last.rank, last.entry.place.id);
        }
        self.page = page.into_iter();
        Ok(())
    }
}
