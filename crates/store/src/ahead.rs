use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::access::Access;
use crate::codec::Codec;
use crate::db::Db;
use crate::error::Result;
use crate::inside::Inside;
use crate::row::Row;

/// Large values that are read ahead of the turn to write in which they are taken, so that others write meanwhile.
///
/// Which they will be is known only in the turn. So one that meets a value that wasn't read changes nothing; the value is read
/// outside, and the next turn takes it, if it still is the one. After a few turns in vain it is read inside all the same.
#[doc(hidden)]
#[derive(Debug)]
pub struct Ahead<T> {
    read: BTreeMap<i64, T>,
    unread: Vec<i64>,
    inside: bool,
}

/// So many turns may find that others were faster.
const TURNS: usize = 4;

impl<T: DeserializeOwned> Ahead<T> {
    /// Takes in turns to write, as `take` does. It asks for each value by [`value`](Self::value); if there is none, it changes
    /// nothing and returns `None`, and is called again.
    ///
    /// # Errors
    ///
    /// Those of `take`, and of the database.
    pub fn take<C: Codec, R>(
        inside: &Inside<'_, impl Access>,
        mut take: impl FnMut(&Db<'_>, &mut Self) -> Result<Option<R>>,
    ) -> Result<R> {
        let mut ahead = Ahead {
            read: BTreeMap::new(),
            unread: Vec::new(),
            inside: false,
        };
        let mut turn = 0;
        loop {
            if let Some(taken) = inside.free(|db| take(db, &mut ahead))? {
                return Ok(taken);
            }
            for file in std::mem::take(&mut ahead.unread) {
                match inside.raw_file(file).and_then(|bytes| C::decode(&bytes)) {
                    Ok(value) => drop(ahead.read.insert(file, value)),
                    // Another took it, or it is damaged: that is for the turn to find out.
                    Err(_) => ahead.inside = true,
                }
            }
            turn += 1;
            ahead.inside |= turn == TURNS;
        }
    }

    /// The value of a row, from its column of bytes or of files; `None`: it is to be read before the next turn.
    ///
    /// # Errors
    ///
    /// Those of [`load_value`](crate::Store::load_value).
    pub fn value<C: Codec>(
        &mut self,
        db: &Db<'_>,
        row: &Row<'_>,
        value: usize,
        file: usize,
    ) -> Result<Option<T>> {
        if let Some(file) = row.opt_int(file)? {
            if let Some(read) = self.read.remove(&file) {
                return Ok(Some(read));
            }
            if !self.inside {
                self.unread.push(file);
                return Ok(None);
            }
        }
        db.store().load_value::<C, T>(row, value, file).map(Some)
    }

    /// Keeps a value that was asked for and isn't taken in this turn, since another was not read.
    pub fn keep(&mut self, file: i64, value: T) {
        self.read.insert(file, value);
    }
}
