//! Where jobs come from: the command line, and directories.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use diskette::{Push, Queue, Transaction, Unique};

use crate::job::{Job, Kind, Works};
use crate::options::Options;

/// Where nothing else is said, and nothing is left to do.
const DEFAULT: &str = "/usr/share/doc";

/// Pushes what the command line names, each path once however often it is named, and what is dead if that is wanted.
pub fn push_what_is_named(works: &Works, options: &Options) -> Result<()> {
    let (stats, data) = (works.jobs.stats()?, options.data.display());
    let is_new = stats.unfinished() + stats.done + stats.dead == 0;
    let mut paths = options.paths.clone();
    if paths.is_empty() && is_new {
        paths.push(DEFAULT.into());
    }
    for path in &paths {
        let named = path.display();
        let found = path.canonicalize();
        let path = found.with_context(|| format!("cannot compress {named}"))?;
        let kind = match path.is_dir() {
            true => Kind::Directory,
            false => Kind::File,
        };
        let key = path.to_str();
        let key = key.with_context(|| format!("{named} has a name that is no UTF-8"))?;
        let once = Push::new().unique(Unique::key(key).for_(Duration::MAX));
        let job = Job {
            kind,
            path: path.clone().into(),
            level: options.level,
        };
        works.jobs.push_with(&job, &once)?;
    }
    if options.retry_dead {
        let retried = works.jobs.retry_all_dead()?;
        eprintln!("{retried} of the dead are tried again");
    }
    let stats = works.jobs.stats()?;
    match (stats.unfinished(), is_new) {
        (0, _) => eprintln!("{data} holds nothing that is left to do"),
        (_, true) => eprintln!("compressing, into {}", options.output().display()),
        (left, false) => eprintln!(
            "going on in {data}, {} jobs done and {left} left",
            stats.done
        ),
    }
    Ok(())
}

/// The jobs for what is in a directory, but for what this program writes itself. A link to a file is a file, wherever that may be; one to
/// a directory is none, so that there are no circles.
pub fn jobs_in(directory: &Job, own: &[PathBuf]) -> io::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(directory.path())? {
        let entry = entry?;
        let path = entry.path();
        let kind = match entry.file_type()? {
            kind if kind.is_dir() && !own.contains(&path) => Kind::Directory,
            kind if kind.is_file() || kind.is_symlink() && may_be_file(&path) => Kind::File,
            _ => continue,
        };
        jobs.push(Job {
            kind,
            path: path.into(),
            level: directory.level,
        });
    }
    Ok(jobs)
}

/// Directories come first, so that it is known soon how much there is to do.
pub fn push(tx: &Transaction<'_>, jobs: &Queue<Job>, all: Vec<Job>) -> diskette::Result<()> {
    let jobs = jobs.within(tx);
    let (directories, files): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|job| job.kind == Kind::Directory);
    for directory in &directories {
        jobs.push_with(directory, &Push::new().priority(1))?;
    }
    jobs.push_all(files).map(drop)
}

/// One that leads nowhere is a file that can't be read, and told as that.
fn may_be_file(link: &Path) -> bool {
    link.metadata().map_or(true, |target| target.is_file())
}
