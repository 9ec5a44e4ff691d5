//! Processes that this one starts: they end with it, are told to stop, and are waited for without being reaped.

use std::io;
use std::mem::MaybeUninit;
use std::process::{Child, Command};

use nix::libc;

/// Sees to it that what `command` starts is killed by the kernel when the *thread* that starts it ends, however that comes about. Only on
/// Linux; elsewhere it changes nothing.
///
/// # Errors
///
/// None here; starting fails where the kernel refuses, or this process is gone already.
///
/// # Example
///
/// ```
/// use std::process::Command;
/// use diskette_ipc::offspring;
///
/// let mut child = offspring::die_with_this_thread(Command::new("sleep").arg("3600")).spawn()?;
/// offspring::terminate(&child)?;
/// assert!(!child.wait()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn die_with_this_thread(command: &mut Command) -> &mut Command {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;
        let parent = std::process::id().cast_signed();
        let arrange = move || {
            // SAFETY: it takes two numbers and touches no memory.
            if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
                return Err(io::Error::last_os_error());
            }
            // A parent that died before that is never heard of.
            match nix::unistd::getppid().as_raw() == parent {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            }
        };
        // SAFETY: two system calls, no lock and no memory.
        unsafe { command.pre_exec(arrange) };
    }
    command
}

/// Asks a child to end, by SIGTERM. One that has ended already, and wasn't waited for, is left alone.
///
/// # Errors
///
/// Those of the kernel.
pub fn terminate(child: &Child) -> io::Result<()> {
    // Nobody else has its id before it was waited for, which takes it mutably.
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    Ok(nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM)?)
}

/// Sleeps until the child with this id has ended. It is still there to be waited for, so that its id is nobody else's yet.
///
/// # Errors
///
/// Those of the kernel: there is no such child, perhaps because it was waited for.
pub fn await_end(child: u32) -> io::Result<()> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: it writes nothing but `info`, which is as large as it is to be.
        let waited =
            unsafe { libc::waitid(libc::P_PID, child as libc::id_t, info.as_mut_ptr(), flags) };
        if waited == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
