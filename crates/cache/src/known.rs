//! What is known of an entry, out of the database or out of memory.

use diskette_store::entries::{decode_value, read_value};
use diskette_store::{Access, Codec, Db, Error, ErrorKind, Keeping, Result, Row};
use serde::de::DeserializeOwned;

use crate::part::Part;
use crate::sql;
use crate::uses::Use;

/// What an entry has besides its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) expires: Option<i64>,
    pub(crate) of: Use,
    /// If it was computed, until when it is good, and how long it took.
    pub(crate) good_until: Option<i64>,
    pub(crate) took: i64,
}

impl<A: Access> Part<'_, A> {
    /// The value of a key that hasn't expired, out of memory if it is there.
    pub(crate) fn find<C, V>(&self, key: &[u8]) -> Result<Option<(Known, V)>>
    where
        C: Codec,
        V: DeserializeOwned,
    {
        self.inside().recall(
            key,
            |kept| self.decode::<C, V>(kept, key),
            |db, keeping| self.look_up::<C, V>(db, key, keeping),
        )
    }

    /// The same for several keys.
    pub(crate) fn find_all<'k, C, V>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<Vec<Option<(Known, V)>>>
    where
        C: Codec,
        V: DeserializeOwned,
    {
        self.inside().recall_all(
            keys,
            |key, kept| self.decode::<C, V>(kept, key),
            |db, key, keeping| self.look_up::<C, V>(db, key, keeping),
        )
    }

    /// Whether a key is there that hasn't expired.
    pub(crate) fn is_there(&self, key: &[u8]) -> Result<bool> {
        let there = |expires| self.inner.lives(expires).then_some(());
        let found = self.inside().recall(
            key,
            |kept| Ok(there(Known::of_kept(kept)?.0.expires)),
            |db, keeping| {
                let expires = db.query_one(sql::EXPIRES, &[key.into()], |row| row.opt_int(0))?;
                if expires.is_none() {
                    keeping.found_none();
                }
                Ok(expires.and_then(there))
            },
        );
        Ok(found?.is_some())
    }

    /// The value of a key that hasn't expired; it is kept, if it is no file.
    pub(crate) fn look_up<C, V>(
        &self,
        db: &Db<'_>,
        key: &[u8],
        keeping: &Keeping<'_>,
    ) -> Result<Option<(Known, V)>>
    where
        C: Codec,
        V: DeserializeOwned,
    {
        let found = db.query_one(sql::FIND, &[key.into()], |row| {
            let known = Known::of(row)?;
            if let Some(value) = row.opt_blob(2)? {
                keeping.keep(key, [&known.to_bytes(), value]);
            }
            if !self.inner.lives(known.expires) {
                return Ok(None);
            }
            let value = read_value::<V, C>(self.store(), row, key)?;
            Ok(Some((known, value)))
        })?;
        if found.is_none() {
            keeping.found_none();
        }
        Ok(found.flatten())
    }

    fn decode<C, V>(&self, kept: &[u8], key: &[u8]) -> Result<Option<(Known, V)>>
    where
        C: Codec,
        V: DeserializeOwned,
    {
        let (known, value) = Known::of_kept(kept)?;
        if !self.inner.lives(known.expires) {
            return Ok(None);
        }
        Ok(Some((known, decode_value::<V, C>(value, key)?)))
    }
}

const NUMBERS: usize = 7;
const WIDTH: usize = size_of::<i64>();

impl Known {
    /// Of a row that begins with `id, file, value, expires, idle, uses, used, fresh, took`.
    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Known {
            expires: row.opt_int(3)?,
            of: Use::of(row)?,
            good_until: row.opt_int(7)?,
            took: row.opt_int(8)?.unwrap_or(0),
        })
    }

    /// As it is kept, before the bytes of the value. Never is as late as there is.
    fn to_bytes(self) -> [u8; NUMBERS * WIDTH] {
        let [id, idle, uses, used] = self.of.to_numbers();
        let [expires, good_until] =
            [self.expires, self.good_until].map(|at| at.unwrap_or(i64::MAX));
        let numbers = [expires, id, idle, uses, used, good_until, self.took];
        let mut bytes = [0; NUMBERS * WIDTH];
        for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_ne_bytes();
        }
        bytes
    }

    /// And the bytes of the value.
    fn of_kept(kept: &[u8]) -> Result<(Self, &[u8])> {
        let split = kept.split_first_chunk::<{ NUMBERS * WIDTH }>();
        let (numbers, value) = split.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "what was kept in memory was cut short")
        })?;
        let (numbers, _) = numbers.as_chunks::<WIDTH>();
        let [expires, id, idle, uses, used, good_until, took] =
            std::array::from_fn(|n| i64::from_ne_bytes(numbers[n]));
        let [expires, good_until] =
            [expires, good_until].map(|at| Some(at).filter(|&at| at != i64::MAX));
        let of = Use::of_numbers([id, idle, uses, used]);
        let known = Known {
            expires,
            of,
            good_until,
            took,
        };
        Ok((known, value))
    }
}
