//! What lies on the disk.

use std::fs;
use std::path::{Path, PathBuf};

/// All files below a directory.
///
/// # Panics
///
/// If it can't be read.
#[must_use]
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}
