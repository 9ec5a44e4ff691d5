//! How much a bench does.

use std::env;

/// `cargo bench` measures, with `much`. `cargo test`, which doesn't optimize, only shows that a bench still runs: with `little`, in seconds.
pub const fn scaled<T: Copy>(much: T, little: T) -> T {
    if cfg!(debug_assertions) { little } else { much }
}

/// Whether there is anything to do: in `cargo test --release` there isn't.
pub fn is_asked_for() -> bool {
    cfg!(debug_assertions) || env::args().any(|argument| argument == "--bench")
}
