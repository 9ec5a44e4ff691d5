//! `src/relay.rs`: a word, which changes under the mutex once somebody waits, and a queue of those who do. What the clock decides, whether
//! a turn is over and whether its thread is expected back, goes either way here.

use std::collections::VecDeque;

use crate::{Model, explore, holds};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Thread {
    /// `try_take`.
    Try,
    /// `take_or_queue`, of which nobody else sees the middle.
    Queue,
    /// It has left an errand, unless it waits for the lock itself.
    Waits,
    Looks,
    /// Its errand was taken by another.
    Served,
    Given,
    Held,
    /// The word wasn't just held: `give_back`.
    GiveBack,
    Done,
}

/// Threads that each take the lock so many times, or have done by another what they would with it, and give it back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Relay {
    held: bool,
    waited_for: bool,
    queue: VecDeque<usize>,
    turn_of: usize,
    threads: Vec<Thread>,
    rounds: Vec<u8>,
    /// These wait for the lock itself; those with greater numbers leave errands.
    leave_none: usize,
    /// Whose errands each has in hand.
    in_hand: Vec<Vec<usize>>,
    timeouts: u8,
    /// The mutations: who leaves the lock free has nobody look; nor has who leaves the queue.
    unwatched: bool,
    leaves_quietly: bool,
    /// Another: who has done an errand doesn't say so.
    tells_nobody: bool,
}

impl Relay {
    fn of(threads: usize, leave_none: usize, rounds: u8, timeouts: u8) -> Self {
        Relay {
            held: false,
            waited_for: false,
            queue: VecDeque::new(),
            turn_of: usize::MAX,
            threads: vec![Thread::Try; threads],
            rounds: vec![rounds; threads],
            leave_none,
            in_hand: vec![Vec::new(); threads],
            timeouts,
            unwatched: false,
            leaves_quietly: false,
            tells_nobody: false,
        }
    }

    fn give(&mut self) {
        let first = self.queue.pop_front().unwrap();
        self.turn_of = first;
        self.held = true;
        self.waited_for = !self.queue.is_empty();
        self.threads[first] = Thread::Given;
    }

    fn have_the_first_look(&mut self) {
        if let Some(&first) = self.queue.front() {
            self.threads[first] = Thread::Looks;
        }
    }

    fn has_errand(&self) -> bool {
        let first = self.queue.front();
        first.is_some_and(|&first| first >= self.leave_none)
    }

    fn take_errand(&mut self, i: usize) {
        let first = self.queue.pop_front().unwrap();
        self.waited_for = !self.queue.is_empty();
        self.turn_of = i;
        self.threads[first] = Thread::Served;
        self.in_hand[i].push(first);
    }

    /// Of the errands in hand.
    fn end(&mut self, i: usize) {
        for served in std::mem::take(&mut self.in_hand[i]) {
            if !self.tells_nobody {
                self.come_back(served);
            }
        }
    }

    /// Each way in which a thread can go on.
    fn steps(&self, i: usize) -> Vec<Self> {
        let mut all = Vec::new();
        let mut step = |change: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            change(&mut next);
            all.push(next);
        };
        match self.threads[i] {
            Thread::Try if !self.held && !self.waited_for => step(&|it| {
                it.held = true;
                it.threads[i] = Thread::Held;
            }),
            Thread::Try => step(&|it| it.threads[i] = Thread::Queue),
            Thread::Queue if self.queue.is_empty() && !self.held => step(&|it| {
                it.held = true;
                it.threads[i] = Thread::Held;
            }),
            Thread::Queue if !self.held && self.turn_of == i => step(&|it| {
                it.held = true;
                it.threads[i] = Thread::Held;
            }),
            Thread::Queue => step(&|it| {
                it.waited_for = true;
                it.queue.push_back(i);
                it.threads[i] = Thread::Waits;
            }),
            Thread::Waits | Thread::Looks => {
                if self.threads[i] == Thread::Looks && !self.held {
                    step(&Self::give);
                } else if self.threads[i] == Thread::Looks {
                    step(&|it| it.threads[i] = Thread::Waits);
                }
                if self.timeouts > 0 {
                    step(&|it| {
                        it.timeouts -= 1;
                        it.queue.retain(|&other| other != i);
                        it.threads[i] = Thread::Done;
                        it.waited_for = !it.queue.is_empty();
                        if !it.held && !it.leaves_quietly {
                            it.have_the_first_look();
                        }
                    });
                }
            }
            Thread::Given => step(&|it| it.threads[i] = Thread::Held),
            Thread::Served => {}
            Thread::Held if !self.in_hand[i].is_empty() => {
                step(&|it| it.end(i));
                if self.has_errand() {
                    step(&|it| it.take_errand(i));
                }
            }
            Thread::Held if self.has_errand() => {
                step(&|it| it.take_errand(i));
                step(&|it| it.threads[i] = Thread::GiveBack);
            }
            Thread::Held if self.waited_for => step(&|it| it.threads[i] = Thread::GiveBack),
            Thread::Held => step(&|it| {
                it.held = false;
                it.come_back(i);
            }),
            Thread::GiveBack => {
                step(&|it| {
                    it.turn_of = i;
                    it.held = false;
                    if !it.unwatched {
                        it.have_the_first_look();
                    }
                    it.come_back(i);
                });
                if !self.queue.is_empty() {
                    step(&|it| {
                        it.give();
                        it.come_back(i);
                    });
                }
            }
            Thread::Done => {}
        }
        all
    }

    fn come_back(&mut self, i: usize) {
        self.rounds[i] -= 1;
        self.threads[i] = match self.rounds[i] {
            0 => Thread::Done,
            _ => Thread::Try,
        };
    }
}

impl Model for Relay {
    fn next(&self, into: &mut Vec<Self>) {
        for i in 0..self.threads.len() {
            into.extend(self.steps(i));
        }
    }

    fn wrong(&self, is_end: bool) -> Option<&'static str> {
        let has =
            |thread: &&Thread| matches!(thread, Thread::Given | Thread::Held | Thread::GiveBack);
        if self.threads.iter().filter(has).count() != usize::from(self.held) {
            return Some("as many have it as the word doesn't say");
        }
        if self.waited_for == self.queue.is_empty() {
            return Some("the word doesn't say whether anybody waits");
        }
        let first = self.queue.front().map(|&first| self.threads[first]);
        if !self.held && first.is_some_and(|first| first != Thread::Looks) {
            return Some("it lies idle, and the first who waits doesn't look");
        }
        let over = self.threads.iter().all(|&thread| thread == Thread::Done);
        (is_end && !over).then_some("somebody sleeps for ever")
    }
}

#[test]
fn nobody_waits_for_a_lock_that_lies_idle() {
    for leave_none in [0, 1, 4] {
        holds(Relay::of(2, leave_none, 3, 0));
        holds(Relay::of(3, leave_none, 2, 2));
        holds(Relay::of(4, leave_none, 1, 1));
    }
}

#[test]
fn a_lock_that_is_left_free_unwatched_is_noticed() {
    let mut relay = Relay::of(2, 2, 2, 0);
    relay.unwatched = true;
    assert!(explore(relay).is_err());
    let mut relay = Relay::of(3, 3, 2, 1);
    relay.leaves_quietly = true;
    assert!(explore(relay).is_err());
}

#[test]
fn an_errand_of_whose_end_nobody_is_told_is_noticed() {
    let mut relay = Relay::of(2, 0, 1, 0);
    relay.tells_nobody = true;
    assert!(explore(relay).is_err());
}
