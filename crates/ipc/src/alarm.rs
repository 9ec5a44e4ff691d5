//! Giving up in time on a system call that has no time-out: a timer of this thread interrupts it.

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::time::Duration;

use nix::libc::{self, c_int};

use crate::back_off;
use crate::clock::Deadline;
use crate::fork;

/// A signal may land just before the call that it should interrupt: so it is sent again and again.
const AGAIN: Duration = Duration::from_millis(2);

thread_local! {
    static TIMER: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

/// Runs the system call `block` until it answers or the deadline passes. Where no timer is to be had, repeats `attempt`.
pub(crate) fn wait<T>(
    deadline: Deadline,
    block: impl Fn() -> io::Result<T>,
    attempt: impl Fn() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    if deadline == Deadline::never() {
        return uninterrupted(deadline, block);
    }
    let answer = TIMER.try_with(|slot| {
        let mut slot = slot.try_borrow_mut().ok()?;
        if slot.as_ref().is_none_or(Timer::is_inherited) {
            *slot = Timer::new().ok();
        }
        let timer = slot.as_ref()?;
        let _ringing = timer.ring_at(deadline).ok()?;
        Some(uninterrupted(deadline, &block))
    });
    match answer {
        Ok(Some(answer)) => answer,
        _ => back_off::repeat(deadline, attempt),
    }
}

/// `None` once a signal has interrupted the call past the deadline; other people's signals are no reason to stop.
fn uninterrupted<T>(
    deadline: Deadline,
    block: impl Fn() -> io::Result<T>,
) -> io::Result<Option<T>> {
    loop {
        match block() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if deadline.is_past() {
                    return Ok(None);
                }
            }
            answer => return answer.map(Some),
        }
    }
}

/// A timer that sends a signal to the thread that made it.
struct Timer {
    id: libc::timer_t,
    signal: c_int,
    generation: u64,
}

impl Timer {
    fn new() -> io::Result<Self> {
        let signal = signal()?;
        // SAFETY: all zeroes is a valid sigevent, `id` is valid for writing.
        unsafe {
            let mut event: libc::sigevent = MaybeUninit::zeroed().assume_init();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal;
            event.sigev_notify_thread_id = libc::gettid();
            let mut id: libc::timer_t = null_mut();
            succeeded(libc::timer_create(
                libc::CLOCK_MONOTONIC,
                &mut event,
                &mut id,
            ))?;
            Ok(Self {
                id,
                signal,
                generation: fork::generation(),
            })
        }
    }

    /// A child has none of its parent's timers, and its own may have got the same id.
    fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    fn ring_at(&self, deadline: Deadline) -> io::Result<Ringing<'_>> {
        let left = deadline.remaining().unwrap_or(Duration::MAX);
        let mask = unblock(self.signal)?;
        let ringing = Ringing { timer: self, mask };
        // Zero would mean off.
        self.set(left.max(Duration::from_nanos(1)), AGAIN)?;
        Ok(ringing)
    }

    fn set(&self, first: Duration, then: Duration) -> io::Result<()> {
        let times = libc::itimerspec {
            it_value: timespec(first),
            it_interval: timespec(then),
        };
        // SAFETY: the timer is this process's and lives until drop.
        succeeded(unsafe { libc::timer_settime(self.id, 0, &times, null_mut()) })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if !self.is_inherited() {
            // SAFETY: made by this process, and nobody uses it any more.
            unsafe { libc::timer_delete(self.id) };
        }
    }
}

/// The timer runs and its signal gets through, until drop.
struct Ringing<'a> {
    timer: &'a Timer,
    mask: libc::sigset_t,
}

impl Drop for Ringing<'_> {
    fn drop(&mut self) {
        // In this order no signal is left pending.
        let _ = self.timer.set(Duration::ZERO, Duration::ZERO);
        // SAFETY: the mask is the one that pthread_sigmask gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.mask, null_mut()) };
    }
}

/// Lets `signal` through to this thread; returns the mask to go back to.
fn unblock(signal: c_int) -> io::Result<libc::sigset_t> {
    // SAFETY: sigset_t is plain data, made valid by sigemptyset or pthread_sigmask before it is read.
    unsafe {
        let mut only: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        let mut before: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&mut only);
        libc::sigaddset(&mut only, signal);
        match libc::pthread_sigmask(libc::SIG_UNBLOCK, &only, &mut before) {
            0 => Ok(before),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// The highest real-time signal that nobody in this process uses, with a handler that does nothing: it is there
/// so that the signal interrupts a system call and no more.
fn signal() -> io::Result<c_int> {
    extern "C" fn nothing(_: c_int) {}
    let nothing = nothing as extern "C" fn(c_int) as libc::sighandler_t;

    for signal in (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev() {
        // SAFETY: all zeroes is a valid sigaction; the handler is async-signal-safe.
        unsafe {
            let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
            succeeded(libc::sigaction(signal, null(), &mut action))?;
            if action.sa_sigaction == nothing {
                return Ok(signal);
            }
            if action.sa_sigaction == libc::SIG_DFL {
                action = MaybeUninit::zeroed().assume_init();
                action.sa_sigaction = nothing;
                action.sa_flags = libc::SA_ONSTACK; // and not SA_RESTART
                succeeded(libc::sigaction(signal, &action, null_mut()))?;
                return Ok(signal);
            }
        }
    }
    Err(io::Error::other("every real-time signal is in use"))
}

fn timespec(duration: Duration) -> libc::timespec {
    // SAFETY: all zeroes is a valid timespec (some targets have padding that cannot be named).
    let mut time: libc::timespec = unsafe { MaybeUninit::zeroed().assume_init() };
    time.tv_sec = libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX);
    time.tv_nsec = duration.subsec_nanos().into();
    time
}

fn succeeded(code: c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
