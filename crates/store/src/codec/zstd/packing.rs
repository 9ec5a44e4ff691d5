use std::io::{self, Write};

use super::frames::{self, CHUNK};
use super::{PACKED, PLAIN, SMALL};

/// Writes what is written to it, compressed if that makes the first chunk smaller: the same bytes as if it were all in memory.
pub(super) struct Packing<W> {
    to: W,
    /// What is yet to be compressed, shorter than [`CHUNK`].
    chunk: Vec<u8>,
    form: Option<u8>,
    plain: u64,
    packed: u64,
}

impl<W: Write> Packing<W> {
    pub(super) fn new(to: W) -> Self {
        Packing {
            to,
            chunk: Vec::new(),
            form: None,
            plain: 0,
            packed: 0,
        }
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.form.is_none() || !self.chunk.is_empty() {
            self.write_chunk()?;
        }
        if self.form == Some(PACKED) {
            let padding = frames::padding(self.plain, self.packed);
            io::copy(&mut io::Read::take(io::repeat(0), padding), &mut self.to)?;
        }
        self.to.flush()
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        let chunk = &self.chunk;
        let packed = match self.form {
            None if chunk.len() <= SMALL => None,
            None => frames::smaller(chunk),
            Some(_) => {
                Some(frames::frame(chunk).ok_or_else(|| io::Error::other("zstd can't compress"))?)
            }
        };
        if self.form.is_none() {
            let form = if packed.is_some() { PACKED } else { PLAIN };
            self.to.write_all(&[form])?;
            self.form = Some(form);
        }
        let bytes = packed.as_ref().unwrap_or(chunk);
        self.to.write_all(bytes)?;
        self.plain += chunk.len() as u64;
        self.packed += bytes.len() as u64;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for Packing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.form == Some(PLAIN) {
            return self.to.write(bytes);
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.write_chunk()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
