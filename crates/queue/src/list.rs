use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

use diskette_ipc::OwnerId;
use diskette_store::{Access, Codec, Db, Error, MessagePack, Result, Row, Store, Value};
use serde::de::DeserializeOwned;

use crate::claiming::{Raw, small};
use crate::job::{Content, Job, JobId, JobState, Why};
use crate::queue::Queue;
use crate::sql;

/// Rows that are read at once.
const PAGE: i64 = 64;

/// Jobs in a state, or with a tag; made by [`Queue::list`] and [`Queue::tagged`].
pub struct Jobs<J, C = MessagePack, A = Store> {
    queue: Queue<J, C, A>,
    which: Which,
    /// The place of the last that was read.
    after: Place,
    /// What is read and was not yet given out.
    page: VecDeque<(Job<()>, Raw)>,
    ended: bool,
}

#[derive(Clone, Debug)]
enum Which {
    In(JobState),
    Tagged(String),
}

/// Where a job is among the others: by what they are in order, and its row.
#[derive(Clone, Debug)]
struct Place(Order, i64);

#[derive(Clone, Debug)]
enum Order {
    Int(i64),
    Text(String),
}

impl Order {
    fn value(&self) -> Value<'_> {
        match self {
            Order::Int(number) => (*number).into(),
            Order::Text(text) => text.as_str().into(),
        }
    }
}

impl<J: DeserializeOwned, C: Codec, A: Access> Queue<J, C, A> {
    /// A job as it stands; `None` if there is none of this number, or not any more.
    ///
    /// # Errors
    ///
    /// Those of the database. One that can't be read is shown all the same, with its bytes.
    pub fn get(&self, id: JobId) -> Result<Option<Job<J>>> {
        let Some(row) = self.inner.row(id) else {
            return Ok(None);
        };
        let found = self.inside().look(|db| {
            let found = db.query_one(sql::GET, &[row.into()], |row| self.job(row))?;
            let read = |(job, raw)| match raw {
                Raw::Inline(bytes) => Self::read_job(job, Ok(bytes)),
                Raw::File(file) => Self::read_job(job, db.raw_file(file)),
            };
            found.map(read).transpose()
        });
        self.doing("get", found)
    }

    /// Decodes what was pushed.
    fn read_job(job: Job<()>, bytes: Result<Vec<u8>>) -> Result<Job<J>> {
        let unreadable = |bytes, why: Error| match why.is_codec() || why.is_corrupt() {
            true => Ok(Content::Unreadable { bytes, why }),
            false => Err(why),
        };
        let content = match bytes {
            Ok(bytes) => match C::decode(&bytes) {
                Ok(job) => Content::Job(job),
                Err(why) => unreadable(bytes, why)?,
            },
            Err(why) => unreadable(Vec::new(), why)?,
        };
        Ok(job.with(content))
    }

    /// All but what was pushed.
    fn job(&self, row: &Row<'_>) -> Result<(Job<()>, Raw)> {
        let wall = |time: Option<i64>| time.map(|time| self.inner.timeline.wall(time));
        let text = |column| Ok::<_, Error>(row.opt_text(column)?.map(str::to_owned));
        let owner = row.opt_int(13)?.map(OwnerId::from_i64);
        let tags = row.opt_text(16)?.unwrap_or_default();
        let note = text(20)?.unwrap_or_default();
        let progress = row.opt_int(19)?;
        let job = Job {
            id: self.inner.job(row.int(0)?),
            state: JobState::named(row.text(3)?)?,
            content: Content::Job(()),
            priority: i32::try_from(-row.int(4)?).unwrap_or_default(),
            due: wall(row.opt_int(5)?),
            expires: wall(row.opt_int(6)?),
            pushed: self.inner.timeline.wall(row.int(7)?),
            claimed: wall(row.opt_int(8)?),
            finished: wall(row.opt_int(9)?),
            attempts: small(row.int(10)?),
            max_attempts: small(row.int(11)?),
            kills: small(row.int(12)?),
            party: owner.and_then(|owner| self.store().party_of(owner)),
            group: text(14)?,
            unique_key: text(15)?,
            tags: tags.lines().map(str::to_owned).collect(),
            why: row.opt_text(17)?.map(Why::named).transpose()?,
            error: text(18)?,
            progress: progress.map(|millionths| (millionths as f64 / 1e6, note)),
        };
        Ok((job, Raw::of(row)?))
    }
}

impl<J: DeserializeOwned, C: Codec, A: Access + Clone> Queue<J, C, A> {
    /// The jobs in a state: those that are ready in the order in which they are claimed, those that are scheduled as they are due,
    /// those that are held by group, the others as they got there. After an error it ends.
    ///
    /// Reads a page at a time, so that others may change the queue meanwhile: a job that leaves the state later may still appear, as it
    /// was, and one that comes into it may not. For one consistent state, list within a [snapshot](diskette_store::Store::snapshot).
    ///
    /// # Cost
    ///
    /// One statement for 64 jobs, which are held in memory; large ones one at a time.
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{JobState, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// mails.push("Ada")?;
    /// for job in mails.list(JobState::Ready) {
    ///     let job = job?;
    ///     println!("{}: to {:?}, since {:?}", job.id, job.content.job(), job.pushed);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list(&self, state: JobState) -> Jobs<J, C, A> {
        let first = match state {
            JobState::Held => Order::Text(String::new()),
            _ => Order::Int(i64::MIN),
        };
        self.jobs(Which::In(state), Place(first, i64::MIN))
    }

    /// The jobs with a [tag](crate::Push::tag), whatever their states, in the order in which they were pushed. Otherwise like
    /// [`list`](Self::list).
    ///
    /// # Example
    ///
    /// ```
    /// use diskette::{Push, Queue, Store};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # std::env::set_current_dir(&dir)?;
    /// let store = Store::open("store")?;
    /// let mails = Queue::<String>::new(&store, "mails")?;
    /// mails.push_with("welcome", &Push::new().tag("customer 1815"))?;
    /// for job in mails.tagged("customer 1815") {
    ///     let job = job?;
    ///     println!("{} is {}", job.id, job.state);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tagged(&self, tag: &str) -> Jobs<J, C, A> {
        let first = self.inner.rows().start;
        self.jobs(Which::Tagged(tag.into()), Place(Order::Int(first), first))
    }

    fn jobs(&self, which: Which, after: Place) -> Jobs<J, C, A> {
        Jobs {
            queue: self.clone(),
            which,
            after,
            page: VecDeque::new(),
            ended: false,
        }
    }
}

impl<J, C, A> Jobs<J, C, A>
where
    J: DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    fn advance(&mut self) -> Result<Option<Job<J>>> {
        loop {
            if self.page.is_empty() && !self.ended {
                self.read_page()?;
            }
            let Some((job, raw)) = self.page.pop_front() else {
                return Ok(None);
            };
            match raw {
                Raw::Inline(bytes) => return Queue::<J, C, A>::read_job(job, Ok(bytes)).map(Some),
                // Its file may be gone by now.
                Raw::File(_) => match self.queue.get(job.id)? {
                    Some(job) => return Ok(Some(job)),
                    None => continue,
                },
            }
        }
    }

    fn read_page(&mut self) -> Result<()> {
        let (sql, order) = match self.which {
            Which::In(JobState::Scheduled) => (sql::LIST_SCHEDULED, 5),
            Which::In(JobState::Ready) => (sql::LIST_READY, 4),
            Which::In(JobState::Held) => (sql::LIST_HELD, 14),
            Which::In(JobState::Claimed) => (sql::LIST_CLAIMED, 8),
            Which::In(JobState::Done) => (sql::LIST_DONE, 21),
            Which::In(JobState::Dead) => (sql::LIST_DEAD, 21),
            Which::Tagged(_) => (sql::LIST_TAGGED, 0),
        };
        let Place(after, row) = &self.after;
        let queue = &self.queue;
        let read = |db: &Db<'_>| {
            let params = match &self.which {
                Which::In(_) => [queue.inner.id(), after.value(), (*row).into(), PAGE.into()],
                Which::Tagged(tag) => {
                    let end = queue.inner.rows().end;
                    [tag.as_str().into(), (*row).into(), end.into(), PAGE.into()]
                }
            };
            let mut last = None;
            let page = db.query(sql, &params, |row| {
                let order_value = match self.which {
                    Which::In(JobState::Held) => Order::Text(row.text(order)?.to_owned()),
                    _ => Order::Int(row.int(order)?),
                };
                last = Some(Place(order_value, row.int(0)?));
                queue.job(row)
            })?;
            Ok((page, last))
        };
        let (page, last) = queue.inside().read_one(read)?;
        self.ended = i64::try_from(page.len()) != Ok(PAGE);
        self.page = page.into();
        if let Some(last) = last {
            self.after = last;
        }
        Ok(())
    }
}

impl<J, C, A> Iterator for Jobs<J, C, A>
where
    J: DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
    type Item = Result<Job<J>>;

    fn next(&mut self) -> Option<Result<Job<J>>> {
        let next = self.advance();
        if next.is_err() {
            self.page.clear();
            self.ended = true;
        }
        self.queue.doing("list", next).transpose()
    }
}

impl<J, C, A> FusedIterator for Jobs<J, C, A>
where
    J: DeserializeOwned,
    C: Codec,
    A: Access + Clone,
{
}

impl<J, C, A: Access> fmt::Debug for Jobs<J, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("queue", &self.queue)
            .field("which", &self.which)
            .finish_non_exhaustive()
    }
}
