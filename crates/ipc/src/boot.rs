//! Which run of the system this is.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that is the same in every process until the system is started again, when it is another one. Two runs
/// have the same in practice never.
///
/// It stands for a clock: times counted from the start that were written down with it mean nothing under another. So
/// processes in another *time namespace* (Linux) have another number too. It says nothing of who lives: containers may
/// have one each.
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
    // No lock, which a fork could leave locked: whoever comes first reads the same.
    static ID: AtomicU64 = AtomicU64::new(0);
    match ID.load(Relaxed) {
        0 => {
            let id = read()?;
            ID.store(id, Relaxed);
            Ok(id)
        }
        id => Ok(id),
    }
}

/// The first 16 digits of what Linux draws at random when it starts, and the time namespace.
#[cfg(target_os = "linux")]
fn read() -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    const SOURCE: &str = "/proc/sys/kernel/random/boot_id";
    /// The namespace in which every process is that was not put into another, on every machine.
    const INITIAL: u64 = 0xefff_fffa;
    /// Of Fowler, Noll and Vo's hash.
    const PRIME: u64 = 0x100_0000_01b3;

    let uuid = std::fs::read_to_string(SOURCE).map_err(|error| {
        let message = format!("can't read {SOURCE}, which is needed; is /proc mounted? ({error})");
        io::Error::new(error.kind(), message)
    })?;
    let digits: String = uuid
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    let run = u64::from_str_radix(&digits, 16).map_err(|_| {
        let message = format!("{SOURCE} holds no id: {uuid:?}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    })?;
    let namespace = std::fs::metadata("/proc/self/ns/time").map_or(INITIAL, |found| found.ino());
    // The number of a namespace that is gone is given to the next: so by how much its clocks differ counts too.
    let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let mix = |mixed: u64, offset: i64| mixed.wrapping_mul(PRIME) ^ offset.cast_unsigned();
    let numbers = offsets.split_whitespace().filter_map(|it| it.parse().ok());
    Ok(run ^ namespace ^ INITIAL ^ numbers.fold(0, mix))
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
