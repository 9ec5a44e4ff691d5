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
    Waits,
    Looks,
    Given,
    Held,
    /// The word wasn't just held: `give_back`.
    GiveBack,
    Done,
}

/// Threads that each take the lock so many times and give it back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Relay {
    held: bool,
    waited_for: bool,
    queue: VecDeque<usize>,
    turn_of: usize,
    threads: Vec<Thread>,
    rounds: Vec<u8>,
    timeouts: u8,
    /// The mutations: who leaves the lock free has nobody look; nor has who leaves the queue.
    unwatched: bool,
    leaves_quietly: bool,
}

impl Relay {
    fn of(threads: usize, rounds: u8, timeouts: u8) -> Self {
        Relay {
            held: false,
            waited_for: false,
            queue: VecDeque::new(),
            turn_of: usize::MAX,
            threads: vec![Thread::Try; threads],
            rounds: vec![rounds; threads],
            timeouts,
            unwatched: false,
            leaves_quietly: false,
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
    holds(Relay::of(2, 3, 0));
    holds(Relay::of(3, 2, 2));
    holds(Relay::of(4, 1, 1));
}

#[test]
fn a_lock_that_is_left_free_unwatched_is_noticed() {
    let mut relay = Relay::of(2, 2, 0);
    relay.unwatched = true;
    assert!(explore(relay).is_err());
    let mut relay = Relay::of(3, 2, 1);
    relay.leaves_quietly = true;
    assert!(explore(relay).is_err());
}
