//! Moving the store of a directory to a database: see [`moved`](crate::sqlite::moved) for what is written in which order.

use std::iter;
use std::time::Duration;

use diskette_ipc::{Doorbell, FileLock, Mode, clock, random};
use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result, from_sqlite, removed};
use crate::moving::{self, Meter, Progress, Step};
use crate::postgres::NewPlace;
use crate::sqlite::Sqlite;
use crate::sqlite::catalog;
use crate::sqlite::moved::Moved;
use crate::sqlite::moving::{Files, Reach};
use crate::sqlite::opening::alone;
use crate::sqlite::writer::Turn;
use crate::store::Store;

const STRUCTURES: &str = "SELECT id FROM structures";

/// Who has to bring over no more bytes than this need not do it while others write.
const LITTLE: u64 = 4 * 1024 * 1024;

/// How often it copies anew, as others have made shards meanwhile.
const ATTEMPTS: usize = 10;

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
        let _mover = self.be_the_one_who_moves()?;
        self.must_be_here()?;
        let mut place = self.find_place(address)?;
        let moved = Moved {
            identity: place.identity(),
            shown: place.shown(),
            address: place.address().to_owned(),
        };
        moved.intend(self.path())?;
        let moved = self.move_into(&mut place, &mut Meter::new(tell));
        moved.inspect_err(|_| {
            // Else it is asked for again, and finds what it has left.
            let stays = Moved::find(self.path()).is_ok_and(|moved| moved.is_none());
            if stays && place.clear().is_ok() {
                let _ = Moved::give_up(self.path());
            }
        })
    }

    fn be_the_one_who_moves(&self) -> Result<FileLock> {
        let failed = |error| Error::io("can't lock the move", error);
        let lock = FileLock::open(self.directory().lock("moving")).map_err(failed)?;
        match lock.try_lock(Mode::Exclusive).map_err(failed)? {
            true => Ok(lock),
            false => Err(Error::new(
                ErrorKind::Misuse,
                "it is being moved already: wait until that has ended",
            )),
        }
    }

    fn find_place(&self, address: &str) -> Result<NewPlace> {
        let again = Moved::intended(self.path())?.filter(|it| it.address == address);
        let identity = match &again {
            Some(again) => again.identity,
            None => random::number()
                .map_err(|error| Error::io("can't draw a number for the store", error))?,
        };
        NewPlace::find(address, identity, again.is_some(), self.timeout())
    }

    /// Steps 2 to 7.
    fn move_into(&self, place: &mut NewPlace, meter: &mut Meter<'_>) -> Result<Promoted> {
        place.clear()?;
        self.measure(meter)?;
        for _ in 0..ATTEMPTS {
            // The copy names the shards that it has.
            let _tenancies = self.stay_with_all_shards()?;
            let shards = self.all_shards()?;
            self.go_in_rounds(place, &shards, meter)?;
            meter.step(Step::Waiting);
            let turn = self.writer().enter(self)?;
            let begun = clock::now();
            // From here on nobody makes a shard.
            let _opening = alone(self.directory(), self.timeout())?;
            if !self.commons().are_all_shards(&shards)? {
                continue;
            }
            meter.step(Step::CatchingUp);
            let turns = self.catch_up(place, &turn, &shards, meter)?;
            meter.step(Step::Copied);
            catalog::set_moved(turn.connection()?)?;
            self.take_all(turn.connection()?, &shards)?;
            Moved::decide(self.path())?;
            meter.step(Step::Moved);
            self.tell_moved(turn.connection()?, &shards);
            drop((turns, turn));
            let store = Moved::find(self.path())?.map_or(Ok(None), |moved| self.follow(&moved));
            return Ok(Promoted {
                store: store?.ok_or_else(removed)?,
                pause: clock::now() - begun,
                rows: meter.progress.rows,
                bytes: meter.progress.bytes,
            });
        }
        Err(Error::new(
            ErrorKind::Misuse,
            format!(
                "it was copied {ATTEMPTS} times, and others had made new shards each time before they could be made to wait; it stays as \
                 it is: keep them from making structures that are spread over shards until it has moved, and try again"
            ),
        ))
    }

    fn measure(&self, meter: &mut Meter<'_>) -> Result<()> {
        let shards = self.all_shards()?;
        iter::once(self).chain(&shards).try_for_each(|part| {
            let measured = moving::measure(&part.files(Reach::Lent(part)), meter);
            measured.or_else(|error| part.unless_it_is_gone(error))
        })
    }

    /// In rounds, as long as each has much less to do than the one before: the rest is for the pause.
    fn go_in_rounds(
        &self,
        place: &mut NewPlace,
        shards: &[Sqlite],
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        let mut before = u64::MAX;
        loop {
            meter.step(Step::Copying);
            let mut copied = 0;
            for part in iter::once(self).chain(shards) {
                let _files = part.keep_files()?;
                match place.go(&part.files(Reach::Lent(part)), part.shard(), meter) {
                    Ok(bytes) => copied += bytes,
                    Err(error) => {
                        part.unless_it_is_gone(error)?;
                        place.forget(part.shard())?;
                    }
                }
            }
            meter.is_all(place.sum());
            if copied < LITTLE || copied > before / 2 {
                return Ok(());
            }
            before = copied;
        }
    }

    /// Nobody writes any more, to the shards neither once they come in turn.
    fn catch_up<'s>(
        &self,
        place: &mut NewPlace,
        turn: &Turn<'_>,
        shards: &'s [Sqlite],
        meter: &mut Meter<'_>,
    ) -> Result<Vec<Turn<'s>>> {
        let here = self.files(Reach::Kept(turn.connection()?));
        place.finish(&here, None, meter)?;
        let mut turns = Vec::new();
        for shard in shards {
            let mut finish = || {
                let turn = shard.writer().enter(shard)?;
                let here = shard.files(Reach::Kept(turn.connection()?));
                place.finish(&here, shard.shard(), meter)?;
                Ok(turn)
            };
            match finish() {
                Ok(turn) => turns.push(turn),
                Err(error) => {
                    shard.unless_it_is_gone(error)?;
                    place.forget(shard.shard())?;
                }
            }
        }
        meter.is_all(place.sum());
        Ok(turns)
    }

    /// The shards of a structure that is removed meanwhile fail, and go.
    fn unless_it_is_gone(&self, error: Error) -> Result<()> {
        match self.shard().is_some() && !self.directory().database().exists() {
            true => Ok(()),
            false => Err(error),
        }
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

    fn files<'c>(&'c self, connection: Reach<'c>) -> Files<'c> {
        Files {
            connection,
            directory: self.directory(),
        }
    }
}
