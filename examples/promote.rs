//! Moves the store of a directory to a PostgreSQL database, while its processes run: they wait for a moment at the end, and then go on there.
//!
//! Try `cargo run --release -p diskette --example promote -- crawl 'postgres://user@host/database?store=crawl'`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use diskette::Store;
use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};

/// Moves a store to a PostgreSQL database.
#[derive(Parser)]
#[command(name = "promote")]
struct Options {
    /// The directory of the store
    store: PathBuf,
    /// Where to: postgres://user@host/database?store=name
    url: String,
    /// How long to wait for who is writing, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let store = Store::options()
        .create(false)
        .timeout(Duration::from_secs(options.timeout))
        .open(&options.store)?;
    let style = "{msg:>12} {wide_bar} {pos} of {len} rows, {elapsed}";
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template(style)?);
    let moved = store.promote(&options.url, |progress| {
        bar.set_length(progress.all_rows);
        bar.set_position(progress.rows);
        bar.set_message(progress.kind.clone());
    })?;
    bar.finish_and_clear();
    println!(
        "{} rows, {}, have moved to {}; nobody could write for {:.1} s",
        HumanCount(moved.rows),
        DecimalBytes(moved.bytes),
        moved.store.path().display(),
        moved.pause.as_secs_f64()
    );
    Ok(())
}
