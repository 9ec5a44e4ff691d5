use diskette_ipc::{Stop, background};
use diskette_store::{Error, Result};

/// Stops `own` once one of `others` is stopped, and then tells so. It ends when `own` is stopped, in whatever way.
pub(crate) fn follow(
    others: Vec<Stop>,
    own: &Stop,
    tell: impl FnOnce() + Send + 'static,
) -> Result<()> {
    if others.is_empty() {
        return Ok(());
    }
    let own = own.clone();
    let wait = move || {
        let all: Vec<_> = others.iter().chain([&own]).collect();
        Stop::wait_any(&all);
        own.stop();
        if others.iter().any(Stop::is_stopped) {
            tell();
        }
    };
    let spawned = background::spawn("diskette-stop", wait);
    spawned.map_err(|error| Error::io("can't start a thread that waits for the stop", error))?;
    Ok(())
}
