//! What was measured.

use serde::Serialize;

use crate::peers::Keeps;

#[derive(Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<Figure>,
    pub(crate) failures: Vec<String>,
}

/// One operation of one peer. Times are in microseconds for an item; memory and disk, in MiB, what there was when it was done.
#[derive(Serialize)]
pub(crate) struct Figure {
    pub(crate) peer: &'static str,
    pub(crate) keeps: Keeps,
    pub(crate) operation: String,
    /// Bytes of a value, where it has one.
    pub(crate) size: Option<usize>,
    pub(crate) processes: u64,
    pub(crate) batch: u64,
    pub(crate) entries: u64,
    pub(crate) items: u64,
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) longest: f64,
    /// Of all processes, and of the server.
    pub(crate) processor: f64,
    pub(crate) memory: f64,
    pub(crate) disk: f64,
    #[serde(skip)]
    pub(crate) ours: bool,
}

/// Those that can be compared: the same work at the same durability.
pub(crate) struct Race<'f> {
    pub(crate) power: bool,
    pub(crate) operation: &'f str,
    pub(crate) size: Option<usize>,
    pub(crate) processes: u64,
    pub(crate) batch: u64,
    pub(crate) runners: Vec<&'f Figure>,
}

impl Figures {
    /// In the order in which they were measured.
    pub(crate) fn races(&self) -> Vec<Race<'_>> {
        let mut races: Vec<Race<'_>> = Vec::new();
        for row in &self.rows {
            let power = row.keeps == Keeps::Power;
            let race = races.iter_mut().find(|race| {
                (race.power, race.operation, race.size) == (power, &row.operation, row.size)
                    && (race.processes, race.batch) == (row.processes, row.batch)
            });
            match race {
                Some(race) => race.runners.push(row),
                None => races.push(Race {
                    power,
                    operation: &row.operation,
                    size: row.size,
                    processes: row.processes,
                    batch: row.batch,
                    runners: vec![row],
                }),
            }
        }
        races
    }
}

impl Race<'_> {
    /// diskette, as it comes.
    pub(crate) fn ours(&self) -> Option<&Figure> {
        let mut runners = self.runners.iter().copied();
        runners.find(|runner| runner.ours)
    }

    pub(crate) fn name(&self) -> String {
        let size = self.size.map(|size| format!(" of {}", bytes(size)));
        let batch = match self.batch {
            1 => String::new(),
            many => format!(" by {many}"),
        };
        format!("{}{}{batch}", self.operation, size.unwrap_or_default())
    }
}

impl Figure {
    /// The p99.9, if there is one.
    pub(crate) fn rare(&self) -> Option<f64> {
        (self.items >= 1000 * self.batch).then_some(self.p999)
    }
}

pub(crate) fn bytes(size: usize) -> String {
    match size {
        _ if size < 1024 => format!("{size} bytes"),
        _ => format!("{} KiB", size >> 10),
    }
}
