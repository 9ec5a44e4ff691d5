//! Names that no two tests share.

use std::thread;

/// A name for a store that only this test has: after the test, which a name in the database then leads back to.
///
/// # Panics
///
/// If the kernel gives no random number.
#[must_use]
pub fn unique_store() -> String {
    let test = thread::current().name().unwrap_or_default().to_lowercase();
    let words: Vec<_> = test
        .split(|char: char| !char.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut name = words.join("_");
    name.truncate(LONGEST - "_".len() - 16);
    let number = diskette_ipc::random::number().expect("a random number");
    format!("{name}_{number:016x}")
}

/// PostgreSQL's longest identifier, less a little for what is put before it.
const LONGEST: usize = 48;
