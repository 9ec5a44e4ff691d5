//! All the ways in which members and a stranger can read, write, copy the log and begin it anew beside each other, gone through one
//! by one: what `locks.rs` does and SQLite asks of it, with one access to what is shared to a step.
//!
//! Anybody may be killed at any step. There is one read mark, that which says how far to copy: the others only hold up more.
#![cfg(target_os = "linux")]

use std::collections::HashSet;

/// The frames of the log count the versions of the database from `base` on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Header {
    salt: u8,
    base: u8,
    frames: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    header: Header,
    copied: u8,
    mark: u8,
    /// The kernel's lock of the mark.
    sharing: u8,
    alone: bool,
    restart: bool,
    backfill: bool,
    /// What the reader and the writer show.
    shows: [Shown; 2],
    /// The database has all of the one, and something of the other.
    whole: u8,
    newest: u8,
    writer: Actor,
    copier: Actor,
    reader: Actor,
    stranger: Actor,
    /// What can be left out, to see that it is needed.
    mends: bool,
    looks: bool,
    pins: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Shown {
    Nothing,
    Database,
    Log(u8),
}

/// Where somebody is, how often it begins anew, and what it has in hand.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Actor {
    at: &'static str,
    left: u8,
    header: Header,
    safe: u8,
    limit: u8,
    from: u8,
    pinned: bool,
}

const READER: usize = 0;
const WRITER: usize = 1;

impl State {
    fn new(copied: u8, [writer, copier, reader, stranger]: [u8; 4]) -> Self {
        let header = Header {
            salt: 0,
            base: 0,
            frames: 1,
        };
        let actor = |left| Actor {
            at: "begin",
            left,
            header,
            safe: 0,
            limit: 0,
            from: 0,
            pinned: false,
        };
        State {
            header,
            copied,
            mark: 0,
            sharing: 0,
            alone: false,
            restart: false,
            backfill: false,
            shows: [Shown::Nothing; 2],
            whole: copied,
            newest: copied,
            writer: actor(writer),
            copier: actor(copier),
            reader: actor(reader),
            stranger: actor(stranger),
            mends: true,
            looks: true,
            pins: true,
        }
    }

    fn next(&self, into: &mut Vec<State>) {
        for (step, kill) in [
            (
                Self::write as fn(&mut Self) -> bool,
                Self::kill_writer as fn(&mut Self),
            ),
            (Self::copy, Self::kill_copier),
            (Self::read, Self::kill_reader),
            (Self::read_as_a_stranger, |_| {}),
        ] {
            let mut next = self.clone();
            if step(&mut next) {
                into.push(next);
                let mut next = self.clone();
                kill(&mut next);
                into.push(next);
            }
        }
    }

    fn mend(&mut self) {
        if self.mends && self.header.frames == 0 {
            self.copied = 0;
        }
    }

    /// A commit, in a log that is begun anew if it can be. `walRestartLog`, `sqlite3WalFrames`.
    fn write(&mut self) -> bool {
        let me = &mut self.writer;
        match me.at {
            "begin" if me.left == 0 => return false,
            "begin" => {
                let whole = self.copied == self.header.frames && self.copied > 0;
                me.at = if whole { "show" } else { "append" };
            }
            "show" => {
                self.shows[WRITER] = Shown::Database;
                me.at = "ask";
            }
            "ask" => me.at = if self.backfill { "begin" } else { "hold" },
            "hold" => {
                self.restart = true;
                me.at = "look";
            }
            "look" => match self.shows[READER] {
                Shown::Log(_) => me.at = "release",
                _ => me.at = "lock",
            },
            "lock" if self.alone || self.sharing > 0 => me.at = "release",
            "lock" => {
                self.alone = true;
                me.pinned = true;
                me.at = "empty";
            }
            "empty" => {
                let Header { salt, base, frames } = self.header;
                self.header = Header {
                    salt: salt + 1,
                    base: base + frames,
                    frames: 0,
                };
                me.at = "count";
            }
            "count" => {
                self.copied = 0;
                me.at = "mark";
            }
            "mark" => {
                self.mark = 0;
                me.at = "unlock";
            }
            "unlock" => {
                self.alone = false;
                me.pinned = false;
                me.at = "release";
            }
            "release" => {
                self.restart = false;
                me.at = "append";
            }
            "append" => {
                self.shows[WRITER] = Shown::Log(self.header.frames);
                self.mend();
                self.writer.at = "commit";
            }
            "commit" => {
                self.header.frames += 1;
                me.at = "end";
            }
            "end" => self.kill_writer(),
            other => panic!("{other}"),
        }
        if self.writer.at == "begin" {
            self.shows[WRITER] = Shown::Nothing;
        }
        true
    }

    fn kill_writer(&mut self) {
        let me = &mut self.writer;
        self.restart = false;
        self.shows[WRITER] = Shown::Nothing;
        if me.pinned {
            self.alone = false;
        }
        me.pinned = false;
        me.left -= 1;
        me.at = "begin";
    }

    /// `walCheckpoint`, between `pin` and `unpin`.
    fn copy(&mut self) -> bool {
        let last = self.header.frames;
        let me = &mut self.copier;
        match me.at {
            "begin" if me.left == 0 => return false,
            "begin" => {
                me.at = if self.mark < last && !self.alone && self.sharing == 0 {
                    "raise"
                } else {
                    "pin"
                }
            }
            "raise" if self.alone || self.sharing > 0 => me.at = "pin",
            "raise" => {
                self.mark = last;
                me.at = "pin";
            }
            "pin" if self.alone => self.kill_copier(),
            "pin" if !self.pins => me.at = "last",
            "pin" => {
                self.sharing += 1;
                me.pinned = true;
                me.at = "last";
            }
            "last" => {
                me.limit = last;
                me.at = "limit by the reader";
            }
            "limit by the reader" | "limit by the writer" => {
                let (who, then) = if me.at == "limit by the reader" {
                    (READER, "limit by the writer")
                } else {
                    (WRITER, "lower")
                };
                if let Shown::Log(frame) = self.shows[who]
                    && self.looks
                {
                    me.limit = me.limit.min(frame);
                }
                me.at = then;
            }
            "lower" => {
                self.mark = self.mark.min(me.limit);
                me.at = "header";
            }
            "header" => {
                me.header = self.header;
                me.at = "how far";
            }
            "how far" => {
                me.safe = me.header.frames.min(self.mark);
                me.at = if me.header.frames > self.mark {
                    "may I move"
                } else {
                    "backfill"
                };
            }
            "may I move" => {
                me.limit = last;
                me.at = "move by the reader";
            }
            "move by the reader" | "move by the writer" => {
                let (who, then) = if me.at == "move by the reader" {
                    (READER, "move by the writer")
                } else {
                    (WRITER, "unpin")
                };
                me.at = match self.shows[who] {
                    Shown::Log(frame) if frame < me.limit && self.looks => "backfill",
                    _ => then,
                };
            }
            "unpin" => {
                self.sharing -= u8::from(me.pinned);
                me.pinned = false;
                me.at = "lock";
            }
            "lock" if self.alone || self.sharing > 0 => me.at = "backfill",
            "lock" => {
                self.alone = true;
                me.safe = me.header.frames;
                me.at = "move";
            }
            "move" => {
                self.mark = me.safe;
                me.at = "unlock";
            }
            "unlock" => {
                self.alone = false;
                me.at = "backfill";
            }
            "backfill" => {
                self.backfill = true;
                me.at = "look at the reader";
            }
            "look at the reader" | "look at the writer" => {
                let (who, then) = if me.at == "look at the reader" {
                    (READER, "look at the writer")
                } else {
                    (WRITER, "compare")
                };
                match self.shows[who] {
                    Shown::Database => self.kill_copier(),
                    _ => me.at = then,
                }
            }
            "compare" if me.header.salt != self.header.salt => self.kill_copier(),
            "compare" => {
                me.from = self.copied;
                match self.copied < me.safe {
                    true => me.at = "copy some",
                    false => self.kill_copier(),
                }
            }
            "copy some" => {
                self.newest = self.newest.max(me.header.base + me.safe);
                me.at = "copy all";
            }
            "copy all" => {
                if self.whole >= me.header.base + me.from {
                    self.whole = self.whole.max(me.header.base + me.safe);
                }
                me.at = "say so";
            }
            "say so" => {
                self.copied = me.safe;
                me.at = "end";
            }
            "end" => self.kill_copier(),
            other => panic!("{other}"),
        }
        true
    }

    fn kill_copier(&mut self) {
        let me = &mut self.copier;
        if me.pinned {
            self.sharing -= 1;
        }
        if ["move", "unlock"].contains(&me.at) {
            self.alone = false;
        }
        self.backfill = false;
        me.pinned = false;
        me.left -= 1;
        me.at = "begin";
    }

    /// `walTryBeginRead` by a member.
    fn read(&mut self) -> bool {
        let me = &mut self.reader;
        match me.at {
            "begin" if me.left == 0 => return false,
            "begin" => {
                me.header = self.header;
                me.at = "is it copied";
            }
            "is it copied" => {
                me.at = if self.copied == me.header.frames {
                    "show nothing"
                } else {
                    "last"
                }
            }
            "show nothing" => {
                self.shows[READER] = Shown::Database;
                me.at = "is it being copied";
            }
            "is it being copied" => {
                me.at = if self.backfill {
                    "begin"
                } else {
                    "compare, without the log"
                }
            }
            "compare, without the log" => {
                me.at = if self.header == me.header {
                    "without the log"
                } else {
                    "begin"
                }
            }
            "last" => {
                me.limit = self.header.frames;
                me.at = "show";
            }
            "show" => {
                self.shows[READER] = Shown::Log(me.limit);
                me.at = "is it begun anew";
            }
            "is it begun anew" if self.restart => me.at = "begin",
            "is it begun anew" => {
                self.mend();
                self.reader.at = "from where";
            }
            "from where" => {
                me.from = self.copied;
                me.at = "compare";
            }
            "compare" => {
                me.at = if self.header == me.header {
                    "by the log"
                } else {
                    "begin"
                }
            }
            "by the log" | "without the log" => self.kill_reader(),
            other => panic!("{other}"),
        }
        if self.reader.at == "begin" {
            self.shows[READER] = Shown::Nothing;
        }
        true
    }

    fn kill_reader(&mut self) {
        self.shows[READER] = Shown::Nothing;
        self.reader.left -= 1;
        self.reader.at = "begin";
    }

    /// The same by stock SQLite, which moves the mark.
    fn read_as_a_stranger(&mut self) -> bool {
        let me = &mut self.stranger;
        match me.at {
            "begin" if me.left == 0 => return false,
            "begin" => {
                me.header = self.header;
                me.at = if self.mark == me.header.frames {
                    "mark"
                } else {
                    "lock"
                };
            }
            "lock" if self.alone || self.sharing > 0 => me.at = "mark",
            "lock" => {
                self.alone = true;
                me.at = "move";
            }
            "move" => {
                self.mark = me.header.frames;
                me.at = "unlock";
            }
            "unlock" => {
                self.alone = false;
                me.at = "mark";
            }
            "mark" => {
                me.limit = self.mark;
                me.at = if self.mark <= me.header.frames {
                    "share"
                } else {
                    "begin"
                };
            }
            "share" if self.alone => me.at = "begin",
            "share" => {
                self.sharing += 1;
                me.at = "from where";
            }
            "from where" => {
                me.from = self.copied;
                me.at = "compare";
            }
            "compare" if self.mark == me.limit && self.header == me.header => me.at = "by the log",
            "compare" => {
                self.sharing -= 1;
                me.at = "begin";
            }
            "by the log" => {
                self.sharing -= 1;
                me.left -= 1;
                me.at = "begin";
            }
            other => panic!("{other}"),
        }
        true
    }

    fn wrong(&self) -> Option<&'static str> {
        for who in [&self.reader, &self.stranger] {
            let Header { salt, base, frames } = who.header;
            let version = base + frames;
            match who.at {
                "by the log" if self.header.salt != salt => {
                    return Some("a log that is read is overwritten");
                }
                "by the log" if self.newest > version => {
                    return Some("a page is newer than the snapshot");
                }
                "by the log" if frames > 0 && self.whole < base + who.from => {
                    return Some("a frame is overlooked");
                }
                "without the log" if self.whole != version || self.newest != version => {
                    return Some("the database is not the snapshot");
                }
                _ => {}
            }
        }
        let begun = self.header.base;
        (self.whole < begun).then_some("a frame was overwritten before it was copied")
    }
}

/// How many states there are, or what is wrong with the first bad one.
fn explore(start: State) -> Result<usize, Box<(&'static str, State)>> {
    let mut seen = HashSet::from([start.clone()]);
    let mut open = vec![start];
    let mut next = Vec::new();
    while let Some(state) = open.pop() {
        if let Some(wrong) = state.wrong() {
            return Err(Box::new((wrong, state)));
        }
        state.next(&mut next);
        for state in next.drain(..) {
            if seen.insert(state.clone()) {
                open.push(state);
            }
        }
    }
    Ok(seen.len())
}

#[track_caller]
fn holds(start: State) {
    match explore(start) {
        Ok(states) => println!("{states} states"),
        Err(bad) => panic!("{}: {:#?}", bad.0, bad.1),
    }
}

#[test]
fn members_beside_each_other() {
    holds(State::new(0, [2, 2, 1, 0]));
    holds(State::new(1, [2, 1, 1, 0]));
}

#[test]
fn members_beside_a_stranger() {
    holds(State::new(1, [1, 1, 1, 1]));
}

/// Each of these alone isn't enough.
#[test]
fn nothing_of_it_can_be_left_out() {
    let start = || State::new(1, [2, 1, 1, 1]);
    // SQLite itself is wrong there.
    let unmended = State {
        mends: false,
        ..start()
    };
    // Who copies goes by the marks alone, as SQLite does, though members don't go by them.
    let blind = State {
        looks: false,
        ..start()
    };
    // A stranger moves the mark by which it is said how far to copy.
    let loose = State {
        pins: false,
        ..start()
    };
    for start in [unmended, blind, loose] {
        assert!(explore(start.clone()).is_err(), "{start:?}");
    }
}
