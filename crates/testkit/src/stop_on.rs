//! Stopping by real signals.

use std::sync::OnceLock;

use diskette_ipc::Stop;
use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// A stop of this process, stopped by the handler of each of these signals, within the handler.
///
/// # Panics
///
/// If there can't be such a handler.
pub fn stop_on(signals: impl IntoIterator<Item = Signal>) -> Stop {
    let stop = STOP.get_or_init(Stop::new).clone();
    let handler = SigHandler::Handler(stop_now);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    for signal in signals {
        // SAFETY: the handler does what may be done in one.
        #[allow(unsafe_code, reason = "a handler can do harm")]
        unsafe { sigaction(signal, &action) }.expect("a handler");
    }
    stop
}

static STOP: OnceLock<Stop> = OnceLock::new();

extern "C" fn stop_now(_signal: c_int) {
    if let Some(stop) = STOP.get() {
        stop.stop();
    }
}
