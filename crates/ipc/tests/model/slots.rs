//! `src/queue.rs` and `src/slots.rs`: threads that take slots, in the order of arrival, and give them back.

use crate::{Model, explore, holds};

/// How a model is set up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Rules {
    /// Who may take what is free although others wait: nobody whose turn it isn't, or (a turn that lasts) everybody.
    turn_lasts: bool,
    /// Whether `pass_on` looks again at whom it has rung.
    second_look: bool,
}

/// One access to shared memory is to come, or none any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    /// `is_open_to`: loads `waited`.
    Open,
    /// `is_open_to`: loads the rows of those who wait, one by one; best so far.
    Rank {
        row: u8,
        best: u8,
    },
    /// `take_free`, for several: counts the free ones.
    Count {
        slot: u8,
        free: u8,
    },
    /// `take_free`: takes one after the other.
    Take {
        slot: u8,
    },
    /// `Waiting::begin`
    Arrive,
    Join,
    /// The loop of `take`: `seen`, then `look`.
    See,
    Unring,
    Raise,
    /// `line.wait`
    Sleep,
    Asleep,
    /// `Waiting::drop`
    Leave,
    CountFree {
        slot: u8,
    },
    /// `give`: one slot after the other.
    Give {
        slot: u8,
    },
    /// `pass_on`
    Waited,
    Lower,
    First {
        row: u8,
        best: u8,
    },
    RaiseAgain {
        who: u8,
    },
    Rung {
        who: u8,
    },
    Ring {
        who: u8,
    },
    SecondLook {
        who: u8,
    },
    Done,
    Dead,
}

/// Nobody, or no slot.
const NONE: u8 = u8::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Thread {
    at: At,
    /// Where it goes from `pass_on`.
    then: Then,
    wants: u8,
    seen: u8,
    // Its row on the board:
    seated: bool,
    waits: bool,
    arrival: u8,
    rung: bool,
    rings: u8,
    /// The arrival of whom it has rung.
    rung_arrival: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Then {
    /// It holds what it wants, and gives it back.
    Give,
    /// Others were faster: it waits, or begins to.
    Wait,
    Done,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Slots<const THREADS: usize, const SLOTS: usize> {
    rules: Rules,
    waited: bool,
    arrivals: u8,
    holders: [u8; SLOTS],
    threads: [Thread; THREADS],
    timeouts: u8,
    deaths: u8,
    passings_over: u8,
    /// The row that `bury` rings next, once it has freed the seats of the dead.
    burying: u8,
}

impl<const THREADS: usize, const SLOTS: usize> Slots<THREADS, SLOTS> {
    fn is_free(&self, slot: u8) -> bool {
        let holder = self.holders[usize::from(slot)];
        holder == NONE || !self.threads[usize::from(holder)].seated
    }

    fn waits(&self, row: u8) -> bool {
        let row = &self.threads[usize::from(row)];
        row.seated && row.waits
    }

    /// The counter has 31 bits; so many rings in one look are out of reach here.
    fn ring(&mut self, row: u8) {
        let rings = &mut self.threads[usize::from(row)].rings;
        *rings = (*rings + 1) % 16;
    }

    /// The better one of two rows, by what they have now; `over`: one that was rung is passed over.
    fn better(&self, row: u8, best: u8, over: bool) -> u8 {
        let this = &self.threads[usize::from(row)];
        if !self.waits(row) || over && this.rung {
            return best;
        }
        match best {
            NONE => row,
            best if self.threads[usize::from(best)].arrival <= this.arrival => best,
            _ => row,
        }
    }

    /// One step of thread `me`; `over`: a rung row that it meets is passed over.
    fn step(&self, me: u8, over: bool) -> Option<Self> {
        let i = usize::from(me);
        let mut next = self.clone();
        let this = self.threads[i];
        let (count, slots) = (THREADS as u8, SLOTS as u8);
        let try_to_take = match this.wants {
            1 => At::Take { slot: 0 },
            _ => At::Count { slot: 0, free: 0 },
        };
        let in_vain = if this.waits { At::Sleep } else { At::Arrive };
        let taken = if this.waits {
            At::Leave
        } else {
            At::Give { slot: 0 }
        };
        let passed_on = match this.then {
            Then::Give => At::Give { slot: 0 },
            Then::Wait => in_vain,
            Then::Done => At::Done,
        };
        next.threads[i].at = match this.at {
            At::Open if !self.waited || self.rules.turn_lasts => try_to_take,
            At::Open => At::Rank { row: 0, best: NONE },
            At::Rank { row, best } if row < count => {
                let best = self.better(row, best, over);
                At::Rank { row: row + 1, best }
            }
            // With nobody left there it passes on to nobody, which this leaves out: it can only take more.
            At::Rank { best, .. } if best == NONE || best == me => try_to_take,
            At::Rank { .. } => in_vain,
            At::Count { slot, free } if slot < slots => {
                let free = free + u8::from(self.is_free(slot));
                At::Count {
                    slot: slot + 1,
                    free,
                }
            }
            At::Count { free, .. } if free >= this.wants => At::Take { slot: 0 },
            At::Count { .. } => in_vain,
            At::Take { slot } if slot < slots => {
                let has = self.holders.iter().filter(|&&holder| holder == me).count() as u8;
                if has < this.wants && self.is_free(slot) {
                    next.holders[usize::from(slot)] = me;
                    if has + 1 == this.wants {
                        taken
                    } else {
                        At::Take { slot: slot + 1 }
                    }
                } else {
                    At::Take { slot: slot + 1 }
                }
            }
            At::Take { .. } => {
                if self.holders.contains(&me) {
                    // Fewer than it wants: the `Hold` of those is dropped.
                    next.threads[i].then = Then::Wait;
                    At::Give { slot: 0 }
                } else {
                    in_vain
                }
            }
            At::Arrive => {
                next.arrivals += 1;
                next.threads[i].arrival = next.arrivals;
                At::Join
            }
            At::Join => {
                next.threads[i].waits = true;
                At::See
            }
            At::See => {
                next.threads[i].seen = this.rings;
                At::Unring
            }
            At::Unring => {
                next.threads[i].rung = false;
                At::Raise
            }
            At::Raise => {
                next.waited = true;
                At::Open
            }
            At::Sleep if this.rings != this.seen => At::See,
            At::Sleep => At::Asleep,
            At::Asleep if this.rings != this.seen => At::See,
            At::Leave => {
                next.threads[i].waits = false;
                next.threads[i].then = match self.holders.contains(&me) {
                    true => Then::Give,
                    false => Then::Done,
                };
                At::CountFree { slot: 0 }
            }
            At::CountFree { slot } if slot < slots && !self.is_free(slot) => {
                At::CountFree { slot: slot + 1 }
            }
            At::CountFree { slot } if slot < slots => At::Waited,
            At::CountFree { .. } => passed_on,
            At::Give { slot } if slot < slots => {
                if self.holders[usize::from(slot)] == me {
                    next.holders[usize::from(slot)] = NONE;
                }
                At::Give { slot: slot + 1 }
            }
            At::Give { .. } => {
                if this.then == Then::Give {
                    next.threads[i].then = Then::Done;
                }
                At::Waited
            }
            At::Waited if self.waited => At::Lower,
            At::Waited => passed_on,
            At::Lower => {
                next.waited = false;
                At::First { row: 0, best: NONE }
            }
            At::First { row, best } if row < count => {
                let best = self.better(row, best, over);
                At::First { row: row + 1, best }
            }
            At::First { best: NONE, .. } => passed_on,
            At::First { best, .. } => {
                next.threads[i].rung_arrival = self.threads[usize::from(best)].arrival;
                At::RaiseAgain { who: best }
            }
            At::RaiseAgain { who } => {
                next.waited = true;
                At::Rung { who }
            }
            At::Rung { who } => {
                next.threads[usize::from(who)].rung = true;
                At::Ring { who }
            }
            At::Ring { who } => {
                next.ring(who);
                if self.rules.second_look {
                    At::SecondLook { who }
                } else {
                    passed_on
                }
            }
            At::SecondLook { who } => {
                let same = self.threads[usize::from(who)].arrival == this.rung_arrival;
                if self.waits(who) && same {
                    passed_on
                } else {
                    At::Waited
                }
            }
            At::Asleep | At::Done | At::Dead => return None,
        };
        Some(next)
    }
}

impl<const THREADS: usize, const SLOTS: usize> Model for Slots<THREADS, SLOTS> {
    fn next(&self, into: &mut Vec<Self>) {
        for me in 0..THREADS as u8 {
            let i = usize::from(me);
            into.extend(self.step(me, false));
            let at = self.threads[i].at;
            if self.passings_over > 0
                && let At::Rank { row, .. } | At::First { row, .. } = at
                && self
                    .threads
                    .get(usize::from(row))
                    .is_some_and(|row| row.rung)
                && let Some(mut next) = self.step(me, true)
            {
                next.passings_over -= 1;
                into.push(next);
            }
            if self.timeouts > 0 && at == At::Asleep {
                let mut next = self.clone();
                next.timeouts -= 1;
                next.threads[i].at = At::Leave;
                into.push(next);
            }
            if self.deaths > 0 && !matches!(at, At::Done | At::Dead) {
                let mut next = self.clone();
                next.deaths -= 1;
                next.threads[i].at = At::Dead;
                into.push(next);
            }
        }
        // `Board::bury`: frees the seats, then rings all who wait, one by one.
        let unburied = |thread: &Thread| thread.at == At::Dead && thread.seated;
        if self.burying == NONE && self.threads.iter().any(unburied) {
            let mut next = self.clone();
            next.threads
                .iter_mut()
                .filter(|it| unburied(it))
                .for_each(|it| it.seated = false);
            next.burying = 0;
            into.push(next);
        } else if self.burying != NONE {
            let mut next = self.clone();
            if self.waits(self.burying) {
                next.ring(self.burying);
            }
            next.burying += 1;
            if usize::from(next.burying) == THREADS {
                next.burying = NONE;
            }
            into.push(next);
        }
    }

    fn wrong(&self, is_end: bool) -> Option<&'static str> {
        let free = (0..SLOTS as u8).filter(|&slot| self.is_free(slot)).count();
        let could_go_on =
            |thread: &Thread| thread.at == At::Asleep && usize::from(thread.wants) <= free;
        (is_end && self.threads.iter().any(could_go_on))
            .then_some("somebody sleeps beside free slots")
    }
}

fn slots<const THREADS: usize, const SLOTS: usize>(
    rules: Rules,
    wants: [u8; THREADS],
) -> Slots<THREADS, SLOTS> {
    let thread = |wants| Thread {
        at: At::Open,
        then: Then::Give,
        wants,
        seen: 0,
        seated: true,
        waits: false,
        arrival: 0,
        rung: false,
        rings: 0,
        rung_arrival: 0,
    };
    Slots {
        rules,
        waited: false,
        arrivals: 0,
        holders: [NONE; SLOTS],
        threads: wants.map(thread),
        timeouts: 0,
        deaths: 0,
        passings_over: 0,
        burying: NONE,
    }
}

const STRICT: Rules = Rules {
    turn_lasts: false,
    second_look: true,
};

/// Of 871 ways in which three threads could share one slot, 48 ended with one that slept beside it.
#[test]
fn without_a_second_look_a_wake_up_is_lost() {
    let hasty = Rules {
        second_look: false,
        ..STRICT
    };
    assert!(explore(slots::<3, 1>(hasty, [1, 1, 1])).is_err());
}

#[test]
fn nobody_sleeps_beside_a_free_slot() {
    holds(slots::<3, 1>(STRICT, [1, 1, 1]));
}

#[test]
fn nor_while_turns_last() {
    let lasts = Rules {
        turn_lasts: true,
        ..STRICT
    };
    holds(slots::<2, 1>(lasts, [1, 1]));
    holds(slots::<2, 2>(lasts, [1, 2]));
}

#[test]
fn nor_beside_several() {
    holds(slots::<2, 2>(STRICT, [1, 2]));
    holds(slots::<2, 2>(STRICT, [2, 2]));
}

#[test]
fn nor_when_somebody_gives_up_is_passed_over_or_dies() {
    let two = slots::<2, 1>(STRICT, [1, 1]);
    holds(Slots { timeouts: 1, ..two });
    holds(Slots {
        passings_over: 1,
        ..two
    });
    holds(Slots {
        timeouts: 1,
        deaths: 1,
        passings_over: 1,
        ..two
    });
    let several = slots::<2, 2>(STRICT, [1, 2]);
    holds(Slots {
        timeouts: 1,
        deaths: 1,
        ..several
    });
}
