//! A file is compressed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use crate::job::Compressed;

/// Writes `from` to its place below `output`. What is there is whole at any moment, and the same however often this is done: an attempt
/// that was killed leaves a part of it at most, which the next one begins anew.
pub fn compress(from: &Path, output: &Path, level: u32) -> io::Result<Compressed> {
    let mut source = File::open(from)?;
    if !source.metadata()?.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    let to = place(from, output);
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    let part = with(&to, ".part");
    let mut target = GzBuilder::new().write(File::create(&part)?, Compression::new(level));
    let bytes_in = io::copy(&mut source, &mut target)?;
    let bytes_out = target.finish()?.metadata()?.len();
    fs::rename(part, to)?;
    Ok(Compressed {
        bytes_in,
        bytes_out,
    })
}

/// The whole of its path is below `output`, so that any number of trees have room there.
fn place(from: &Path, output: &Path) -> PathBuf {
    with(&output.join(from.strip_prefix("/").unwrap_or(from)), ".gz")
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
