//! Room on the disk for those who make room.
//!
//! A transaction that removes takes room first, in the log. So a file is kept that takes some; on a full disk it is given up,
//! and made anew once there is room again.

use std::fs;
use std::io;

use diskette_ipc::plain_file;

use crate::error::Result;
use crate::sqlite::Sqlite;

/// Enough for some hundred pages of the log.
const BYTES: usize = 1024 * 1024;

impl Sqlite {
    /// Does what makes room. On a full disk it is tried once more, with what room can be had.
    pub(crate) fn freeing<R>(&self, mut attempt: impl FnMut() -> Result<R>) -> Result<R> {
        match attempt() {
            Err(error) if error.is_disk_full() && self.make_room() => attempt(),
            result => result,
        }
    }

    /// On a full disk: gives up the reserve, and copies the log into the database, so that its room is used again. Nothing, within
    /// a transaction, or if there is nothing to give.
    fn make_room(&self) -> bool {
        if self.writer().is_mine() {
            return false;
        }
        let given = fs::remove_file(self.commons().directory.reserve()).is_ok();
        let copied = self.copy_log().is_ok();
        given || copied
    }

    /// Makes the reserve, if it was given up. Without it all goes on, but for removing on a full disk.
    pub(crate) fn keep_reserve(&self) {
        let reserve = self.commons().directory.reserve();
        if matches!(fs::symlink_metadata(&reserve), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            let _ = plain_file::create_with_room(&reserve, BYTES);
        }
    }
}
