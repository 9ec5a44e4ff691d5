//! Moving the store of a directory to a database: see [`moved`](crate::sqlite::moved) for what is written in which order.

use std::iter;
use std::time::Duration;

use diskette_ipc::{Doorbell, clock, random};
use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result, from_sqlite, removed};
use crate::moving::{self, Meter, Progress, Step};
use crate::postgres::NewPlace;
use crate::sqlite::Sqlite;
use crate::sqlite::catalog;
use crate::sqlite::moved::Moved;
use crate::sqlite::moving::Files;
use crate::sqlite::opening::alone;
use crate::sqlite::writer::Turn;
use crate::store::Store;

const STRUCTURES: &str = "SELECT id FROM structures";

/// A store that has moved; what [`Store::promote`] gives.
#[derive(Debug)]
#[non_exhaustive]
pub struct Promoted {
    /// The store, where it is now.
    pub store: Store,
    /// For how long nobody could write to it.
    pub pause: Duration,
    /// How many rows and large values there are.
    pub rows: u64,
    /// What the values take, encoded, in bytes.
    pub bytes: u64,
}

impl Sqlite {
    pub(crate) fn promote(
        &self,
        address: &str,
        tell: &mut dyn FnMut(&Progress),
    ) -> Result<Promoted> {
        let place = || {
            let to = crate::postgres::shown(address);
            format!("moving {} to {to}", self.path().display())
        };
        self.move_to(address, tell).map_err(|error| error.at(place))
    }

    fn move_to(&self, address: &str, tell: &mut dyn FnMut(&Progress)) -> Result<Promoted> {
        self.must_be_writable()?;
        if self.shard().is_some() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a shard moves with the store that it is part of",
            ));
        }
        self.must_be_here()?;
        let mut meter = Meter::new(tell);
        let intended = Moved::intended(self.path())?;
        let place = self.find_place(address, intended.as_ref())?;
        // The copy names the shards that it has.
        let _tenancies = self.stay_with_all_shards()?;
        let shards = self.all_shards()?;
        self.measure(&shards, &mut meter)?;

        meter.step(Step::Waiting);
        let turn = self.writer().enter(self)?;
        let begun = clock::now();
        let turns = shards.iter().map(|shard| shard.writer().enter(shard));
        let turns = turns.collect::<Result<Vec<_>>>()?;
        if Moved::intended(self.path())? != intended {
            return Err(Error::new(
                ErrorKind::Misuse,
                "another process has tried to move it meanwhile, and was killed: try again",
            ));
        }
        self.copy_into(&place, (&turn, &turns), &shards, &mut meter)?;
        meter.step(Step::Copied);
        let _opening = alone(self.directory(), self.timeout())?;
        self.leave(&turn, &place, &shards)?;
        meter.step(Step::Moved);
        self.tell_moved(turn.connection()?, &shards);
        drop((turns, turn));
        let store = Moved::find(self.path())?.map_or(Ok(None), |moved| self.follow(&moved));
        let pause = clock::now() - begun;
        Ok(Promoted {
            store: store?.ok_or_else(removed)?,
            pause,
            rows: meter.progress.rows,
            bytes: meter.progress.bytes,
        })
    }

    fn find_place(&self, address: &str, intended: Option<&Moved>) -> Result<NewPlace> {
        let again = intended.filter(|intended| intended.address == address);
        let identity = match &again {
            Some(again) => again.identity,
            None => random::number()
                .map_err(|error| Error::io("can't draw a number for the store", error))?,
        };
        NewPlace::find(address, identity, again.is_some(), self.timeout())
    }

    fn measure(&self, shards: &[Sqlite], meter: &mut Meter<'_>) -> Result<()> {
        for part in iter::once(self).chain(shards) {
            let reader = part.readers().lend(part)?;
            moving::measure(&part.files(reader.connection()?), meter)?;
        }
        Ok(())
    }

    /// Steps 1 and 2. Once the store's own tables are committed it is all there: until then a number knows the shards, and nobody
    /// else.
    fn copy_into(
        &self,
        place: &NewPlace,
        (turn, turns): (&Turn<'_>, &[Turn<'_>]),
        shards: &[Sqlite],
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let moved = Moved {
            identity: place.identity(),
            shown: place.shown(),
            address: place.address().to_owned(),
        };
        moved.intend(self.path())?;
        let copy = |meter: &mut Meter<'_>| {
            place.clear()?;
            meter.step(Step::Copying);
            for (shard, turn) in shards.iter().zip(turns) {
                if let Some(of) = shard.shard() {
                    let from = shard.files(turn.connection()?);
                    place.copy_shard(&from, of.set(), of.number(), meter)?;
                }
            }
            place.copy_store(&self.files(turn.connection()?), meter)
        };
        copy(meter).inspect_err(|_| {
            // Else it is asked for again, and finds what it has left.
            if place.clear().is_ok() {
                let _ = Moved::give_up(self.path());
            }
        })
    }

    /// Steps 3 to 5.
    fn leave(&self, turn: &Turn<'_>, place: &NewPlace, shards: &[Sqlite]) -> Result<()> {
        let connection = turn.connection()?;
        let leave = || {
            catalog::set_moved(connection)?;
            self.take_all(connection, shards)?;
            Moved::decide(self.path())
        };
        leave().inspect_err(|_| {
            let stays = Moved::find(self.path()).is_ok_and(|moved| moved.is_none());
            if stays && place.clear().is_ok() {
                let _ = Moved::give_up(self.path());
            }
        })
    }

    /// What is held is held no more.
    fn take_all(&self, connection: &Connection, shards: &[Sqlite]) -> Result<()> {
        let all = connection
            .prepare(STRUCTURES)
            .and_then(|mut all| {
                let ids = all.query_map([], |row| row.get(0))?;
                ids.collect::<Result<Vec<i64>, _>>()
            })
            .map_err(from_sqlite)?;
        for part in iter::once(self).chain(shards) {
            part.tell_to_look();
        }
        all.into_iter().try_for_each(|id| self.tell_removed(id))?;
        self.tell_changed()
    }

    /// Step 6. Who waits looks.
    fn tell_moved(&self, connection: &Connection, shards: &[Sqlite]) {
        let _ = self.take_all(connection, shards);
        if let Ok(bell) = self.bell() {
            (0..Doorbell::LINES).for_each(|line| bell.ring(line));
        }
    }

    fn files<'c>(&'c self, connection: &'c Connection) -> Files<'c> {
        Files {
            connection,
            directory: self.directory(),
        }
    }
}
