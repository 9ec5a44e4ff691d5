//! To and from files, telling the failures of a file from those of a value.

use std::io::{self, BufWriter, Read, Write};

use super::format::Failure;
use super::refusal::Refusal;
use crate::error::{Error, Result};

/// Where a codec writes a value: buffered, and with the first failure kept.
pub(super) struct Sink<W: Write> {
    to: BufWriter<W>,
    failure: Option<io::Error>,
}

/// Has `encode` write to `to`.
pub(super) fn write<W: Write>(
    codec: &'static str,
    to: W,
    encode: impl FnOnce(&mut Sink<W>) -> Result<(), Failure>,
) -> Result<()> {
    let mut sink = Sink {
        to: BufWriter::with_capacity(BUFFER, to),
        failure: None,
    };
    let encoded = encode(&mut sink);
    let flushed = if encoded.is_ok() {
        sink.flush()
    } else {
        Ok(())
    };
    if let Some(failure) = sink.failure.take().or(flushed.err()) {
        return Err(Error::io("writing a value", failure));
    }
    encoded.map_err(|error| Error::codec(codec, "encode", error))
}

/// Reads the `length` bytes that `from` must have, holding no more than it really has.
pub(super) fn read<R: Read>(codec: &'static str, from: R, length: u64) -> Result<Vec<u8>> {
    let expected = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(expected.saturating_add(1).min(BUFFER));
    let found = from.take(length.saturating_add(1)).read_to_end(&mut bytes);
    match found.map_err(|error| Error::io("reading a value", error))? as u64 {
        found if found == length => Ok(bytes),
        found => Err(Error::codec(
            codec,
            "decode",
            Refusal::Length { found, length },
        )),
    }
}

const BUFFER: usize = 64 * 1024;

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to
            .write(bytes)
            .map_err(|error| keep(&mut self.failure, error))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to
            .write_all(bytes)
            .map_err(|error| keep(&mut self.failure, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Keeps `error`, and gives the codec one of the same kind to fail with.
fn keep(failure: &mut Option<io::Error>, error: io::Error) -> io::Error {
    let kind = error.kind();
    if kind != io::ErrorKind::Interrupted {
        failure.get_or_insert(error);
    }
    kind.into()
}
