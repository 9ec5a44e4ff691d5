//! What processes take of the machine, from the kernel's books.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// In all of Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// A process and its children.
pub(crate) fn family(id: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|it| it.file_name().to_str()?.parse().ok());
    let children = ids.filter(|&child| field(child, 1) == Some(u64::from(id)));
    children.chain([id]).collect()
}

/// Seconds of the processor that these have had, together.
pub(crate) fn processor(ids: &[u32]) -> f64 {
    let ticks = |&id| Some(field(id, 11)? + field(id, 12)?);
    ids.iter().filter_map(ticks).sum::<u64>() as f64 / TICKS_A_SECOND
}

/// Bytes of memory that these have, where several share it each its part.
pub(crate) fn memory(ids: &[u32]) -> u64 {
    let proportional = |id| {
        let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    ids.iter().filter_map(proportional).sum::<u64>() << 10
}

/// Bytes on the disk of all that is in a directory.
pub(crate) fn disk(directory: &Path) -> u64 {
    let all = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = all.filter_map(|it| {
        let metadata = it.metadata().ok()?;
        Some(match metadata.is_dir() {
            true => disk(&it.path()),
            false => metadata.blocks() * 512,
        })
    });
    bytes.sum()
}

/// The fields after the program's name, which may have spaces in it.
fn field(id: u32, n: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(n)?.parse().ok()
}
