//! Who is measured.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::racer;
use crate::servers::Kind;

pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) keeps: Keeps,
    program: Program,
    pub(crate) server: Option<Kind>,
    /// Of no more processes at once.
    pub(crate) most: u64,
    /// How many items a call has.
    pub(crate) batch: u64,
    /// What is measured of what it has.
    pub(crate) operations: &'static [&'static str],
}

/// What outlives what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Keeps {
    /// Also what a power cut takes elsewhere.
    Power,
    /// A killed process loses nothing, a power cut the last moments.
    Process,
    /// Less than that.
    Less,
}

enum Program {
    Diskette,
    /// Nothing of what it has read is kept in memory.
    WithoutMemory,
    Raw,
    /// Of ../others.
    Rust(&'static str),
    /// Of subjects.py.
    Python(&'static str),
}

pub(crate) const OPERATIONS: [&str; 10] = [
    "get",
    "set",
    "delete",
    "push",
    "pop",
    "job",
    "lock",
    "semaphore",
    "throttle",
    "memoize",
];
/// Those that depend on the size of a value.
pub(crate) const OF_VALUES: [&str; 5] = ["get", "set", "delete", "push", "pop"];
/// Those of which a power cut might leave something.
const DURABLE: [&str; 7] = ["get", "set", "delete", "push", "pop", "job", "throttle"];
const IN_BATCHES: [&str; 6] = ["get", "set", "delete", "push", "pop", "job"];
const BATCH: u64 = 100;
const MANY: u64 = u64::MAX;

#[rustfmt::skip]
pub(crate) fn all() -> Vec<Peer> {
    use Keeps::{Less, Power, Process};
    use Program::{Diskette, WithoutMemory, Python, Raw, Rust};

    let peer = |name, keeps, program, server, most| Peer {
        name, keeps, program, server, most, batch: 1, operations: &OPERATIONS,
    };
    let local = |name, keeps, program| peer(name, keeps, program, None, MANY);
    let alone = |name, keeps, program| peer(name, keeps, program, None, 1);
    let served = |name, keeps, program, server| peer(name, keeps, program, Some(server), MANY);
    let durable = |peer: Peer| Peer { operations: &DURABLE, ..peer };
    let batch = |peer: Peer| Peer { batch: BATCH, operations: &IN_BATCHES, ..peer };
    vec![
        local("diskette", Process, Diskette),
        Peer { operations: &["get"], ..local("diskette, no memory", Process, WithoutMemory) },
        local("raw SQLite (flock)", Process, Raw),
        local("diskcache", Process, Python("diskcache")),
        local("diskcache-community", Process, Python("diskcache-community")),
        local("diskcache-rs", Process, Python("diskcache-rs")),
        served("Redis", Process, Rust("redis"), Kind::Redis { fsync: "everysec" }),
        served("Memcached", Less, Rust("memcached"), Kind::Memcached),
        local("LMDB", Process, Rust("lmdb")),
        alone("redb", Less, Rust("redb")),
        alone("fjall", Process, Rust("fjall")),
        local("litequeue", Process, Python("litequeue")),
        local("persist-queue", Process, Python("persist-queue")),
        local("filelock", Process, Python("filelock")),
        batch(local("diskette, by 100", Process, Diskette)),
        batch(local("raw SQLite, by 100", Process, Raw)),
        batch(served("Redis, by 100", Process, Rust("redis"), Kind::Redis { fsync: "everysec" })),
        batch(local("LMDB, by 100", Process, Rust("lmdb"))),

        durable(local("diskette", Power, Diskette)),
        durable(local("raw SQLite (flock)", Power, Raw)),
        served("diskette on PostgreSQL", Power, Diskette, Kind::Postgres),
        durable(served("Redis", Power, Rust("redis"), Kind::Redis { fsync: "always" })),
        durable(local("LMDB", Power, Rust("lmdb"))),
        durable(alone("redb", Power, Rust("redb"))),
        durable(alone("fjall", Power, Rust("fjall"))),
        batch(local("diskette, by 100", Power, Diskette)),
        batch(local("raw SQLite, by 100", Power, Raw)),
        batch(served("diskette on PostgreSQL, by 100", Power, Diskette, Kind::Postgres)),
        batch(served("Redis, by 100", Power, Rust("redis"), Kind::Redis { fsync: "always" })),
    ]
}

impl Peer {
    /// How a process of it is started, in this directory, with a store at this address if it is ours; `None` if it isn't installed.
    pub(crate) fn start(&self, directory: &Path, store: &str) -> Option<Command> {
        let mut command = match self.program {
            Program::Diskette | Program::WithoutMemory | Program::Raw => racer::this(),
            Program::Rust(_) => Command::new(racer::installed()?.join(OTHERS)),
            Program::Python(_) => racer::python("everybody", "everybody/subjects.py")?,
        };
        match self.program {
            Program::Diskette => command.args(["subject", "diskette", store]),
            Program::WithoutMemory => command.args(["subject", "no-memory", store]),
            Program::Raw => command.args(["subject", "raw", ""]),
            Program::Rust(name) | Program::Python(name) => command.arg(name),
        };
        if self.keeps == Keeps::Power {
            command.arg("power");
        }
        command.current_dir(directory);
        Some(command)
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.program, Program::Diskette | Program::WithoutMemory)
    }
}

const OTHERS: &str = "others/release/diskette-bench-others";

impl fmt::Display for Keeps {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Keeps::Power => "power",
            Keeps::Process => "process",
            Keeps::Less => "less",
        })
    }
}
