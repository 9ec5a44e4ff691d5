//! What goes wrong with a server, told apart by SQLSTATE and never by message.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::error::{Error, ErrorKind};

/// What `enter` says of a structure that is not there any more: see `catalog.rs`.
pub(crate) const REMOVED: &str = "DK001";

pub(crate) fn from_postgres(error: tokio_postgres::Error) -> Error {
    let Some(state) = error.code() else {
        return match error.is_closed()
            || std::error::Error::source(&error).is_some_and(|it| it.is::<std::io::Error>())
        {
            true => lost().caused_by(error),
            false => Error::new(
                ErrorKind::Io,
                format!("PostgreSQL's client failed: {error}"),
            )
            .caused_by(error),
        };
    };
    let says = error.as_db_error().map_or("", |it| it.message()).to_owned();
    let (kind, message) = if *state == SqlState::LOCK_NOT_AVAILABLE
        || *state == SqlState::QUERY_CANCELED
    {
        (
            ErrorKind::Timeout,
            "the turn to write didn't come within the store's timeout; nothing was changed: try again, or allow a longer \
             timeout"
                .into(),
        )
    } else if *state == SqlState::T_R_DEADLOCK_DETECTED {
        (
            ErrorKind::Deadlock,
            "this transaction and another waited for each other, for a guard that both were fenced by, say; nothing was changed: \
             try again, and name guards in one order everywhere"
                .into(),
        )
    } else if state.code() == REMOVED {
        (
            ErrorKind::Removed,
            "the structure was removed from the store; make it anew".into(),
        )
    } else if *state == SqlState::PROGRAM_LIMIT_EXCEEDED {
        (
            ErrorKind::InvalidInput,
            format!(
                "PostgreSQL has a limit there ({says}): of a key no more than 2,600 bytes can be indexed"
            ),
        )
    } else if *state == SqlState::DISK_FULL {
        (
            ErrorKind::DiskFull,
            "the server's disk is full; nothing was changed: make room and try again".into(),
        )
    } else if *state == SqlState::READ_ONLY_SQL_TRANSACTION
        || *state == SqlState::INSUFFICIENT_PRIVILEGE
    {
        (
            ErrorKind::ReadOnly,
            format!(
                "this role or server may not write ({says}): grant what the README names, or use the primary"
            ),
        )
    } else if *state == SqlState::ADMIN_SHUTDOWN
        || *state == SqlState::CRASH_SHUTDOWN
        || *state == SqlState::CANNOT_CONNECT_NOW
    {
        return lost().caused_by(error);
    } else if *state == SqlState::UNDEFINED_OBJECT {
        (
            ErrorKind::Corrupt,
            format!(
                "a large value is gone ({says}); remove or replace the entry, or restore a backup"
            ),
        )
    } else if *state == SqlState::DATA_CORRUPTED || *state == SqlState::INDEX_CORRUPTED {
        (
            ErrorKind::Corrupt,
            format!("the server's data is damaged ({says}): a backup is the way out"),
        )
    } else {
        (
            ErrorKind::Io,
            format!("PostgreSQL failed ({}): {says}", state.code()),
        )
    };
    Error::new(kind, message).caused_by(error)
}

/// Whether the server said so.
pub(crate) fn is_state(error: &Error, state: &SqlState) -> bool {
    let source = std::error::Error::source(error);
    let said = source.and_then(|source| source.downcast_ref::<tokio_postgres::Error>());
    said.is_some_and(|said| said.code() == Some(state))
}

pub(crate) fn no_connection(timeout: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "no connection to the server was free within {timeout:?}: let it have more (max_connections), or put fewer threads to \
             it at once"
        ),
    )
}

pub(crate) fn lost() -> Error {
    Error::new(
        ErrorKind::Io,
        "the connection to the server was lost; what was held over it is held no more: try again",
    )
}

pub(crate) fn too_old(version: &str, oldest: u32) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the server is PostgreSQL {version}: diskette needs {oldest} or newer"),
    )
}

/// What a pooler that changes servers between transactions would make of it.
pub(crate) fn pooled() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "there is a pooler in between that gives each transaction another session of the server (pgbouncer's pool_mode = \
         transaction): diskette's locks and settings are a session's, so connect to the server itself, or by pool_mode = session",
    )
}

pub(crate) fn not_trusted(why: &rustls::CertificateError) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!(
            "the server's certificate is not to be trusted ({why}): name the file with its root by sslrootcert=/path/to/root.pem, and \
             the server as its certificate does; in a network that you trust, sslmode=disable will do"
        ),
    )
}

pub(crate) fn no_answer(timeout: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!(
            "the server didn't answer within {timeout:?}: is it running, and its address right?"
        ),
    )
}

pub(crate) fn cant_connect(error: std::io::Error) -> Error {
    Error::io("can't connect to the server", error)
}
