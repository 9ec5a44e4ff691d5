//! Which run of the system this is.

use std::io;
use std::sync::OnceLock;

/// A number that is the same in every process until the system is started again, when it is another one. Two runs
/// have the same in practice never.
///
/// What is written down with it and read under another can't belong to anybody who lives: no process, and no time
/// counted from the start, outlasts its run.
///
/// # Errors
///
/// What reading it from the kernel can fail with.
///
/// # Cost
///
/// The first time, reading a small file of the kernel's; then one load.
///
/// # Example
///
/// ```
/// use diskette_ipc::boot;
///
/// let written_down = boot::id()?;
/// assert_eq!(boot::id()?, written_down, "the system has not been restarted");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn id() -> io::Result<u64> {
    static ID: OnceLock<u64> = OnceLock::new();
    if let Some(&id) = ID.get() {
        return Ok(id);
    }
    let id = read()?;
    Ok(*ID.get_or_init(|| id))
}

/// The first 16 digits of what Linux draws at random when it starts.
#[cfg(target_os = "linux")]
fn read() -> io::Result<u64> {
    const SOURCE: &str = "/proc/sys/kernel/random/boot_id";
    let uuid = std::fs::read_to_string(SOURCE)?;
    let digits: String = uuid
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).map_err(|_| {
        let message = format!("{SOURCE} holds no id: {uuid:?}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

/// The second at which the system was started.
#[cfg(not(target_os = "linux"))]
fn read() -> io::Result<u64> {
    use nix::libc;

    let mut started = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    let mut size = size_of::<libc::timeval>();
    // SAFETY: the name ends with a zero, and the buffer is valid for the size that is given with it.
    let failed = unsafe {
        libc::sysctlbyname(
            c"kern.boottime".as_ptr(),
            (&raw mut started).cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(started.tv_sec.cast_unsigned())
}
