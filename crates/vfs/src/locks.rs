//! The eight locks of SQLite's WAL-index: who holds what by which means, and why that keeps all apart.
//!
//! *Members* are the connections of this VFS, on one roster; *strangers* are those of stock SQLite, who know locks of the kernel only.
//!
//! | lock | among members | what strangers see |
//! |---|---|---|
//! | write, checkpoint, recover | a word each | each member has all three *shared* in the kernel, for as long as it has the WAL-index. So no stranger ever writes, copies the log, recovers or begins it anew while there is a member, and no member comes while a stranger is at it |
//! | a reader's, shared | the member shows how far it reads: [`DATABASE`] or [`LOG`] + the last frame | nothing |
//! | a reader's, alone | [`BACKFILL`] for that of mark 0, [`RESTART`] for those of 1 to 4 together; then the look at what is shown | the kernel's lock as well, so that a stranger who reads is never overlooked |
//!
//! A stranger who reads may still do one thing to what we share: move a read mark, under the kernel's lock of it, and so under a
//! member who reads by it. Hence **no member's safety rests on a mark**. Whoever copies the log looks at what the members show, and
//! tells SQLite by mark 1, of which it asks how far to go:
//!
//! 1. it has mark 1 shared in the kernel, so that no stranger moves it;
//! 2. it reads the last committed frame, *then* looks at what members show, and lowers mark 1 to the least of all that;
//! 3. SQLite's request to raise mark 1 is refused, unless all members who read the log read all of it by then.
//!
//! Lowering a mark is always safe: it says that somebody reads an older state than he does. Who reads never moves a mark here, as stock
//! SQLite does after each commit, unless there is none that it could go by.
//!
//! # Held against `wal.c`
//!
//! - *Who reads* (`walTryBeginRead`) reads the header, gets the lock, notes how much is copied, and compares the header: if it has changed he
//!   begins again. What he shows is the last frame of the header as it is after he wanted the lock; no header comes again, so that of an
//!   attempt that succeeds is the one that he shows.
//! - *Who copies* (`walCheckpoint`) goes no further than the header that SQLite read after step 2, and than mark 1 where that isn't moved. A
//!   member that step 2 or 3 overlooked has shown its frame later than the look (`Roster`: one of two sees the other), and so found, when
//!   it compared, the header that step 2 or 3 had read or a later one. All others show no less than the limit.
//! - *Who reads without the log* shows [`DATABASE`] before he compares the header; who copies has [`BACKFILL`] and sees nobody who does.
//! - *Who begins the log anew* (`walRestartLog`, `walCheckpoint` with RESTART or TRUNCATE) has [`RESTART`], sees nobody who reads it, and has
//!   all four marks alone in the kernel. Not during a copying: that has mark 1 shared. Once it has given that up at step 3, SQLite, from
//!   3.51.3 on, compares the salt when it has the lock of mark 0, as without this VFS.
//! - *Who writes* (`sqlite3WalBeginWriteTransaction`, `sqlite3WalFrames`) compares the header once it has the word, and moves nothing that
//!   others look at but the header, at the end.
//! - *Who recovers* (`walIndexRecover`) has the words of writing, copying and recovering. So nobody recovers beside one who copies, but
//!   he himself; and the limit that he read off a torn header is no greater than what any member showed, and that mark 1 stays at it holds
//!   up copying at most. Who reads then finds the header that he has made, by which he copies, or a later one.
//!
//! `tests/model.rs` goes through all the ways in which these meet, with kills; and finds what goes wrong if one of them is left out.
//!
//! # The dead
//!
//! show and hold nothing from the moment when the kernel drops the lock of their places; what they left half done is what SQLite finds
//! when the kernel drops the locks of one: a torn header, from which it recovers; frames behind the header, which it overwrites; pages copied by
//! half, which are copied again since the count wasn't moved. One thing it doesn't find: that somebody was killed as he began the log anew, between
//! the header and the count. That is mended here, at each read: see [`mend`](diskette_wal_index::mend).

use std::sync::Arc;

use diskette_ipc::{Member, Roster};
use rusqlite::ffi::{
    SQLITE_BUSY, SQLITE_IOERR_SHMLOCK, SQLITE_IOERR_SHMOPEN, SQLITE_OK, SQLITE_PROTOCOL,
    SQLITE_SHM_EXCLUSIVE, SQLITE_SHM_LOCK, SQLITE_SHM_SHARED,
};

use crate::file::Real;
use crate::index::{Index, MARKS};

/// The locks by SQLite's numbers, which are those of the words too.
pub(crate) const WRITE: usize = 0;
const CHECKPOINT: usize = 1;
const RECOVER: usize = 2;
const OF_READERS: usize = 3;

/// The words that stand for readers' locks.
const BACKFILL: usize = 3;
const RESTART: usize = 4;

/// What a reader shows that doesn't look into the log,
const DATABASE: u64 = 1;
/// and who reads the log up to a frame: this and that frame.
const LOG: u64 = 1 << 32;

/// The locks of one connection, from its first look at the WAL-index to its last.
pub(crate) struct Locks {
    real: Real,
    member: Member,
    roster: Arc<Roster>,
    index: Option<Index>,
    /// Whether it has mark 1 shared in the kernel.
    pinned: bool,
}

impl Locks {
    /// Keeps strangers from all but reading; `SQLITE_BUSY` while one of them does more.
    pub(crate) fn enter(real: Real, roster: &Arc<Roster>) -> Result<Self, i32> {
        keep_from_writing(real)?;
        let Ok(member) = roster.join() else {
            leave(real);
            return Err(SQLITE_IOERR_SHMOPEN);
        };
        Ok(Locks {
            real,
            member,
            roster: Arc::clone(roster),
            index: None,
            pinned: false,
        })
    }

    /// To be called with the first block of the WAL-index whenever it is mapped. `SQLITE_PROTOCOL` if there are members on another
    /// roster: somebody has replaced the file of it.
    pub(crate) fn look_at(&mut self, index: Index) -> i32 {
        if !index.is_of(self.roster.id()) {
            // Perhaps they are gone, and strangers have kept what is written there.
            leave(self.real);
            let all = (WRITE, RECOVER + 1);
            if self.real.lock(all.0, all.1, SQLITE_SHM_EXCLUSIVE) == SQLITE_OK {
                index.make(self.roster.id());
                self.real.unlock(all.0, all.1, SQLITE_SHM_EXCLUSIVE);
            }
            if let Err(refused) = keep_from_writing(self.real) {
                return refused;
            }
            if !index.is_of(self.roster.id()) {
                return SQLITE_PROTOCOL;
            }
        }
        self.index = Some(index);
        SQLITE_OK
    }

    /// What `xShmLock` is to do.
    pub(crate) fn change(&mut self, first: usize, count: usize, flags: i32) -> i32 {
        let last = first + count;
        let words = first < OF_READERS && last <= OF_READERS;
        let readers = first >= OF_READERS && last <= OF_READERS + MARKS.end;
        let exclusive = flags & SQLITE_SHM_EXCLUSIVE != 0;
        match flags & SQLITE_SHM_LOCK != 0 {
            _ if !words && !readers => SQLITE_IOERR_SHMLOCK,
            true if exclusive && words => self.hold(first, last),
            true if exclusive => self.read_alone(first - OF_READERS, count),
            true if words => self.probe(first),
            true => self.read(first - OF_READERS),
            false if exclusive && words => {
                (first..last).for_each(|word| self.release(word));
                SQLITE_OK
            }
            false if exclusive => {
                self.read_alone_no_more(first - OF_READERS, count);
                SQLITE_OK
            }
            false => {
                if readers {
                    self.member.show_nothing();
                }
                SQLITE_OK
            }
        }
    }
}

impl Locks {
    fn hold(&mut self, first: usize, last: usize) -> i32 {
        for word in first..last {
            let held = self.member.hold(word);
            let copies = (first, last) == (CHECKPOINT, RECOVER);
            if !held || copies && !self.pin() {
                (first..=word).for_each(|word| self.release(word));
                return SQLITE_BUSY;
            }
        }
        SQLITE_OK
    }

    fn release(&mut self, word: usize) {
        if word == CHECKPOINT {
            self.unpin();
        }
        self.member.release(word);
    }

    /// SQLite asks so whether anybody recovers, and gives it back at once. What else it does with these is for who can't write to
    /// the WAL-index, or for `sqlite3_snapshot_open`.
    fn probe(&self, word: usize) -> i32 {
        match self.member.is_held(word) {
            Ok(false) if word == RECOVER => SQLITE_OK,
            _ => SQLITE_BUSY,
        }
    }

    fn read(&mut self, mark: usize) -> i32 {
        let Some(index) = self.index else {
            return SQLITE_IOERR_SHMLOCK;
        };
        let (shown, unless) = match mark {
            0 => (DATABASE, BACKFILL),
            // If more is committed from here on, SQLite sees it and begins again.
            _ => (LOG + u64::from(index.last_frame()), RESTART),
        };
        self.member.show(shown);
        // Before SQLite asks how much of the log is copied.
        index.mend();
        match self.member.is_held(unless) {
            Ok(false) => SQLITE_OK,
            _ => {
                self.member.show_nothing();
                SQLITE_BUSY
            }
        }
    }

    fn read_alone(&mut self, mark: usize, count: usize) -> i32 {
        let Some(index) = self.index else {
            return SQLITE_IOERR_SHMLOCK;
        };
        match (mark, count) {
            (0, 1) => self.alone(BACKFILL, |shown| shown == DATABASE, 0, 1),
            (1, 4) => {
                self.unpin();
                self.alone(RESTART, |shown| shown >= LOG, 1, 4)
            }
            (1..5, 1) if self.may_move(index, mark) => {
                self.real.lock(OF_READERS + mark, 1, SQLITE_SHM_EXCLUSIVE)
            }
            (1..5, 1) => SQLITE_BUSY,
            _ => SQLITE_IOERR_SHMLOCK,
        }
    }

    fn read_alone_no_more(&mut self, mark: usize, count: usize) {
        self.real
            .unlock(OF_READERS + mark, count, SQLITE_SHM_EXCLUSIVE);
        match (mark, count) {
            (0, _) => self.member.release(BACKFILL),
            (1, 4) => self.member.release(RESTART),
            _ => {}
        }
    }

    /// Alone among members, who look at `word` after they show what is `in_the_way`; then among strangers.
    fn alone(
        &mut self,
        word: usize,
        in_the_way: impl Fn(u64) -> bool,
        mark: usize,
        count: usize,
    ) -> i32 {
        if !self.member.hold(word) {
            return SQLITE_BUSY;
        }
        let answer = match self.member.least_shown(in_the_way) {
            Ok(None) => self
                .real
                .lock(OF_READERS + mark, count, SQLITE_SHM_EXCLUSIVE),
            Ok(Some(_)) => SQLITE_BUSY,
            Err(_) => SQLITE_IOERR_SHMLOCK,
        };
        if answer != SQLITE_OK {
            self.member.release(word);
        }
        answer
    }

    /// Whether this connection may move a mark, if no stranger reads by it. Members don't go by marks.
    fn may_move(&mut self, index: Index, mark: usize) -> bool {
        if self.member.holds(RECOVER) {
            return !(self.pinned && mark == 1);
        }
        if !self.member.holds(CHECKPOINT) {
            let last = index.last_frame();
            return !MARKS.into_iter().any(|mark| index.mark(mark) <= last);
        }
        // A mark that is lower than all that members show holds nobody of them up.
        if mark > 1 {
            return true;
        }
        let last = LOG + u64::from(index.last_frame());
        let all = |shown| shown >= LOG && shown < last;
        let may = matches!(self.member.least_shown(all), Ok(None));
        if may {
            self.unpin();
        }
        may
    }

    /// Says by mark 1 how far the log may be copied: see the head of this file.
    fn pin(&mut self) -> bool {
        let Some(index) = self.index else {
            return false;
        };
        let lags = |mark| {
            self.limit(index)
                .is_some_and(|limit| index.mark(mark) < limit)
        };
        // It stays behind the log, since nobody moves it to read. While strangers read by it, those who come get another; else they
        // would hand it on among themselves for ever, who may not move any.
        if lags(1) && !self.raise(index, 1) {
            let _ = MARKS.skip(1).any(|mark| self.raise(index, mark));
        }
        let one = OF_READERS + 1;
        if self.real.lock(one, 1, SQLITE_SHM_SHARED) != SQLITE_OK {
            return false;
        }
        self.pinned = true;
        match self.limit(index) {
            Some(limit) if index.mark(1) > limit => index.set_mark(1, limit),
            Some(_) => {}
            None => return false,
        }
        true
    }

    /// Moves a mark to the limit, if no stranger reads by it.
    fn raise(&self, index: Index, mark: usize) -> bool {
        let (lock, limit) = (OF_READERS + mark, self.limit(index));
        if self.real.lock(lock, 1, SQLITE_SHM_EXCLUSIVE) != SQLITE_OK {
            return false;
        }
        if let Some(limit) = limit {
            index.set_mark(mark, limit);
        }
        self.real.unlock(lock, 1, SQLITE_SHM_EXCLUSIVE);
        true
    }

    fn unpin(&mut self) {
        if self.pinned {
            self.pinned = false;
            self.real.unlock(OF_READERS + 1, 1, SQLITE_SHM_SHARED);
        }
    }

    /// The last frame that all read who read the log, and that is committed.
    fn limit(&self, index: Index) -> Option<u32> {
        let last = LOG + u64::from(index.last_frame());
        let least = self
            .member
            .least_shown(|shown| shown >= LOG && shown < last);
        let least = least.ok()?.unwrap_or(last);
        u32::try_from(least - LOG).ok()
    }
}

impl Drop for Locks {
    /// Before the WAL-index goes.
    fn drop(&mut self) {
        self.member.show_nothing();
        self.unpin();
        leave(self.real);
    }
}

/// Has the locks shared in the kernel that a stranger needs alone who does more than to read.
fn keep_from_writing(real: Real) -> Result<(), i32> {
    for lock in [WRITE, CHECKPOINT, RECOVER] {
        let answer = real.lock(lock, 1, SQLITE_SHM_SHARED);
        if answer != SQLITE_OK {
            leave(real);
            return Err(answer);
        }
    }
    Ok(())
}

/// SQLite knows which of them this connection has.
fn leave(real: Real) {
    for lock in [WRITE, CHECKPOINT, RECOVER] {
        real.unlock(lock, 1, SQLITE_SHM_SHARED);
    }
}
