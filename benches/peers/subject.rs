//! What a peer can do, and how a process of it is told to do it. In the same words for those in Python: everybody/subjects.py.
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::collections::BTreeMap;
use std::io::{Write, stdin, stdout};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A key and its value, or a job.
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Does one call for all of these items, and says for how many: nothing may be left to pop.
type Call = Box<dyn FnMut(&[Item]) -> usize>;

/// A peer that is open: its operations, by their names.
#[derive(Default)]
pub(crate) struct Subject(BTreeMap<&'static str, Call>);

/// To do this operation with some of the `entries`: from the `first` on, each `step`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) operation: String,
    /// With so many in each call.
    pub(crate) batch: u64,
    /// Bytes of a value.
    pub(crate) size: usize,
    pub(crate) entries: u64,
    pub(crate) first: u64,
    pub(crate) step: u64,
    /// In no order and again and again; or else each once.
    pub(crate) again: bool,
    /// For so long at most.
    pub(crate) seconds: f64,
}

/// What came of it; nothing, where the peer doesn't have the operation.
#[derive(Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) items: u64,
    pub(crate) seconds: f64,
    /// How many nanoseconds an item took, how often.
    pub(crate) latencies: Vec<(u64, u64)>,
}

impl Subject {
    pub(crate) fn with(
        mut self,
        operation: &'static str,
        call: impl FnMut(&[Item]) -> usize + 'static,
    ) -> Self {
        self.0.insert(operation, Box::new(call));
        self
    }

    /// Does what each line asks for, and says what came of it, until there are no more.
    pub(crate) fn serve(mut self) {
        println!("ready");
        for line in stdin().lines().map_while(Result::ok) {
            let asked: Asked = serde_json::from_str(&line).expect("a question");
            let call = self.0.get_mut(asked.operation.as_str());
            let done = call.map(|call| asked.work(call));
            println!("{}", serde_json::to_string(&done).expect("numbers"));
            stdout().flush().expect("a parent that listens");
        }
    }
}

impl Asked {
    fn work(&self, call: &mut Call) -> Done {
        let mut latencies =
            Histogram::<u64>::new_with_bounds(1, 600_000_000_000, 3).expect("ten minutes");
        let mut values = Values::new(self.size, self.first);
        let mut next = self.first;
        let mut items = 0;
        let begun = Instant::now();
        let most = Duration::from_secs_f64(self.seconds);
        loop {
            let batch = self.batch(&mut next, &mut values);
            if batch.is_empty() {
                break;
            }
            let start = Instant::now();
            let found = call(&batch) as u64;
            let end = Instant::now();
            if found == 0 {
                break;
            }
            items += found;
            let each = (end - start).as_nanos() / u128::from(found);
            latencies.saturating_record_n(u64::try_from(each).unwrap_or(u64::MAX), found);
            if end - begun > most {
                break;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let latencies = latencies.iter_recorded();
        Done {
            items,
            seconds,
            latencies: latencies
                .map(|it| (it.value_iterated_to(), it.count_at_value()))
                .collect(),
        }
    }

    fn batch(&self, next: &mut u64, values: &mut Values) -> Vec<Item> {
        let mut items = Vec::with_capacity(self.batch as usize);
        while items.len() < self.batch as usize {
            let n = match self.again {
                true => next.wrapping_mul(7919) % self.entries,
                false if *next < self.entries => *next,
                false => break,
            };
            *next += self.step;
            items.push(Item {
                key: format!("https://example.org/{n:010}"),
                value: values.next(),
            });
        }
        items
    }
}

/// Texts without order, so that nobody compresses them, and never the same again, so that each write has something to write.
struct Values {
    text: String,
    size: usize,
    state: u64,
}

const OFFSETS: usize = 1 << 16;

impl Values {
    fn new(size: usize, seed: u64) -> Self {
        let mut state = seed;
        let letter = |_| {
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            char::from(letters[(step(&mut state) % 64) as usize])
        };
        Values {
            text: (0..size + OFFSETS).map(letter).collect(),
            size,
            state: seed,
        }
    }

    fn next(&mut self) -> String {
        let offset = step(&mut self.state) as usize % OFFSETS;
        self.text[offset..offset + self.size].to_owned()
    }
}

fn step(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}
