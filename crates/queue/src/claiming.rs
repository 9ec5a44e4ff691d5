//! Taking jobs into the hands of this process.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use diskette_ipc::fork;
use diskette_store::{Access, Codec, Db, Error, ErrorKind, Result, Row, Store, Timeline, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::claim::{Claim, Hold};
use crate::held::{Ending, Held};
use crate::inner::micros;
use crate::job::Why;
use crate::queue::Queue;
use crate::sql;

/// So many jobs that can't be read may be set aside by one call; more of them say that the type is wrong.
const UNREADABLE: usize = 100;

impl<J, C, A> Queue<J, C, A>
where
    J: Serialize + DeserializeOwned,
    C: Codec,
    A: Access,
{
    /// Claims the next job, if one is ready. Within a transaction that is rolled back the claim is void: the job was never taken.
    ///
    /// A job that can't be read is set aside: it is dead, and seen by [`list`](Self::list) with its bytes, and the next one is
    /// claimed.
    ///
    /// # Errors
    ///
    /// Those of [`push`](Self::push); [`is_codec`](Error::is_codec) where a hundred jobs one after the other can't be read: this
    /// is hardly the type that they were pushed with.
    pub fn try_claim(&self) -> Result<Option<Claim<J, C>>> {
        self.doing("try_claim", self.claim_next())
    }

    /// Claims up to so many jobs, in one transaction. A job that workers have died of is claimed alone, so that it doesn't
    /// take others with it.
    ///
    /// # Errors
    ///
    /// Those of [`try_claim`](Self::try_claim).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let numbers = Queue::<u32>::new(&store, "numbers")?;
    /// numbers.push_all([1, 2, 3])?;
    /// let claims = numbers.claim_many(100)?;
    /// let sum: u32 = claims.iter().map(|claim| **claim).sum();
    /// numbers.complete_all(claims)?;
    /// assert_eq!(sum, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn claim_many(&self, most: usize) -> Result<Vec<Claim<J, C>>> {
        self.doing("claim_many", self.claim_some(most))
    }

    pub(crate) fn claim_next(&self) -> Result<Option<Claim<J, C>>> {
        let mut unreadable = 0;
        loop {
            let token = token();
            let (inner, limit) = (&*self.inner, self.time_limit);
            let taken = self.inside().free_one(|db| {
                let claim = match db.travels() {
                    true => sql::CLAIM_UNLESS_PAUSED,
                    false if inner.config(db)?.paused => return Ok(None),
                    false => sql::CLAIM,
                };
                let taker = Taker::of(db.store(), token)?;
                let [owner, token, now, due] = taker.terms(&inner.timeline, limit);
                let params = [owner, token, now, due, inner.id()];
                let taken = db.query_one(claim, &params, Taken::of)?;
                Ok(taken.map(|taken| (taker, taken)))
            })?;
            if let Some((taker, taken)) = taken {
                let hold = self.hold(&taker, &taken);
                match self.read(hold, &taken, &mut unreadable)? {
                    Some(claim) => return Ok(Some(claim)),
                    None => continue,
                }
            }
            // What is due comes first. If another has done it meanwhile, there may be one that is ready.
            let standing = self.standing()?;
            if !self.fire(standing)? && (!standing.has_ready || standing.paused) {
                return Ok(None);
            }
        }
    }

    pub(crate) fn claim_some(&self, most: usize) -> Result<Vec<Claim<J, C>>> {
        let (mut claims, mut unreadable) = (Vec::new(), 0);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        while most > 0 && claims.is_empty() {
            let token = token();
            let (taker, all) = self.inside().free(|db| {
                let taker = Taker::of(db.store(), token)?;
                if self.inner.config(db)?.paused {
                    return Ok((taker, Vec::new()));
                }
                while self.inner.fire(db)? {}
                let all = self.take(db, &taker, most)?;
                Ok((taker, all))
            })?;
            if all.is_empty() {
                break;
            }
            // What isn't received, after an error, is given back as it is dropped.
            let all: Vec<_> = all
                .into_iter()
                .map(|taken| (self.hold(&taker, &taken), taken))
                .collect();
            claims.reserve(all.len());
            for (hold, taken) in all {
                claims.extend(self.read(hold, &taken, &mut unreadable)?);
            }
        }
        Ok(claims)
    }

    fn take(&self, db: &Db<'_>, taker: &Taker, most: i64) -> Result<Vec<Taken>> {
        let first = [self.inner.id(), most.into()];
        let mut taken = db.query(sql::FIRST, &first, Taken::of)?;
        let harmless = taken.iter().take_while(|taken| taken.kills == 0).count();
        taken.truncate(harmless.max(1));
        for taken in &mut taken {
            taken.attempts = taken.attempts.saturating_add(1);
        }
        if !taken.is_empty() {
            let number = i64::try_from(taken.len()).unwrap_or(i64::MAX);
            let [owner, token, now, due] = taker.terms(&self.inner.timeline, self.time_limit);
            let params = [owner, token, now, due, self.inner.id(), number.into()];
            db.run(sql::CLAIM_MANY, &params)?;
        }
        Ok(taken)
    }

    /// What was taken is held from here on.
    fn hold(&self, taker: &Taker, taken: &Taken) -> Hold {
        Hold(Some(Held {
            inner: Arc::clone(&self.inner),
            store: taker.store.clone(),
            owner: taker.owner,
            token: taker.token,
            row: taken.row,
            attempt: taken.attempts,
            max_attempts: taken.max_attempts,
            backoff: taken.backoff.as_deref().and_then(|text| text.parse().ok()),
            group: taken.group.clone(),
            time_limit: self.time_limit,
            generation: fork::generation(),
            home: None,
        }))
    }

    /// Reads a job that is held, outside the turn in which it was taken; or sets it aside.
    fn read(
        &self,
        mut hold: Hold,
        taken: &Taken,
        unreadable: &mut usize,
    ) -> Result<Option<Claim<J, C>>> {
        let job = match &taken.content {
            Raw::Inline(bytes) => C::decode(bytes),
            Raw::File(file) => self
                .inside()
                .raw_file(*file)
                .and_then(|job| C::decode(&job)),
        };
        let why = match job {
            Ok(job) => {
                return Ok(Some(Claim {
                    job,
                    id: self.inner.job(taken.row),
                    kills: taken.kills,
                    pushed: taken.pushed,
                    hold,
                    codec: PhantomData,
                }));
            }
            Err(why) => why,
        };
        // If that fails, it is given back as it is dropped.
        let can_be_read = !why.is_codec() && !why.is_corrupt();
        if let Some(held) = &hold.0 {
            let text = why.to_string();
            let ending = match can_be_read {
                true => Ending::Release { counts: false },
                false => Ending::Die(Why::Unreadable, &text),
            };
            held.end(&self.access, ending)?;
        }
        hold.0 = None;
        if can_be_read {
            return Err(why);
        }
        *unreadable += 1;
        if *unreadable >= UNREADABLE {
            let message = format!(
                "{UNREADABLE} jobs one after the other can't be read, and were set aside, dead: {why}; `retry_all_dead` brings them \
                 back for those who can"
            );
            return Err(Error::new(ErrorKind::Codec, message).caused_by(why));
        }
        Ok(None)
    }
}

struct Taker {
    owner: diskette_ipc::OwnerId,
    token: i64,
    /// Where it takes them.
    store: Store,
}

impl Taker {
    fn of(store: &Store, token: i64) -> Result<Self> {
        let store = store.staying();
        Ok(Taker {
            owner: store.claimant()?,
            token,
            store,
        })
    }

    /// Who claims, with what token, when, and until when.
    fn terms(&self, timeline: &Timeline, limit: Option<Duration>) -> [Value<'static>; 4] {
        let now = timeline.now();
        let due = limit.map(|limit| now.saturating_add(micros(limit)));
        [
            self.owner.as_i64().into(),
            self.token.into(),
            now.into(),
            due.into(),
        ]
    }
}

fn token() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A job that was claimed, as its row says.
struct Taken {
    row: i64,
    content: Raw,
    attempts: u32,
    max_attempts: u32,
    kills: u32,
    pushed: i64,
    backoff: Option<String>,
    group: Option<String>,
}

/// A job that isn't decoded yet.
pub(crate) enum Raw {
    Inline(Vec<u8>),
    File(i64),
}

impl Raw {
    /// Of a row with its file in the second column, and its value in the third.
    pub(crate) fn of(row: &Row<'_>) -> Result<Self> {
        match row.opt_int(1)? {
            Some(file) => Ok(Raw::File(file)),
            None => Ok(Raw::Inline(row.blob(2)?.to_vec())),
        }
    }
}

impl Taken {
    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Taken {
            row: row.int(0)?,
            content: Raw::of(row)?,
            attempts: small(row.int(3)?),
            max_attempts: small(row.int(4)?),
            kills: small(row.int(5)?),
            pushed: row.int(6)?,
            backoff: row.opt_text(7)?.map(str::to_owned),
            group: row.opt_text(8)?.map(str::to_owned),
        })
    }
}

pub(crate) fn small(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
