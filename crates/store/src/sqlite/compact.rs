use diskette_ipc::clock::Deadline;
use diskette_ipc::{FileLock, Mode};

use crate::error::{Error, ErrorKind, Result, from_sqlite, timed_out};
use crate::sqlite::Sqlite;

impl Sqlite {
    pub(crate) fn compact(&self) -> Result<()> {
        let all = || {
            self.must_be_writable()?;
            self.compact_part()?;
            let shards = self.all_shards()?;
            shards.iter().try_for_each(Sqlite::compact_part)
        };
        all().map_err(|error: Error| error.at(|| format!("compacting {}", self.path().display())))
    }

    fn compact_part(&self) -> Result<()> {
        // Before the turn to write, in the order in which the background thread takes them; locks of their own, since one
        // is not enough to keep two threads apart.
        let deadline = Deadline::after(self.timeout());
        let alone = |name, what| {
            let failed = |error| Error::io("can't lock the store's files", error);
            let lock = FileLock::open(self.directory().lock(name)).map_err(failed)?;
            if !lock.lock(Mode::Exclusive, deadline).map_err(failed)? {
                return Err(timed_out(what, self.timeout()));
            }
            Ok(lock)
        };
        let _no_checkpoint = alone("checkpoint", "a checkpoint to end")?;
        let _no_sweep = alone("sweep", "value files to be removed")?;
        let turn = self.writer().enter(self)?;
        let connection = turn.connection()?;
        connection.execute_batch("VACUUM").map_err(from_sqlite)?;
        // SQLite knows of snapshots by locks that their process loses if it reads the database's files itself.
        let eras = self.values().eras()?;
        let over = || {
            let now = eras.now()? + 1;
            eras.begin(now)?;
            eras.wait_for_end(now, deadline)
        };
        if !over().map_err(|error| Error::io("can't wait for snapshots", error))? {
            return Err(snapshot_in_the_way());
        }
        let in_the_way: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(from_sqlite)?;
        if in_the_way != 0 {
            return Err(snapshot_in_the_way());
        }
        Ok(())
    }
}

fn snapshot_in_the_way() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "a snapshot is open for long: the write-ahead log is emptied once it ends",
    )
}
