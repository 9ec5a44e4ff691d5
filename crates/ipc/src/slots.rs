//! Taking slots and giving them back.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::{Duration, SystemTime};

use crate::board::Board;
use crate::clock;
use crate::places::Head;
use crate::queue::now;
use crate::seat::{Party, Seat};

/// What one structure has on a [`Board`]: a number of slots, each of them held by one thread at a time.
///
/// # Process safety
///
/// The same slots, by whichever process and handle they are reached.
///
/// # Crashes
///
/// What a process held is free once it is dead. Whoever waits hears of a death through
/// [`Board::bury`], or finds it after the [safety poll](Self::SAFETY_POLL).
///
/// # Fairness
///
/// See [`take`](Self::take).
///
/// # Cost
///
/// Taking a free slot and giving it back: two system calls, which see to it that the file is still there, and
/// a few atomic writes.
///
/// # Example
///
/// ```
/// # use diskette_ipc::{Board, Deadline, Owners};
/// # use std::sync::Arc;
/// # let home = tempfile::tempdir()?;
/// # let path = |name| home.path().join(name);
/// # std::fs::create_dir(path("owners"))?;
/// # let owners = Arc::new(Owners::open(&path("owners"), path("owners.lock"))?);
/// let board = Arc::new(Board::create(&path("board"), path("seats"), owners, 1)?);
/// let permits = board.slots(7, 3)?;
///
/// let two = permits.try_take(2)?.expect("three are free");
/// assert!(permits.try_take(2)?.is_none());
/// assert_eq!(permits.holders()?[0].party.pid, std::process::id());
/// drop(two);
/// assert!(permits.try_take(3)?.is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Slots {
    board: Arc<Board>,
    pub(crate) at: u32,
    pub(crate) turn: Duration,
    /// Whether they are held so shortly that the file needs no second look.
    briefly: bool,
}

/// Slots that a thread has taken. Dropping it gives them back.
///
/// # Process safety
///
/// Whichever thread has it, the slots are held for as long as it is there, even when the one that took them has ended: it
/// keeps that thread's seat.
///
/// In a forked child it is a copy that holds nothing.
#[derive(Debug)]
#[must_use = "what is held is given back when this is dropped"]
pub struct Hold {
    slots: Slots,
    seat: Arc<Seat>,
    first: Place,
    others: Vec<Place>,
    given: bool,
}

/// A slot by the unit that it is, and the token under which it is held.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u32,
    token: u64,
}

/// Who holds slots, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The thread that took them.
    pub party: Party,
    /// How many it took at once.
    pub permits: u32,
    /// By the clock on the wall as it is now.
    pub since: SystemTime,
    /// The greatest token that it was given with them.
    pub token: u64,
    /// `false`: its process has died, and whoever comes next may take them.
    pub is_alive: bool,
}

impl Holder {
    /// Who holds slots that are on no board.
    #[must_use]
    pub fn new(party: Party, permits: u32, since: SystemTime, token: u64, is_alive: bool) -> Self {
        Self {
            party,
            permits,
            since,
            token,
            is_alive,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { party, permits, .. } = self;
        let held = clock::wall().duration_since(self.since).unwrap_or_default();
        write!(f, "{party}, {permits} since {} s ago", held.as_secs())?;
        match self.is_alive {
            true => Ok(()),
            false => write!(f, ", dead"),
        }
    }
}

/// The slots are no longer held by who gives them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

impl Slots {
    pub(crate) fn new(board: Arc<Board>, at: u32) -> Self {
        Self {
            board,
            at,
            turn: Self::TURN,
            briefly: false,
        }
    }

    /// The same slots for what is held but for moments, with turns of another length. Whether the file is still there is
    /// asked when they are taken and not again when they are given back: cut short in between, it kills the process.
    #[must_use]
    pub fn held_briefly(self, turn: Duration) -> Self {
        Self {
            turn,
            briefly: true,
            ..self
        }
    }

    /// Takes `n` slots if they are free, and nobody has waited for them longer than a [turn](Self::TURN); `None` otherwise.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the board, or this process's owner file, was removed; what creating
    /// an owner file can fail with, the first time.
    ///
    /// # Panics
    ///
    /// If `n` is 0.
    pub fn try_take(&self, n: u32) -> io::Result<Option<Hold>> {
        self.board.must_be_intact()?;
        let seat = Seat::mine(&self.board)?;
        if let Some(hold) = self.take_if_open(&seat, n) {
            return Ok(Some(hold));
        }
        // Perhaps it is the dead who are in the way.
        if self.bury_the_dead_in_the_way()? {
            return Ok(self.take_if_open(&seat, n));
        }
        Ok(None)
    }

    /// How many slots there are.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the board was removed.
    pub fn limit(&self) -> io::Result<u32> {
        self.board.must_be_intact()?;
        Ok(self.known_limit())
    }

    /// Sees to it that [`set_limit`](Self::set_limit) has room for so many.
    ///
    /// # Errors
    ///
    /// Those of [`Board::slots`].
    pub fn reserve(&self, limit: u32) -> io::Result<()> {
        self.board.reserve(self.at, limit)
    }

    /// Changes how many slots there are. If more are held, they stay held, and none is given until fewer are.
    ///
    /// # Errors
    ///
    /// Those of [`Board::slots`].
    pub fn set_limit(&self, limit: u32) -> io::Result<()> {
        self.board.set_limit(self.at, limit)?;
        self.queue().for_each(|row| row.line.ring());
        Ok(())
    }

    /// How many are free.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the board was removed.
    pub fn free(&self) -> io::Result<u32> {
        self.board.must_be_intact()?;
        self.bury_the_dead_in_the_way()?;
        Ok(self.count_free())
    }

    /// Who holds any of them, dead or alive.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when the board was removed; what opening an owner file can fail with.
    pub fn holders(&self) -> io::Result<Vec<Holder>> {
        self.board.must_be_intact()?;
        let (up, wall) = (now(), clock::wall());
        let mut found: Vec<(u64, u64, Holder)> = Vec::new();
        for at in self.board.each(self.at) {
            let slot = self.board.slot(at);
            let (key, since) = (slot.holder.load(SeqCst), slot.since.load(Acquire));
            let token = slot.token.load(Acquire);
            if !self.board.is_seated(key) {
                continue;
            }
            if let Some((.., holder)) = found.iter_mut().find(|it| (it.0, it.1) == (key, since)) {
                holder.permits += 1;
                holder.token = holder.token.max(token);
                continue;
            }
            let row = self.board.seat_row(key as usize);
            let (party, owner) = (row.party(), row.owner());
            let ago = Duration::from_nanos(up.saturating_sub(since));
            let holder = Holder {
                party,
                permits: 1,
                since: wall.checked_sub(ago).unwrap_or(wall),
                token,
                is_alive: self.board.owners().is_alive(owner)?,
            };
            // Unless the seat has changed hands meanwhile, and what was read is somebody else's.
            if self.board.is_seated(key) {
                found.push((key, since, holder));
            }
        }
        Ok(found.into_iter().map(|(.., holder)| holder).collect())
    }
}

impl Hold {
    /// Whether what was taken is still held here: `false` once this process was taken for dead, or in a forked child.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let board = &self.slots.board;
        let held = |place: Place| {
            let slot = board.slot(place.at);
            slot.holder.load(SeqCst) == self.seat.key && slot.token.load(SeqCst) == place.token
        };
        !self.given
            && !self.seat.is_inherited()
            && board.must_be_intact().is_ok()
            && board.is_seated(self.seat.key)
            && self.places().all(held)
    }

    /// The greatest of its [`tokens`](Self::tokens).
    pub fn token(&self) -> u64 {
        let tokens = self.tokens().map(|(_, token)| token);
        tokens.max().unwrap_or(0)
    }

    /// A number for each slot that was taken, with a token greater than any that was given with that slot before, ever.
    pub fn tokens(&self) -> impl Iterator<Item = (u32, u64)> {
        let number = |at| at - self.slots.at;
        self.places()
            .map(move |Place { at, token }| (number(at), token))
    }

    /// Makes what was taken the process's: whichever thread may give it back, so it is no link any more in a circle of threads that
    /// wait for each other. [`holders`](Slots::holders) goes on naming the thread that took it.
    ///
    /// # Errors
    ///
    /// [`Lost`]: it isn't held any more, see [`is_held`](Self::is_held).
    pub fn belong_to_process(&self) -> Result<(), Lost> {
        if !self.is_held() {
            return Err(Lost);
        }
        for Place { at, token } in self.places() {
            let slot = self.slots.board.slot(at);
            slot.of_process.fetch_max(token, SeqCst);
        }
        Ok(())
    }

    /// Gives back what was taken.
    ///
    /// # Errors
    ///
    /// [`Lost`]: it isn't held any more, see [`is_held`](Self::is_held).
    pub fn give_back(mut self) -> Result<(), Lost> {
        self.give()
    }

    fn give(&mut self) -> Result<(), Lost> {
        if std::mem::replace(&mut self.given, true) || self.seat.is_inherited() {
            return Err(Lost);
        }
        let board = &self.slots.board;
        if !self.slots.briefly {
            board.must_be_intact().map_err(|_| Lost)?;
        }
        let mut kept = board.is_seated(self.seat.key);
        for Place { at, token } in self.places() {
            let slot = board.slot(at);
            // With another token it is what the same thread took since, of another structure in the room of a removed one.
            kept &= slot.token.load(SeqCst) == token
                && slot
                    .holder
                    .compare_exchange(self.seat.key, 0, SeqCst, SeqCst)
                    .is_ok();
        }
        self.slots.pass_on();
        if kept { Ok(()) } else { Err(Lost) }
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.given {
            let _ = self.give();
        }
    }
}

impl Slots {
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    pub(crate) fn head(&self) -> &Head {
        self.board.head(self.at)
    }

    /// Takes `n` slots, all or none, that nobody sits for.
    pub(crate) fn take_free(&self, seat: &Arc<Seat>, n: u32) -> Option<Hold> {
        assert!(n > 0, "none is not a number to take");
        // So that who wants several, or more than the limit, doesn't keep single ones from others in vain.
        if (n > 1 || self.is_shrunken()) && self.count_free() < n {
            return None;
        }
        let now = now();
        let take = |at| {
            let slot = self.board.slot(at);
            let found = slot.holder.load(SeqCst);
            let taken = !self.board.is_seated(found)
                && slot
                    .holder
                    .compare_exchange(found, seat.key, SeqCst, SeqCst)
                    .is_ok();
            if !taken {
                return None;
            }
            slot.since.store(now, Relaxed);
            let token = slot.token.fetch_add(1, SeqCst).wrapping_add(1);
            // Or this process was taken for dead in between, and who has it now may have got a smaller token.
            (slot.holder.load(SeqCst) == seat.key).then_some(Place { at, token })
        };
        let mut taken = self.board.each(self.at).filter_map(take);
        let first = taken.next()?;
        let others: Vec<Place> = taken.take(n as usize - 1).collect();
        let hold = self.hold(Arc::clone(seat), first, others);
        // If another was faster, what we have goes back.
        let all = hold.others.len() + 1 == n as usize;
        (all && !self.is_overdrawn()).then_some(hold)
    }

    fn hold(&self, seat: Arc<Seat>, first: Place, others: Vec<Place>) -> Hold {
        Hold {
            slots: self.clone(),
            seat,
            first,
            others,
            given: false,
        }
    }

    /// Of two who go beyond the limit together, one at least sees it here.
    fn is_overdrawn(&self) -> bool {
        self.is_shrunken() && self.count_held() > self.known_limit()
    }

    /// Once the limit was lowered there are more slots than may be held.
    fn is_shrunken(&self) -> bool {
        self.board.room(self.at) > self.known_limit()
    }

    pub(crate) fn count_free(&self) -> u32 {
        self.known_limit().saturating_sub(self.count_held())
    }

    fn count_held(&self) -> u32 {
        let held = |&at: &u32| {
            self.board
                .is_seated(self.board.slot(at).holder.load(SeqCst))
        };
        self.board.each(self.at).filter(held).count() as u32
    }

    pub(crate) fn known_limit(&self) -> u32 {
        self.head().limit.load(SeqCst)
    }
}
