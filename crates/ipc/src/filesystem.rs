//! What kind of file system a path lies on.

use std::io;
use std::path::Path;

/// A file system, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// The name that `mount` uses, or `"unknown"`.
    pub name: &'static str,
    /// Whether other machines may write to it: then neither locks nor shared memory can be relied on.
    pub network: bool,
}

/// The file system on which `path`, which must exist, lies.
///
/// # Errors
///
/// What `statfs` can fail with.
///
/// # Example
///
/// ```
/// assert!(!diskette_ipc::filesystem::kind(std::env::temp_dir())?.network);
/// # Ok::<(), std::io::Error>(())
/// ```
#[cfg(target_os = "linux")]
pub fn kind(path: impl AsRef<Path>) -> io::Result<Filesystem> {
    let magic = nix::sys::statfs::statfs(path.as_ref())?.filesystem_type().0;
    // The kernel's magic numbers have 32 bits, the field has the machine's word.
    let magic = magic as u32;
    let known = KNOWN.iter().find(|(number, ..)| *number == magic);
    Ok(known.map_or(UNKNOWN, |&(_, name, network)| Filesystem { name, network }))
}

/// Elsewhere than on Linux nothing is known.
///
/// # Errors
///
/// None.
#[cfg(not(target_os = "linux"))]
pub fn kind(_path: impl AsRef<Path>) -> io::Result<Filesystem> {
    Ok(UNKNOWN)
}

const UNKNOWN: Filesystem = Filesystem {
    name: "unknown",
    network: false,
};

/// Magic number, name, whether other machines may write to it.
#[cfg(target_os = "linux")]
const KNOWN: &[(u32, &str, bool)] = &[
    (0x0000_6969, "nfs", true),
    (0xff53_4d42, "cifs", true),
    (0xfe53_4d42, "smb2", true),
    (0x0000_517b, "smbfs", true),
    (0x0102_1997, "9p", true),
    (0x5346_414f, "afs", true),
    (0x6b41_4653, "afs", true),
    (0x00c3_6400, "ceph", true),
    (0x7375_7245, "coda", true),
    (0x0000_564c, "ncpfs", true),
    (0x0bd0_0bd0, "lustre", true),
    (0x4750_4653, "gpfs", true),
    (0x1983_0326, "beegfs", true),
    (0x2003_0528, "orangefs", true),
    (0xaad7_aaea, "panfs", true),
    (0x0116_1970, "gfs2", true),
    (0x7461_636f, "ocfs2", true),
    (0x786f_4256, "vboxsf", true),
    (0x0000_ef53, "ext", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683e, "btrfs", false),
    (0x0102_1994, "tmpfs", false),
    (0x8584_58f6, "ramfs", false),
    (0x794c_7630, "overlay", false),
    (0x2fc1_2fc1, "zfs", false),
    (0xf2f5_2010, "f2fs", false),
    (0xca45_1a4e, "bcachefs", false),
    (0x6573_5546, "fuse", true),
    (0x0000_f15f, "ecryptfs", false),
    (0x5265_4973, "reiserfs", false),
    (0x3153_464a, "jfs", false),
    (0x2011_bab0, "exfat", false),
    (0x0000_4d44, "vfat", false),
    (0x7366_746e, "ntfs3", false),
];
