//! `src/line.rs` and `src/stop.rs`: a counter of rings whose lowest bit says that somebody waits, a word that says that nobody should
//! any more, and the kernel's queue of those who sleep at both.

use crate::{Model, explore, holds};

/// Each ringer changes the condition and rings, once; each waiter waits until the condition holds for it, or it is stopped. A waiter
/// may be killed anywhere.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Line {
    /// How many ringers have made their change.
    changes: u8,
    rings: u8,
    waited_for: bool,
    ringers: Vec<Ringer>,
    waiters: Vec<Waiter>,
    kills: u8,
    stopper: Stopper,
    /// The mutations that show that this model can fail: the line is not compared when somebody falls asleep,
    blind: bool,
    /// or the stop isn't.
    deaf: bool,
}

/// Stops all waiters, if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stopper {
    None,
    Store,
    Wake,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Ringer {
    Change,
    Ring,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Waiter {
    /// `seen`
    See,
    /// Checks the condition.
    Check(u8),
    /// `is_stopped`
    Ask(u8),
    /// `watched`: compares the word and marks it.
    Mark(u8),
    /// `futex::wait_any`: sleeps, if the word is still as marked, and that of the stop as it was at first.
    Sleep(u8),
    Asleep,
    Done,
    Dead,
}

impl Model for Line {
    fn next(&self, into: &mut Vec<Self>) {
        for (i, ringer) in self.ringers.iter().enumerate() {
            let mut next = self.clone();
            next.ringers[i] = match ringer {
                Ringer::Change => {
                    next.changes += 1;
                    Ringer::Ring
                }
                Ringer::Ring => {
                    next.rings += 1;
                    if std::mem::take(&mut next.waited_for) {
                        next.wake_all();
                    }
                    Ringer::Done
                }
                Ringer::Done => continue,
            };
            into.push(next);
        }
        let stopped = match self.stopper {
            Stopper::Store => Some(Stopper::Wake),
            Stopper::Wake => Some(Stopper::Done),
            Stopper::None | Stopper::Done => None,
        };
        if let Some(stopper) = stopped {
            let mut next = self.clone();
            if stopper == Stopper::Done {
                next.wake_all();
            }
            next.stopper = stopper;
            into.push(next);
        }
        for (i, &waiter) in self.waiters.iter().enumerate() {
            if matches!(waiter, Waiter::Done | Waiter::Dead) {
                continue;
            }
            if self.kills > 0 {
                let mut next = self.clone();
                next.kills -= 1;
                next.waiters[i] = Waiter::Dead;
                into.push(next);
            }
            let mut next = self.clone();
            next.waiters[i] = match waiter {
                Waiter::See => Waiter::Check(self.rings),
                Waiter::Check(_) if self.holds() => Waiter::Done,
                Waiter::Check(seen) => Waiter::Ask(seen),
                Waiter::Ask(_) if self.is_stopped() => Waiter::Done,
                Waiter::Ask(seen) => Waiter::Mark(seen),
                Waiter::Mark(seen) if self.rings != seen => Waiter::See,
                Waiter::Mark(seen) => {
                    next.waited_for = true;
                    Waiter::Sleep(seen)
                }
                Waiter::Sleep(_) if self.is_stopped() && !self.deaf => Waiter::See,
                Waiter::Sleep(seen) if self.blind || self.rings == seen && self.waited_for => {
                    Waiter::Asleep
                }
                Waiter::Sleep(_) => Waiter::See,
                Waiter::Asleep | Waiter::Done | Waiter::Dead => continue,
            };
            into.push(next);
        }
    }

    fn wrong(&self, is_end: bool) -> Option<&'static str> {
        let sleeps = self.waiters.contains(&Waiter::Asleep);
        (is_end && sleeps).then_some("a ring is lost")
    }
}

impl Line {
    /// The condition: never, without ringers.
    fn holds(&self) -> bool {
        let changes = usize::from(self.changes);
        changes > 0 && changes == self.ringers.len()
    }

    fn is_stopped(&self) -> bool {
        matches!(self.stopper, Stopper::Wake | Stopper::Done)
    }

    fn wake_all(&mut self) {
        let asleep = self.waiters.iter_mut();
        let asleep = asleep.filter(|it| **it == Waiter::Asleep);
        asleep.for_each(|it| *it = Waiter::See);
    }
}

fn line(ringers: usize, waiters: usize, kills: u8) -> Line {
    Line {
        changes: 0,
        rings: 0,
        waited_for: false,
        ringers: vec![Ringer::Change; ringers],
        waiters: vec![Waiter::See; waiters],
        kills,
        stopper: Stopper::None,
        blind: false,
        deaf: false,
    }
}

#[test]
fn no_ring_is_lost() {
    holds(line(2, 3, 0));
    holds(line(3, 2, 1));
}

#[test]
fn a_line_that_does_not_compare_loses_rings() {
    let blind = Line {
        blind: true,
        ..line(1, 1, 0)
    };
    assert!(explore(blind).is_err());
}

/// A line that nobody rings any more, unless somebody stops those who wait there.
fn stopped(ringers: usize, waiters: usize, kills: u8) -> Line {
    Line {
        stopper: Stopper::Store,
        ..line(ringers, waiters, kills)
    }
}

#[test]
fn no_stop_is_missed() {
    holds(stopped(0, 3, 1));
    holds(stopped(2, 3, 0));
}

#[test]
fn a_stop_that_is_not_compared_is_missed() {
    let deaf = Line {
        deaf: true,
        ..stopped(0, 1, 0)
    };
    assert!(explore(deaf).is_err());
}
