//! A disk whose sync takes longer: the bench runs itself anew with a library before the C library's.

use std::env;
use std::path::Path;
use std::process::{Command, exit};

use crate::argument;

/// In place of this process, if it was asked for a slower sync, runs another that has it.
pub(crate) fn begin_anew_if_asked() {
    let Some(microseconds) = argument("--sync") else {
        return;
    };
    if env::var_os("SLOW_SYNC").is_some() {
        return;
    }
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("slow_sync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("threads/slow_sync.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "a C compiler, for a slow sync"
    );
    let anew = Command::new(env::current_exe().expect("this program"))
        .args(env::args().skip(1))
        .env("SLOW_SYNC", microseconds)
        .env("LD_PRELOAD", library)
        .status();
    exit(anew.expect("this program again").code().unwrap_or(1));
}
