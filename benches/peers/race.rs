//! Processes that begin together.

use std::process::Command;
use std::time::Duration;

use crate::racer::Racer;

/// For what takes seconds: nobody is waited for longer.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Starts processes, each of which says `ready`, waits for a line, and then says what it measured: these lines.
pub(crate) fn race(commands: impl IntoIterator<Item = Command>) -> Vec<String> {
    let mut racers: Vec<_> = commands.into_iter().map(Racer::start).collect();
    for racer in &mut racers {
        assert_eq!(racer.hear(PATIENCE).as_deref(), Some("ready"));
    }
    racers.iter_mut().for_each(|racer| racer.say(""));
    let said = racers.iter_mut().map(|racer| racer.hear(PATIENCE));
    said.map(|line| line.expect("what it measured")).collect()
}
