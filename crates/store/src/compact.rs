use diskette_ipc::clock::Deadline;
use diskette_ipc::{FileLock, Mode};

use crate::error::{Error, ErrorKind, Result, from_sqlite, timed_out};
use crate::store::Store;

impl Store {
    /// Gives the free space of the database back to the file system, and empties the write-ahead log.
    /// Writers wait meanwhile, and it takes as much free disk as the store is large.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](Error::is_timeout) when the turn to write didn't come or a long reader is in the
    /// way; [`is_disk_full`](Error::is_disk_full).
    pub fn compact(&self) -> Result<()> {
        self.compact_all()
            .map_err(|error| error.at(|| format!("compacting {}", self.path().display())))
    }

    fn compact_all(&self) -> Result<()> {
        // Before the turn to write, in the order in which the checkpointing thread takes them; a lock
        // of its own, since one is not enough to keep two threads apart.
        let failed = |error| Error::io("can't lock the checkpoints", error);
        let alone = FileLock::open(self.directory().lock("checkpoint")).map_err(failed)?;
        let deadline = Deadline::after(self.timeout());
        if !alone.lock(Mode::Exclusive, deadline).map_err(failed)? {
            return Err(timed_out("a checkpoint to end", self.timeout()));
        }
        let turn = self.writer().enter(self)?;
        let connection = turn.connection()?;
        connection.execute_batch("VACUUM").map_err(from_sqlite)?;
        let in_the_way: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(from_sqlite)?;
        if in_the_way != 0 {
            return Err(Error::new(
                ErrorKind::Timeout,
                "a snapshot is open for long: the write-ahead log is emptied once it ends",
            ));
        }
        Ok(())
    }
}
