//! A disk that can be filled.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small file system in memory, unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// One of so many MiB; `None` where this user may not mount.
    ///
    /// # Panics
    ///
    /// If there can be no directory to mount it at.
    #[must_use]
    pub fn mount(mebibytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(directory.path())
            .output();
        let mounted = mount.is_ok_and(|mount| mount.status.success());
        mounted.then_some(Self(directory))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Mounts it anew, as `"ro"` or `"rw"`.
    ///
    /// # Panics
    ///
    /// If it can't be, since somebody has a file of it open to write.
    pub fn remount(&self, access: &str) {
        let mount = Command::new("mount")
            .args(["-o", &format!("remount,{access}")])
            .arg(self.path())
            .output()
            .expect("a program that mounts");
        assert!(mount.status.success(), "{mount:?}");
    }

    /// Fills it, until what is returned is dropped.
    ///
    /// # Panics
    ///
    /// If it can't be filled for another reason than that it is full.
    #[must_use]
    pub fn fill(&self) -> Filler {
        let path = self.path().join("filler");
        let mut file = File::create(&path).expect("a file");
        let full = (0..).find_map(|_| file.write_all(&[7; 65536]).err());
        assert_eq!(
            full.map(|error| error.kind()),
            Some(io::ErrorKind::StorageFull)
        );
        Filler(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the threads of a store may still be closing its files.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
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
