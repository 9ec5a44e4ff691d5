use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::ControlFlow;

use crate::access::Access;
use crate::error::{Error, Result, from_sqlite};
use crate::report::{Problem, Report};
use crate::sqlite::Sqlite;
use crate::sqlite::catalog;
use crate::sqlite::reading::overtaken;
use crate::whose;

impl Sqlite {
    pub(crate) fn check(&self) -> Result<Report> {
        self.each_part(Sqlite::check_part)
            .map_err(|error| error.at(|| format!("checking {}", self.path().display())))
    }

    pub(crate) fn repair(&self) -> Result<Report> {
        let mend = || {
            self.must_be_writable()?;
            let _shards = self.all_shards()?;
            self.settle_the_dead()?;
            self.each_part(Sqlite::repair_part)
        };
        mend().map_err(|error: Error| error.at(|| format!("repairing {}", self.path().display())))
    }

    /// Of the store itself and its shards.
    fn each_part(&self, look: impl Fn(&Sqlite) -> Result<Report>) -> Result<Report> {
        let mut report = look(self)?;
        for store in self.all_shards()? {
            let shard = store.path().strip_prefix(self.path());
            let shard = shard.unwrap_or(store.path()).display().to_string();
            let problems = look(&store)?.problems.into_iter();
            report
                .problems
                .extend(problems.map(|problem| Problem::InShard {
                    shard: shard.clone(),
                    problem: problem.into(),
                }));
        }
        Ok(report)
    }

    fn repair_part(&self) -> Result<Report> {
        self.sweep()?;
        let turn = self.writer().enter(self)?;
        let rebuilt = turn
            .connection()?
            .execute_batch("REINDEX")
            .map_err(from_sqlite);
        drop(turn);
        let orphans = self.orphans()?;
        self.remove_orphans(&orphans)?;
        let mut report = self.check_part()?;
        if let Err(error) = rebuilt {
            report
                .problems
                .insert(0, Problem::Database(error.to_string()));
        }
        Ok(report)
    }

    fn check_part(&self) -> Result<Report> {
        let mut problems = Vec::new();
        {
            let reader = self.read_truth(|| self.readers().lend(self).map(Some))?;
            let mut check = reader
                .connection()?
                .prepare("PRAGMA integrity_check")
                .map_err(from_sqlite)?;
            let lines = check
                .query_map([], |row| row.get::<_, String>(0))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            match lines {
                Ok(lines) => {
                    problems.extend(
                        lines
                            .into_iter()
                            .filter(|line| line != "ok")
                            .map(Problem::Database),
                    );
                }
                Err(error) => {
                    let error = from_sqlite(error);
                    if !error.is_corrupt() {
                        return Err(error);
                    }
                    problems.push(Problem::Database(error.to_string()));
                }
            }
            if !reader.is_true()? {
                return Err(overtaken());
            }
        }
        let broken = |error: &Error| error.is_corrupt();
        match self.strange_tables() {
            Ok(found) => problems.extend(found),
            Err(error) if broken(&error) => problems.push(Problem::Database(error.to_string())),
            Err(error) => return Err(error),
        }
        match self.broken_value_files() {
            Ok(found) => problems.extend(found),
            Err(error) if broken(&error) => problems.push(Problem::Database(error.to_string())),
            Err(error) => return Err(error),
        }
        match self.orphans() {
            Ok(orphans) => problems.extend(orphans.into_iter().map(|id| Problem::Orphan { id })),
            Err(error) if broken(&error) => {}
            Err(error) => return Err(error),
        }
        problems.dedup();
        Ok(Report { problems })
    }

    /// What isn't as diskette makes it: the tables of every store to the letter, those of structures by their names.
    fn strange_tables(&self) -> Result<Vec<Problem>> {
        let ours = catalog::tables_of_a_new_store()?;
        self.store().snapshot(|snapshot| {
            let kinds: BTreeSet<String> = snapshot
                .read(|db| {
                    let all = "SELECT name FROM kinds";
                    db.query(all, &[], |row| Ok(row.text(0)?.to_owned()))
                })?
                .into_iter()
                .collect();
            let kinds = kinds.iter().map(|kind| kind.replace(' ', "_"));
            let kinds: Vec<_> = kinds.collect();
            let of_a_structure =
                |table: &str| kinds.iter().any(|kind| table.starts_with(kind.as_str()));
            snapshot.read(|db| {
                let mut problems = Vec::new();
                let mut missing: BTreeSet<&str> = ours.keys().map(String::as_str).collect();
                let all = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master";
                db.query_each(all, &[], |row| {
                    let (kind, name, table, sql) =
                        (row.text(0)?, row.text(1)?, row.text(2)?, row.text(3)?);
                    missing.remove(name);
                    let how = match ours.get(name) {
                        Some(made) if made == sql => return Ok(ControlFlow::Continue(())),
                        Some(_) => "is not as diskette makes it",
                        None if matches!(kind, "table" | "index")
                            && (sql.is_empty() || of_a_structure(table)) =>
                        {
                            return Ok(ControlFlow::Continue(()));
                        }
                        None => "is not of diskette's making",
                    };
                    problems.push(Problem::Schema(format!("the {kind} {name} {how}")));
                    Ok(ControlFlow::Continue(()))
                })?;
                let missing = missing.into_iter();
                let problem = |name| Problem::Schema(format!("the table {name} is missing"));
                problems.extend(missing.map(problem));
                Ok(problems)
            })
        })
    }

    fn broken_value_files(&self) -> Result<Vec<Problem>> {
        let look = |id, bytes| match self.open_stream(id) {
            Ok(file) if i64::try_from(file.len()) == Ok(bytes) => Ok(None),
            Ok(_) => Ok(Some("its file has another length than recorded".into())),
            Err(error) if error.is_corrupt() => Ok(Some(error.to_string())),
            Err(error) => Err(error),
        };
        self.store().snapshot(|snapshot| {
            let all = "SELECT id, bytes FROM value_files";
            let files =
                snapshot.read(|db| db.query(all, &[], |row| Ok((row.int(0)?, row.int(1)?))))?;
            let mut broken = BTreeMap::new();
            for (id, bytes) in files {
                if let Some(how) = look(id, bytes)? {
                    broken.insert(id, how);
                }
            }
            let ids = broken.keys().copied().collect();
            // Where the database is damaged as well, that is what stands in the way of names.
            let named = snapshot.read(|db| whose::entries(db, &ids));
            let mut named = named.unwrap_or_default();
            let problem = |(id, how)| {
                let entry = named.remove(&id);
                let entry = entry.map(|entry| (entry.structure, entry.place));
                let (structure, place) = entry.unzip();
                Problem::ValueFile {
                    id,
                    structure,
                    place,
                    how,
                }
            };
            Ok(broken.into_iter().map(problem).collect())
        })
    }

    /// The files that neither a row nor the will of a living process names. In this order, so that a
    /// file that is being linked meanwhile is never taken for one.
    fn orphans(&self) -> Result<Vec<i64>> {
        let failed = |error| Error::io("can't list the value files", error);
        let files = self.value_files_on_disk().map_err(failed)?;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted = BTreeSet::new();
        for owner in self.owners().all().map_err(failed)? {
            wanted.extend(self.owners().will(owner).map_err(failed)?);
        }
        let named = "SELECT id FROM value_files UNION ALL SELECT id FROM garbage";
        wanted.extend(
            self.store()
                .read_one(|db| db.query(named, &[], |row| row.int(0)))?,
        );
        // Or it was unlinked meanwhile, and is no garbage any more.
        let is_left = |&id: &i64| !wanted.contains(&id) && self.directory().value(id).exists();
        Ok(files.into_keys().filter(is_left).collect())
    }

    /// The numbers of the files in `values/`, with their lengths in bytes.
    pub(crate) fn value_files_on_disk(&self) -> io::Result<BTreeMap<i64, u64>> {
        let mut files = BTreeMap::new();
        for directory in fs::read_dir(self.directory().values())? {
            let directory = directory?;
            if !directory.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(directory.path())? {
                let file = file?;
                let name = format!(
                    "{}{}",
                    directory.file_name().to_string_lossy(),
                    file.file_name().to_string_lossy()
                );
                if let Ok(id) = i64::from_str_radix(&name, 16) {
                    // It may be unlinked by now.
                    files.insert(id, file.metadata().map_or(0, |found| found.len()));
                }
            }
        }
        Ok(files)
    }
}
