//! Threads that take and give back at random, against what a plain model says.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diskette_lock::{Guard, Lock, RLock, RwLock};
use proptest::prelude::*;

use crate::store;

const THREADS: usize = 3;
const THINGS: usize = 4;

/// What can be taken: a lock, another that can be taken again, and one to read or to write.
#[derive(Clone)]
struct Things {
    lock: Lock,
    rlock: RLock,
    rw_lock: RwLock,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take {
        thing: usize,
        timeout: bool,
    },
    /// The `nth` of the guards that the thread has.
    GiveBack {
        nth: usize,
        by_drop: bool,
    },
    /// The thread ends, and another takes its place.
    End,
}

/// What a thread answers.
#[derive(Debug, PartialEq)]
enum Answer {
    Taken { token: u64 },
    Refused,
    GivenBack,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        6 => (0..THINGS, any::<bool>()).prop_map(|(thing, timeout)| Step::Take { thing, timeout }),
        5 => (any::<usize>(), any::<bool>()).prop_map(|(nth, by_drop)| Step::GiveBack { nth, by_drop }),
        1 => Just(Step::End),
    ];
    prop::collection::vec((0..THREADS, step), 1..80)
}

impl Things {
    fn take(&self, thing: usize, timeout: bool) -> Option<Guard> {
        let zero = Duration::ZERO;
        let taken = match (thing, timeout) {
            (0, false) => self.lock.try_lock(),
            (0, true) => self.lock.lock_timeout(zero),
            (1, false) => self.rlock.try_lock(),
            (1, true) => self.rlock.lock_timeout(zero),
            (2, false) => self.rw_lock.try_read(),
            (2, true) => self.rw_lock.read_timeout(zero),
            (_, false) => self.rw_lock.try_write(),
            (_, true) => self.rw_lock.write_timeout(zero),
        };
        taken.unwrap()
    }
}

/// A thread with guards, and the model of it: the things that it holds, in the order of the guards.
struct Worker {
    steps: Sender<Step>,
    answers: Receiver<Answer>,
    thread: JoinHandle<()>,
    holds: Vec<usize>,
}

impl Worker {
    fn start(things: &Things) -> Self {
        let (steps, to_do) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let things = things.clone();
        let thread = thread::spawn(move || {
            let mut guards = Vec::new();
            for step in to_do {
                answer.send(obey(&things, &mut guards, step)).unwrap();
            }
        });
        Self {
            steps,
            answers,
            thread,
            holds: Vec::new(),
        }
    }

    fn ask(&self, step: Step) -> Answer {
        self.steps.send(step).unwrap();
        self.answers.recv().unwrap()
    }

    fn end(self) {
        drop(self.steps);
        self.thread.join().unwrap();
    }
}

fn obey(things: &Things, guards: &mut Vec<Guard>, step: Step) -> Answer {
    assert!(guards.iter().all(Guard::is_held));
    match step {
        Step::Take { thing, timeout } => match things.take(thing, timeout) {
            None => Answer::Refused,
            Some(guard) => {
                let token = guard.token();
                guards.push(guard);
                Answer::Taken { token }
            }
        },
        Step::GiveBack { nth, by_drop } => {
            let guard = guards.remove(nth);
            match by_drop {
                true => drop(guard),
                false => guard.release().unwrap(),
            }
            Answer::GivenBack
        }
        Step::End => unreachable!("a thread ends when there is nothing more to do"),
    }
}

/// Who may have a thing, by the model.
fn is_free(workers: &[Worker], who: usize, thing: usize) -> bool {
    let held = |thing| workers.iter().any(|worker| worker.holds.contains(&thing));
    match thing {
        0 => !held(0),
        1 => !held(1) || workers[who].holds.contains(&1),
        2 => !held(3),
        _ => !held(2) && !held(3),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn locks_do_what_a_model_of_them_does(steps in steps()) {
        let (_dir, store) = store();
        let things = Things {
            lock: Lock::new(&store, "lock").unwrap(),
            rlock: RLock::new(&store, "rlock").unwrap(),
            rw_lock: RwLock::new(&store, "rw").unwrap(),
        };
        let mut workers: Vec<_> = (0..THREADS).map(|_| Worker::start(&things)).collect();
        // Of the lock, and of the one that can be taken again.
        let mut last = [0; 2];
        for (who, step) in steps {
            let holds = workers[who].holds.clone();
            match step {
                Step::Take { thing, .. } => {
                    let (free, answer) = (is_free(&workers, who, thing), workers[who].ask(step));
                    let Answer::Taken { token } = answer else {
                        prop_assert!(!free, "{who} was refused {thing}");
                        continue;
                    };
                    prop_assert!(free, "{who} was given {thing}");
                    if let Some(last) = last.get_mut(thing) {
                        let again = holds.contains(&thing);
                        let fits = if again { token == *last } else { token > *last };
                        prop_assert!(fits, "{token} after {last}, again: {again}");
                        *last = token;
                    }
                    workers[who].holds.push(thing);
                }
                Step::GiveBack { .. } if holds.is_empty() => {}
                Step::GiveBack { nth, by_drop } => {
                    let nth = nth % holds.len();
                    let answer = workers[who].ask(Step::GiveBack { nth, by_drop });
                    prop_assert_eq!(answer, Answer::GivenBack);
                    workers[who].holds.remove(nth);
                }
                Step::End => {
                    let ended = std::mem::replace(&mut workers[who], Worker::start(&things));
                    ended.end();
                }
            }
            let held = |thing| workers.iter().any(|worker| worker.holds.contains(&thing));
            prop_assert_eq!(things.lock.holder().unwrap().is_some(), held(0));
            prop_assert_eq!(things.rlock.holder().unwrap().is_some(), held(1));
            let readers = workers.iter().flat_map(|worker| &worker.holds).filter(|&&it| it == 2);
            let permits = if held(3) { RwLock::READERS as usize } else { readers.count() };
            let taken = things.rw_lock.holders().unwrap();
            prop_assert_eq!(taken.iter().map(|it| it.permits as usize).sum::<usize>(), permits);
        }
        workers.into_iter().for_each(Worker::end);
    }
}
