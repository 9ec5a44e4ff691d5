//! The file of a large value: a header, then the value's bytes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use diskette_ipc::plain_file;

use crate::error::{Error, ErrorKind, Result};

/// The header: `MAGIC`, the CRC-32 of the content, its length in bytes.
const HEADER: u64 = 16;
const MAGIC: [u8; 4] = *b"dkv1";

/// What is in memory at a time of a stream.
const CHUNK: usize = 64 * 1024;

/// Fills a new file with what `from` has; says how many bytes that was.
pub(crate) fn write(file: &mut File, from: &mut dyn Read) -> Result<u64> {
    let failed = |error| Error::io("can't write a value's file", error);
    file.seek(SeekFrom::Start(HEADER)).map_err(failed)?;
    let mut sum = crc32fast::Hasher::new();
    let mut length = 0_u64;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("can't read the stream to store", error)),
        };
        sum.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(failed)?;
        length += read as u64;
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.write_all(&header(sum.finalize(), length))
        .map_err(failed)?;
    Ok(length)
}

/// Fills a new file with these bytes; says how many they are.
pub(crate) fn write_all(file: &mut File, bytes: &[u8]) -> Result<u64> {
    let length = bytes.len() as u64;
    file.write_all(&header(crc32fast::hash(bytes), length))
        .and_then(|()| file.write_all(bytes))
        .map_err(|error| Error::io("can't write a value's file", error))?;
    Ok(length)
}

/// A large value, read piece by piece. It stays whole while it is open, whatever becomes of its row.
///
/// # Errors
///
/// Reading fails with [`InvalidData`](io::ErrorKind::InvalidData) where the file ends too early, and, if it was read from its
/// start to its end, at the end where its checksum is wrong: by then most of it was handed out.
#[derive(Debug)]
pub struct StreamReader {
    path: PathBuf,
    file: BufReader<File>,
    length: u64,
    sum: u32,
    at: u64,
    /// Of what was read without a break from the start on, so that its end tells whether it is whole.
    read: Option<crc32fast::Hasher>,
}

impl StreamReader {
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        match plain_file::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(damaged(&path, "is gone")),
            file => Self::of(file.map_err(unreadable)?, path),
        }
    }

    /// What is in a file, from its beginning.
    pub(crate) fn of(mut file: File, path: PathBuf) -> Result<Self> {
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let on_disk = file.metadata().map_err(unreadable)?.len();
        let mut header = [0; HEADER as usize];
        let read = file.read_exact(&mut header);
        let (magic, sum, length) = parse(&header);
        if read.is_err() || magic != MAGIC || on_disk != HEADER.saturating_add(length) {
            return Err(damaged(&path, "is cut short or overwritten"));
        }
        Ok(StreamReader {
            path,
            file: BufReader::with_capacity(CHUNK, file),
            length,
            sum,
            at: 0,
            read: Some(crc32fast::Hasher::new()),
        })
    }

    /// All of it, its checksum compared.
    pub(crate) fn read_whole(mut self) -> Result<Vec<u8>> {
        // A length that somebody made up must not take memory that isn't there.
        let mut bytes = Vec::new();
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(length).map_err(|error| {
            damaged(&self.path, "is longer than there is memory").caused_by(error)
        })?;
        // Nothing was read ahead yet.
        self.file
            .get_mut()
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() != length {
            return Err(damaged(&self.path, "was cut short while it was read"));
        }
        if crc32fast::hash(&bytes) != self.sum {
            return Err(damaged(&self.path, "was changed: its checksum is wrong"));
        }
        Ok(bytes)
    }

    /// The file that it is read from, for those who hand it to the kernel (`sendfile`, `X-Accel-Redirect`): the value begins at
    /// [`OFFSET`](Self::OFFSET). It goes when the value is replaced or removed; who has it open reads on. Empty where the value came
    /// from a database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// So many bytes of the file come before the value.
    pub const OFFSET: u64 = HEADER;

    /// The length of the value, in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Has the value no bytes?
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..most])?;
        self.at += read as u64;
        if read == 0 && most > 0 {
            return Err(rotten(
                "a large value's file was cut short while it was read",
            ));
        }
        if let Some(sum) = &mut self.read {
            sum.update(&buffer[..read]);
            if self.at == self.length && sum.clone().finalize() != self.sum {
                return Err(rotten(
                    "a large value was changed on the disk: its checksum is wrong",
                ));
            }
        }
        Ok(read)
    }
}

impl Seek for StreamReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => i128::from(to),
            SeekFrom::End(by) => i128::from(self.length) + i128::from(by),
            SeekFrom::Current(by) => i128::from(self.at) + i128::from(by),
        };
        let to = u64::try_from(to).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "a seek to before the start")
        })?;
        self.file.seek(SeekFrom::Start(HEADER.saturating_add(to)))?;
        self.read = match to {
            0 => Some(crc32fast::Hasher::new()),
            to if to == self.at => self.read.take(),
            _ => None,
        };
        self.at = to;
        Ok(to)
    }
}

fn header(sum: u32, length: u64) -> [u8; HEADER as usize] {
    let mut header = [0; HEADER as usize];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&sum.to_le_bytes());
    header[8..].copy_from_slice(&length.to_le_bytes());
    header
}

fn parse(header: &[u8; HEADER as usize]) -> ([u8; 4], u32, u64) {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *header;
    (
        [a, b, c, d],
        u32::from_le_bytes([e, f, g, h]),
        u64::from_le_bytes(rest),
    )
}

fn rotten(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}

fn unreadable(error: io::Error) -> Error {
    Error::reading("can't read a value's file", error)
}

fn damaged(path: &Path, how: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!(
            "the file of a large value, {}, {how}; remove or replace the entry, or restore a backup",
            path.display()
        ),
    )
}
