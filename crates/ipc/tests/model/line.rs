//! `src/line.rs`: a counter of rings whose lowest bit says that somebody waits, and the kernel's queue of those who sleep.

use crate::{Model, explore, holds};

/// Each ringer changes the condition and rings, once; each waiter waits until the condition holds for it. A waiter may be
/// killed anywhere.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Line {
    /// How many ringers have made their change.
    changes: u8,
    rings: u8,
    waited_for: bool,
    ringers: Vec<Ringer>,
    waiters: Vec<Waiter>,
    kills: u8,
    /// The mutation that shows that this model can fail: the word is not compared when somebody falls asleep.
    blind: bool,
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
    /// `wait`: compares the word and marks it.
    Mark(u8),
    /// `futex::wait`: sleeps, if the word is still as marked.
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
                        next.waiters
                            .iter_mut()
                            .filter(|it| **it == Waiter::Asleep)
                            .for_each(|it| *it = Waiter::See);
                    }
                    Ringer::Done
                }
                Ringer::Done => continue,
            };
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
                Waiter::Check(_) if usize::from(self.changes) == self.ringers.len() => Waiter::Done,
                Waiter::Check(seen) => Waiter::Mark(seen),
                Waiter::Mark(seen) if self.rings != seen => Waiter::See,
                Waiter::Mark(seen) => {
                    next.waited_for = true;
                    Waiter::Sleep(seen)
                }
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

fn line(ringers: usize, waiters: usize, kills: u8) -> Line {
    Line {
        changes: 0,
        rings: 0,
        waited_for: false,
        ringers: vec![Ringer::Change; ringers],
        waiters: vec![Waiter::See; waiters],
        kills,
        blind: false,
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
