//! The board of a store, on which it is written who holds its locks and permits.
//!
//! The database remembers its era, so that tokens grow for ever, and in which run of the system it was made: one that
//! is missing in the same run was removed, and a second beside it would let two hold one lock.

use std::sync::Arc;

use diskette_ipc::{Board, boot};

use crate::access::Access;
use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};
use crate::fence;
use crate::store::Store;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS boards (id INTEGER PRIMARY KEY, era BIGINT NOT NULL, boot BIGINT NOT NULL)";
const KNOWN: &str = "SELECT era, boot FROM boards WHERE id = 1";
const RECORD: &str = "INSERT INTO boards (id, era, boot) VALUES (1, $1, $2) \
    ON CONFLICT (id) DO UPDATE SET era = excluded.era, boot = excluded.boot";

impl Store {
    pub(crate) fn board(&self) -> Result<Arc<Board>> {
        match self.board_if_open() {
            Some(board) => Ok(Arc::clone(board)),
            None => {
                let board = self.write(|db| self.open_board(db))?;
                Ok(Arc::clone(self.board_cell().get_or_init(|| board)))
            }
        }
    }

    pub(crate) fn board_if_open(&self) -> Option<&Arc<Board>> {
        self.board_cell().get()
    }

    /// The transaction keeps others from doing the same. If it is rolled back, or its process killed, the
    /// board that was made is there for the next.
    fn open_board(&self, db: &Db<'_>) -> Result<Arc<Board>> {
        let failed = |error| {
            Error::io(
                "can't open the board, on which it is written who holds what",
                error,
            )
        };
        let path = self.directory().board();
        let (seats, owners) = (self.directory().lock("seats"), Arc::clone(self.owners()));

        db.execute(SCHEMA, &[])?;
        db.execute(fence::SCHEMA, &[])?;
        let known = db.query_one(KNOWN, &[], |row| {
            Ok((row.int(0)?.cast_unsigned(), row.int(1)?))
        })?;
        let (era, made_in) = known.unzip();
        let this_run = boot::id().map_err(failed)?.cast_signed();

        let found = Board::open(&path, seats.clone(), Arc::clone(&owners)).map_err(failed)?;
        let board = match found.filter(|board| Some(board.era()) >= era) {
            Some(board) => board,
            None if made_in == Some(this_run) && self.others_live()? => return Err(replaced()),
            None => {
                let last = Board::last_era(&path)
                    .map_err(failed)?
                    .max(era.unwrap_or(0));
                Board::create(&path, seats, owners, last + 1).map_err(failed)?
            }
        };
        if Some(board.era()) != era || made_in != Some(this_run) {
            db.execute(RECORD, &[board.era().cast_signed().into(), this_run.into()])?;
        }
        Ok(Arc::new(board))
    }

    fn others_live(&self) -> Result<bool> {
        let failed = |error| Error::io("can't tell who else has the store open", error);
        for other in self.owners().others().map_err(failed)? {
            if self.owners().is_alive(other).map_err(failed)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn replaced() -> Error {
    Error::new(
        ErrorKind::Removed,
        "the board, on which it is written who holds what, was removed or damaged while other processes have the store \
         open; end them, then open it anew",
    )
}
