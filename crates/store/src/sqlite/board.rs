//! The board of a store, on which it is written who writes, and who holds its locks and permits.
//!
//! The database remembers its era, so that tokens grow for ever. It is replaced only when nobody lives who could know it: a
//! second one beside it would let two hold one lock.

use std::io;
use std::sync::Arc;

use diskette_ipc::{Board, Owners};
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::sqlite::directory::Directory;

const KNOWN: &str = "SELECT era FROM boards WHERE id = 1";
const RECORD: &str =
    "INSERT INTO boards (id, era) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET era = excluded.era";

/// Opens the board, or makes one. Called by one process at a time; if it is killed before the database knows of a
/// board that it made, that is there for the next.
pub(crate) fn open(
    directory: &Directory,
    owners: &Arc<Owners>,
    connection: &Connection,
) -> Result<Board> {
    let path = directory.board();
    let seats = directory.lock("seats");
    let known = connection.query_row(KNOWN, [], |row| row.get(0)).optional();
    let known: Option<i64> = known.map_err(from_sqlite)?;
    let era = known.map_or(0, i64::cast_unsigned);

    let found = Board::open(&path, seats.clone(), Arc::clone(owners)).map_err(failed)?;
    let board = match found.filter(|board| board.era() >= era) {
        // Containers may have a number each for the run of the one system.
        Some(board) if board.is_of_this_run().map_err(failed)? => board,
        Some(board) if others_live(owners).map_err(failed)? => board,
        None if others_live(owners).map_err(failed)? => return Err(replaced()),
        _ => {
            let last = Board::last_era(&path).map_err(failed)?.max(era);
            Board::create(&path, seats, Arc::clone(owners), last + 1).map_err(failed)?
        }
    };
    if known != Some(board.era().cast_signed()) {
        connection
            .execute(RECORD, [board.era().cast_signed()])
            .map_err(from_sqlite)?;
    }
    // From here on nobody replaces it while this process lives.
    owners.me().map_err(failed)?;
    Ok(board)
}

/// Whether another process has the store open.
pub(crate) fn others_live(owners: &Owners) -> io::Result<bool> {
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
