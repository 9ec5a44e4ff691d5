//! Large values: large objects of the server, which go with their row. Each has the bytes that its file would have where a store
//! is a directory.
//!
//! A value is written to a file for the time being, before the transaction, and sent within it; so none is left behind by who
//! dies. It is read into such a file as well, and stays as it was, whatever becomes of its row.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use diskette_ipc::{plain_file, random};

use crate::db::Db;
use crate::error::{Error, ErrorKind, Result};
use crate::postgres::Postgres;
use crate::postgres::work::{Manner, Work};
use crate::sqlite::value_file::{self, StreamReader};

const LINK: &str = "INSERT INTO value_files (id, bytes, object) VALUES ($1, $2, CAST(lo_create(0) AS BIGINT)) RETURNING object";
const PUT: &str = "SELECT 1 FROM (SELECT lo_put($1, $2, $3)) AS done";
const FIND: &str = "SELECT object FROM value_files WHERE id = $1";
const GET: &str = "SELECT lo_get($1, $2, $3)";
const FORGET: &str =
    "DELETE FROM value_files WHERE id = $1 RETURNING lo_unlink(CAST(object AS OID))";

/// What is sent at a time.
const CHUNK: usize = 1024 * 1024;

/// A value on its way to the server.
#[derive(Debug)]
pub(crate) struct NewObject {
    pub(crate) id: i64,
    pub(crate) bytes: u64,
    file: File,
}

impl Postgres {
    pub(crate) fn new_object(&self, from: &mut dyn Read) -> Result<NewObject> {
        self.must_be_writable()?;
        let mut file = temporary().map_err(cant_write)?;
        let bytes = value_file::write(&mut file, from)?;
        Ok(NewObject {
            id: random::number().map_err(cant_write)?,
            bytes,
            file,
        })
    }

    /// The value of a row, on a connection of its own.
    pub(crate) fn open_value(&self, id: i64) -> Result<StreamReader> {
        let connection = self.lend()?;
        open(&Work::new(&connection, Manner::Read), id)
    }

    pub(crate) fn forget_value(&self, db: &Db<'_>, id: i64) -> Result<()> {
        db.query_one(FORGET, &[id.into()], |_| Ok(())).map(drop)
    }
}

impl NewObject {
    /// What is in a file already.
    pub(crate) fn of(id: i64, bytes: u64, file: File) -> Self {
        NewObject { id, bytes, file }
    }

    pub(crate) fn link(mut self, db: &Db<'_>) -> Result<()> {
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let object = db.query_one(LINK, &[self.id.into(), bytes.into()], |row| row.int(0))?;
        let object = object.unwrap_or_default();
        self.file.seek(SeekFrom::Start(0)).map_err(cant_write)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut at = 0_i64;
        loop {
            chunk.clear();
            let some = Read::take(&mut self.file, CHUNK as u64).read_to_end(&mut chunk);
            if some.map_err(cant_write)? == 0 {
                return Ok(());
            }
            let part = [object.into(), at.into(), chunk.as_slice().into()];
            db.query_one(PUT, &part, |_| Ok(()))?;
            at += chunk.len() as i64;
        }
    }

    /// As it will be read.
    pub(crate) fn read(&self) -> Result<StreamReader> {
        StreamReader::of(self.file.try_clone().map_err(cant_write)?, PathBuf::new())
    }
}

/// The value of a row, within the operation that has read it.
pub(crate) fn open(work: &Work<'_>, id: i64) -> Result<StreamReader> {
    let found = work.query(FIND, &[id.into()])?;
    let Some(row) = found.first() else {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the large value {id:016x} is gone; remove or replace the entry, or restore a backup"
            ),
        ));
    };
    let object: i64 = row.get(0);
    let mut file = temporary().map_err(cant_write)?;
    let mut at = 0_i64;
    loop {
        let part = [object.into(), at.into(), (CHUNK as i64).into()];
        let rows = work.query(GET, &part)?;
        let chunk: &[u8] = rows.first().map_or(&[], |row| row.get(0));
        if chunk.is_empty() {
            return StreamReader::of(file, PathBuf::new());
        }
        file.write_all(chunk).map_err(cant_write)?;
        at += chunk.len() as i64;
    }
}

/// A file that is gone with its descriptor.
fn temporary() -> io::Result<File> {
    let path = env::temp_dir().join(format!("diskette-{:016x}", random::number()?));
    let file = plain_file::create(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

fn cant_write(error: io::Error) -> Error {
    Error::io(
        "can't keep a large value in the directory for temporary files",
        error,
    )
}
