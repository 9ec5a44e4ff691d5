//! What a thread that waits leaves to be done, in the hands of the thread that does it.

use std::fmt;
use std::mem;
use std::ptr::NonNull;
use std::sync::Arc;

use super::Baton;
use super::waiter::{DONE, Waiter};

/// What the threads that wait at a [`Relay`](super::Relay) may leave.
pub trait Errands: 'static {
    /// With what they are done.
    type Tool;
    /// What one of them says to the thread that does it.
    type Done;
    /// How those that were done together have ended, which is told to each who has left one.
    type End: Clone + Send + Sync;
}

/// What a thread that waits has to do. Another may do it, while that one sleeps.
pub type Errand<'e, E> = dyn FnMut(&<E as Errands>::Tool) -> <E as Errands>::Done + Send + 'e;

/// How a thread was served that waited with an errand.
#[derive(Debug)]
pub enum Served<'r, E: Errands> {
    /// The lock, and the errand is still to be done.
    Baton(Baton<'r, E>),
    /// Another thread has done the errand. `None`: it has panicked before it could say how that has ended.
    Done(Option<E::End>),
}

/// An errand of a thread that waits.
pub(super) struct Left<E: Errands>(NonNull<Errand<'static, E>>);

// SAFETY: an errand may be done by any thread, and whoever has this is the only one who reaches it.
unsafe impl<E: Errands> Send for Left<E> {}

impl<E: Errands> Left<E> {
    /// # Safety
    ///
    /// Until this is gone, nobody else reaches the errand, and it stays where it is.
    pub(super) unsafe fn new(errand: &mut Errand<'_, E>) -> Self {
        let errand = NonNull::from(errand);
        // SAFETY: the types differ in a lifetime only, and who calls sees to it that it is long enough.
        Left(unsafe {
            mem::transmute::<NonNull<Errand<'_, E>>, NonNull<Errand<'static, E>>>(errand)
        })
    }

    fn run(mut self, tool: &E::Tool) -> E::Done {
        // SAFETY: as `new` demands, it is there, and nobody else's.
        let errand = unsafe { self.0.as_mut() };
        errand(tool)
    }
}

/// Errands that are done together. Those who have left them sleep until this is [ended](Self::end), or dropped.
#[must_use = "who has left something is woken when this is dropped"]
pub struct Doing<'b, E: Errands> {
    baton: &'b Baton<'b, E>,
    begun: Vec<Arc<Waiter<E>>>,
}

impl<'b, E: Errands> Doing<'b, E> {
    pub(super) fn new(baton: &'b Baton<'b, E>) -> Self {
        Doing {
            baton,
            begun: Vec::new(),
        }
    }

    /// Does the next. `None`: whoever has waited longest has left none, or the turn of this thread is over.
    pub fn next(&mut self, tool: &E::Tool) -> Option<E::Done> {
        let (waiter, errand) = self.baton.relay.next_errand()?;
        self.baton.has_served.set(true);
        self.begun.push(waiter);
        Some(errand.run(tool))
    }

    /// Tells all who have left one how they have ended.
    pub fn end(self, how: &E::End) {
        for waiter in &self.begun {
            let _ = waiter.end.set(how.clone());
        }
    }
}

impl<E: Errands> Drop for Doing<'_, E> {
    fn drop(&mut self) {
        for waiter in &self.begun {
            waiter.turns(DONE);
        }
    }
}

impl<E: Errands> fmt::Debug for Doing<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doing")
            .field("begun", &self.begun.len())
            .finish_non_exhaustive()
    }
}
