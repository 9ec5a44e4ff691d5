//! The board of a store, on which it is written who writes, and who holds its locks and permits.
//!
//! The database remembers its era, so that tokens grow for ever, and in which run of the system it was made: one that
//! is missing in the same run was removed, and a second beside it would let two hold one lock.

use std::io;
use std::sync::Arc;

use diskette_ipc::{Board, Owners, boot};
use rusqlite::{Connection, OptionalExtension, params};

use crate::directory::Directory;
use crate::error::{Error, ErrorKind, Result, from_sqlite};

const KNOWN: &str = "SELECT era, boot FROM boards WHERE id = 1";
const RECORD: &str = "INSERT INTO boards (id, era, boot) VALUES (1, ?1, ?2) \
    ON CONFLICT (id) DO UPDATE SET era = excluded.era, boot = excluded.boot";

/// Opens the board, or makes one. Called by one process at a time; if it is killed before the database knows of a
/// board that it made, that is there for the next.
pub(crate) fn open(
    directory: &Directory,
    owners: &Arc<Owners>,
    connection: &Connection,
) -> Result<Board> {
    let path = directory.board();
    let seats = directory.lock("seats");
    let known = connection
        .query_row(KNOWN, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional();
    let known: Option<(i64, i64)> = known.map_err(from_sqlite)?;
    let (era, made_in) = known.unzip();
    let era = era.map_or(0, i64::cast_unsigned);
    let this_run = boot::id().map_err(failed)?.cast_signed();

    let found = Board::open(&path, seats.clone(), Arc::clone(owners)).map_err(failed)?;
    let board = match found.filter(|board| board.era() >= era) {
        Some(board) => board,
        None if made_in == Some(this_run) && others_live(owners).map_err(failed)? => {
            return Err(replaced());
        }
        None => {
            let last = Board::last_era(&path).map_err(failed)?.max(era);
            Board::create(&path, seats, Arc::clone(owners), last + 1).map_err(failed)?
        }
    };
    if board.era() != era || made_in != Some(this_run) {
        let record = params![board.era().cast_signed(), this_run];
        connection.execute(RECORD, record).map_err(from_sqlite)?;
    }
    Ok(board)
}

fn others_live(owners: &Owners) -> io::Result<bool> {
    for other in owners.others()? {
        if owners.is_alive(other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn failed(error: io::Error) -> Error {
    Error::io(
        "can't open the board, on which it is written who holds what",
        error,
    )
}

fn replaced() -> Error {
    Error::new(
        ErrorKind::Removed,
        "the board, on which it is written who holds what, was removed or damaged while other processes have the store \
         open; end them, then open it anew",
    )
}
