//! A disk that can be filled.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory, on a file system in memory of its own where that may be mounted.
#[derive(Debug)]
pub struct SmallDisk {
    directory: PathBuf,
    mounted: bool,
}

impl SmallDisk {
    /// A disk of so many MiB at `directory`, which is made.
    ///
    /// # Panics
    ///
    /// If the directory can't be made.
    #[must_use]
    pub fn new(directory: PathBuf, mebibytes: u32) -> Self {
        fs::create_dir_all(&directory).expect("a directory");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&directory)
            .output();
        let mounted = mount.is_ok_and(|mount| mount.status.success());
        Self { directory, mounted }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Whether it can be filled: it was mounted.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.mounted
    }

    /// Fills it, if it is small, until what is returned is dropped.
    ///
    /// # Panics
    ///
    /// If it can't be filled for another reason than that it is full.
    #[must_use]
    pub fn fill(&self) -> Option<Filler> {
        let path = self.mounted.then(|| self.directory.join("filler"))?;
        let mut file = File::create(&path).expect("a file");
        let full = (0..).find_map(|_| file.write_all(&[7; 65536]).err());
        assert_eq!(
            full.map(|error| error.kind()),
            Some(io::ErrorKind::StorageFull)
        );
        Some(Filler(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(&self.directory)
                .output();
        }
    }
}

/// What fills a disk.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
