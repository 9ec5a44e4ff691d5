//! `src/mutex.rs`: a word that is free, locked, or locked and waited for; and a fork, which copies it with only one thread.

use crate::{Model, explore, holds};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Word {
    Free,
    Locked,
    WaitedFor,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Thread {
    /// `try_lock`, once; or at once the loop of `lock_until`.
    Try,
    Swap,
    /// Falls asleep, if somebody is waited for.
    Wait,
    Asleep,
    Held,
    /// `unlock` has swapped the word and wakes one.
    Wake,
    Done,
}

/// Threads that lock and unlock once. The first forks while it holds the mutex: `child` goes on with the word as it was, and
/// one thread, which unlocks it and locks it again.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Mutex {
    word: Word,
    threads: Vec<Thread>,
    timeouts: u8,
    forks: bool,
    /// The mutation: an unlock wakes nobody.
    silent: bool,
}

impl Mutex {
    fn step(&self, i: usize) -> Option<Self> {
        let mut next = self.clone();
        next.threads[i] = match self.threads[i] {
            Thread::Try if self.word == Word::Free => {
                next.word = Word::Locked;
                Thread::Held
            }
            Thread::Try => Thread::Swap,
            Thread::Swap => {
                next.word = Word::WaitedFor;
                if self.word == Word::Free {
                    Thread::Held
                } else {
                    Thread::Wait
                }
            }
            Thread::Wait if self.word == Word::WaitedFor => Thread::Asleep,
            Thread::Wait => Thread::Swap,
            Thread::Held => {
                next.word = Word::Free;
                if self.word == Word::WaitedFor && !self.silent {
                    Thread::Wake
                } else {
                    Thread::Done
                }
            }
            Thread::Wake => {
                if let Some(sleeper) = next.threads.iter_mut().find(|it| **it == Thread::Asleep) {
                    *sleeper = Thread::Swap;
                }
                Thread::Done
            }
            Thread::Asleep | Thread::Done => return None,
        };
        Some(next)
    }
}

impl Model for Mutex {
    fn next(&self, into: &mut Vec<Self>) {
        for i in 0..self.threads.len() {
            into.extend(self.step(i));
            // Whoever gives up has taken no wake-up that another needs: it looks again first.
            if self.threads[i] == Thread::Asleep && self.timeouts > 0 {
                let mut next = self.clone();
                next.timeouts -= 1;
                next.threads[i] = Thread::Swap;
                into.push(next);
            }
        }
        if self.forks && self.threads[0] == Thread::Held {
            // In the child: one thread, that holds it, and then locks it as if it had come anew.
            let mut child = self.clone();
            child.forks = false;
            child.threads = vec![Thread::Held, Thread::Try];
            into.push(child);
        }
    }

    fn wrong(&self, is_end: bool) -> Option<&'static str> {
        let held = self
            .threads
            .iter()
            .filter(|it| **it == Thread::Held)
            .count();
        if held > 1 {
            return Some("two hold it");
        }
        (is_end && self.threads.contains(&Thread::Asleep))
            .then_some("somebody sleeps beside a free mutex")
    }
}

fn mutex(threads: usize, timeouts: u8) -> Mutex {
    Mutex {
        word: Word::Free,
        threads: vec![Thread::Try; threads],
        timeouts,
        forks: true,
        silent: false,
    }
}

#[test]
fn one_at_a_time_holds_it_and_nobody_sleeps_on() {
    holds(mutex(4, 0));
    holds(mutex(3, 2));
}

#[test]
fn a_mutex_that_wakes_nobody_is_found_out() {
    assert!(
        explore(Mutex {
            silent: true,
            ..mutex(2, 0)
        })
        .is_err()
    );
}
