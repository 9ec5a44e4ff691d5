//! The one place that opens connections, and how they are set.

use std::ffi::{CStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use diskette_vfs::LogLocks;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, ErrorKind, Result, from_sqlite};
use crate::options::Durability;
use crate::sqlite::housekeeping::CAP;

/// SQLite before 3.51.3 can corrupt a database when its WAL is reset by two connections at once.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long SQLite itself waits for a stranger's lock: diskette's own writers queue at the gate.
const STRANGERS: Duration = Duration::from_secs(10);

/// Room for every statement of a few dozen structures.
const STATEMENTS: usize = 512;

/// Cached pages, in KiB: most a connection may hold.
const CACHE: i64 = 16 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}

pub(crate) fn require_sound_sqlite() -> Result<()> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "SQLite {} can corrupt a database that several processes write; \
                 link 3.51.3 or newer, or turn on diskette's feature `bundled`",
                rusqlite::version()
            ),
        ));
    }
    Ok(())
}

/// Opens the database, which exists. Without `locks` it is a copy that nobody knows of yet.
pub(crate) fn open(
    database: &Path,
    locks: Option<&LogLocks>,
    role: Role,
    durability: Durability,
) -> Result<Connection> {
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = match locks {
        Some(locks) => locks.connect(|vfs| connect(database, access, vfs)),
        None => connect(database, access, None),
    }?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(from_sqlite)?;
    if mode != "wal" {
        let message = format!(
            "SQLite can't keep a write-ahead log here (its journal mode stays {mode}): use a local disk"
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    set_durability(&connection, durability)?;
    // A quarter more, so that a log of that length isn't shortened, to grow again, whenever it is begun anew.
    let longest_log = (CAP + CAP / 4) * 4096;
    connection
        .execute_batch(&format!(
            "{COMMON} PRAGMA cache_size = -{CACHE};
             PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {longest_log};"
        ))
        .map_err(from_sqlite)?;
    if role == Role::Reader {
        connection
            .pragma_update(None, "query_only", true)
            .map_err(from_sqlite)?;
    }
    Ok(connection)
}

/// Opens the database for who may only read it, without touching a file: with its log, which is there, or without it where
/// nobody has it open.
pub(crate) fn open_to_read(database: &Path, log: Log) -> Result<Connection> {
    let how = match log {
        Log::Beside => "readonly_shm=1",
        Log::None => "immutable=1",
    };
    let mut uri = OsString::from("file:").into_vec();
    for &byte in database.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(byte),
            _ if byte.is_ascii_alphanumeric() => uri.push(byte),
            _ => uri.extend(format!("%{byte:02x}").bytes()),
        }
    }
    uri.extend(format!("?{how}").bytes());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = connect(Path::new(&OsString::from_vec(uri)), flags, None)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .and_then(|_| connection.execute_batch(&format!("{COMMON} PRAGMA cache_size = -{CACHE};")))
        .map_err(from_sqlite)?;
    Ok(connection)
}

/// Whether who only reads the database has to look into its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    Beside,
    None,
}

const COMMON: &str = "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;";

#[allow(clippy::disallowed_methods)]
fn connect(database: &Path, access: OpenFlags, vfs: Option<&CStr>) -> Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(database, flags, vfs),
        None => Connection::open_with_flags(database, flags),
    };
    let connection = connection.map_err(from_sqlite)?;
    connection.busy_timeout(STRANGERS).map_err(from_sqlite)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Nothing that somebody else has put into the database is run.
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    ] {
        connection.set_db_config(setting, on).map_err(from_sqlite)?;
    }
    Ok(connection)
}

/// What a power cut may take of what this connection commits from now on.
pub(crate) fn set_durability(connection: &Connection, durability: Durability) -> Result<()> {
    let synchronous = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    connection
        .execute_batch(&format!("PRAGMA synchronous = {synchronous}"))
        .map_err(from_sqlite)
}

/// Closes a connection before a fork: quickly, without the checkpoint of a last one.
pub(crate) fn close_for_fork(connection: Connection) {
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    drop(connection);
}

/// No call sees this: a turn and a reader have their connection until they are dropped.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Misuse, "the connection is closed")
}
