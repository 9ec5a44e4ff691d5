//! The command line.

use std::path::PathBuf;

use clap::{Parser, value_parser};

/// Compresses files with several processes, and goes on where it was stopped.
///
/// FILE becomes FILE.gz below the output directory; what is read is left as it is.
#[derive(Parser)]
#[command(name = "jobs")]
pub struct Options {
    /// Files and directories to compress [default: what an earlier run has left, or else /usr/share/doc]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Worker processes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// How hard to compress
    #[arg(long, value_name = "0-9", default_value_t = 6, value_parser = value_parser!(u32).range(0..=9))]
    pub level: u32,
    /// The share of all attempts that are to fail, to see what becomes of them
    #[arg(long, value_name = "0-1", default_value_t = 0.0, value_parser = share)]
    pub fail_rate: f64,
    /// Directory that keeps the jobs; another run goes on with them
    #[arg(long, value_name = "DIR", default_value = "jobs-data")]
    pub data: PathBuf,
    /// Where to put what is compressed [default: files in the data directory]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Try those again that are dead
    #[arg(long)]
    pub retry_dead: bool,
    /// Write a page of HTML: how fast it was, how long jobs took, and which worker ran which of them when
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// One of the workers
    #[arg(long, hide = true)]
    pub worker: Option<u32>,
}

impl Options {
    pub fn output(&self) -> PathBuf {
        let below_the_data = || self.data.join("files");
        self.output.clone().unwrap_or_else(below_the_data)
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1 is needed".to_owned())
}
