//! Where SQLite is not compiled in, says so at once if the system's can't be linked: its linker wouldn't say why.

use std::env;
use std::process::Command;

/// What rusqlite is made for. (To open a store takes a newer one: see `connection.rs`.)
const OLDEST: [u32; 3] = [3, 45, 3];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SQLITE3_LIB_DIR");
    // Whoever asked for it: another crate may have.
    let bundled = env::var_os("DEP_SQLITE3_LIB_DIR").is_some();
    let chosen = env::var_os("SQLITE3_LIB_DIR").is_some();
    if bundled || chosen || env::var("HOST") != env::var("TARGET") {
        return;
    }
    if let Some(found) = version().filter(|found| numbers(found) < OLDEST.to_vec()) {
        println!(
            "cargo::error=the system's SQLite is {found}: diskette links with 3.45.3 or later, and opens stores with 3.51.3 or \
             later. Turn on the feature `bundled`, or name the directory of another SQLite in SQLITE3_LIB_DIR"
        );
    }
}

/// As pkg-config knows it, if it does.
fn version() -> Option<String> {
    let said = Command::new("pkg-config")
        .args(["--modversion", "sqlite3"])
        .output()
        .ok()?;
    let version = String::from_utf8(said.stdout).ok()?;
    Some(version.trim().to_owned()).filter(|version| !version.is_empty())
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}
