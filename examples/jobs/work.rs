//! A worker process: takes jobs until it is told to stop.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use anyhow::Result;
use diskette::queue::{Claim, Worked};
use diskette::{JobId, Worker};

use crate::gzip;
use crate::job::{Compressed, Job, Kind, Works};
use crate::options::Options;
use crate::{produce, stop_on_signals};

pub fn run(number: u32, options: &Options) -> Result<()> {
    let works = Works::open(options, &stop_on_signals()?)?;
    let (output, data) = (
        options.output().canonicalize()?,
        options.data.canonicalize()?,
    );
    let life = works.diary.life_begins(number)?;
    let (diary, jobs) = (works.diary.clone(), works.jobs.clone());
    let bench = Bench {
        own: vec![output.clone(), data],
        output,
        fail_rate: options.fail_rate,
        works,
    };
    let noted = diary.clone();
    Worker::new(&jobs)
        .threads(1)
        .around(move |claim, next| {
            noted.attempt_begins(number, &claim)?;
            next(claim)
        })
        .run(move |claim| bench.work_on(claim))?;
    Ok(diary.life_ends(life)?)
}

struct Bench {
    works: Works,
    output: PathBuf,
    /// Directories that are written to.
    own: Vec<PathBuf>,
    fail_rate: f64,
}

/// What comes of a job.
enum Made {
    Jobs(Vec<Job>),
    File(Compressed),
}

impl Bench {
    /// However the work went, all that comes of it and the end of the job are one transaction.
    fn work_on(&self, claim: Claim<Job>) -> Worked {
        let made = self.make(&claim);
        let Works {
            store,
            jobs,
            files,
            diary,
        } = &self.works;
        store.transaction(|tx| {
            diary.attempt_ends(tx, &claim, made.is_ok())?;
            match made {
                Ok(Made::File(file)) => files.within(tx).insert(&claim.id(), &file)?,
                Ok(Made::Jobs(more)) => produce::push(tx, jobs, more)?,
                Err(error) if is_hopeless(&error) => return claim.within(tx).cancel(error),
                Err(error) => return claim.within(tx).fail(error),
            }
            claim.complete(tx)
        })?;
        Ok(())
    }

    fn make(&self, claim: &Claim<Job>) -> io::Result<Made> {
        if is_unlucky(claim.id(), claim.attempt(), self.fail_rate) {
            return Err(io::Error::other("bad luck, as --fail-rate has it"));
        }
        match claim.kind {
            Kind::Directory => produce::jobs_in(claim, &self.own).map(Made::Jobs),
            Kind::File => gzip::compress(claim.path(), &self.output, claim.level).map(Made::File),
        }
    }
}

/// Another attempt would end as this one did.
fn is_hopeless(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    )
}

/// By lot, but always by the same.
fn is_unlucky(job: JobId, attempt: u32, share: f64) -> bool {
    let mut lot = DefaultHasher::new();
    (job, attempt).hash(&mut lot);
    (lot.finish() as f64) < share * u64::MAX as f64
}
