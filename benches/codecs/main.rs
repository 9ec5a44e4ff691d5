//! What compression makes of JSON records, by zstd's levels and by the codec, and what it takes.
//!
//! `cargo bench --bench codecs`
#![allow(clippy::unwrap_used, reason = "a bench that fails has nothing to say")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use diskette::{Codec, Json, Zstd};
use diskette_benches::scaled;
use serde::{Deserialize, Serialize};
use zstd::bulk::{Compressor, Decompressor};

const SIZES: [usize; 8] = [100, 200, 300, 500, 1000, 10_000, 100_000, 1_000_000];

/// Together, of each size, in at least so many values.
const BYTES: usize = scaled(4_000_000, 10_000);
const LEAST: usize = scaled(3, 1);

#[derive(Serialize, Deserialize)]
struct Record {
    id: u64,
    url: String,
    title: String,
    status: u16,
    score: f64,
    text: String,
}

fn main() {
    if !diskette_benches::is_asked_for() {
        return;
    }
    println!("  bytes                 ratio   write MB/s       us    read MB/s       us");
    for size in SIZES {
        let mut random = Random(88_172_645_463_325_252);
        let values: Vec<_> = (0..(BYTES / size).clamp(LEAST, 2000))
            .map(|_| random.value(size))
            .collect();
        let texts: Vec<_> = values.iter().map(encode::<Json>).collect();
        for level in [1, 3] {
            let mut compressor = Compressor::new(level).unwrap();
            let mut decompressor = Decompressor::new().unwrap();
            measure(
                &format!("zstd, level {level}"),
                &texts,
                &texts,
                |text| compressor.compress(text).unwrap(),
                |packed| decompressor.decompress(packed, 2 * 1024 * 1024).unwrap(),
            );
        }
        measure("Json", &texts, &values, encode::<Json>, decode::<Json>);
        measure(
            "Zstd<Json>",
            &texts,
            &values,
            encode::<Zstd<Json>>,
            decode::<Zstd<Json>>,
        );
    }
}

fn encode<C: Codec>(value: &Vec<Record>) -> Vec<u8> {
    let mut bytes = Vec::new();
    C::encode(value, &mut bytes).unwrap();
    bytes
}

fn decode<C: Codec>(bytes: &[u8]) -> Vec<Record> {
    C::decode(bytes).unwrap()
}

/// The best of five rounds each, in bytes of JSON.
fn measure<T, R>(
    name: &str,
    texts: &[Vec<u8>],
    values: &[T],
    mut write: impl FnMut(&T) -> Vec<u8>,
    mut read: impl FnMut(&[u8]) -> R,
) {
    let length: usize = texts.iter().map(Vec::len).sum();
    let stored: Vec<_> = values.iter().map(&mut write).collect();
    let stored_length: usize = stored.iter().map(Vec::len).sum();
    let writing = best(|| {
        values
            .iter()
            .for_each(|value| drop(black_box(write(value))))
    });
    let reading = best(|| stored.iter().for_each(|bytes| drop(black_box(read(bytes)))));
    let speed = |took: Duration| length as f64 / took.as_secs_f64() / 1e6;
    let each = |took: Duration| took.as_secs_f64() * 1e6 / values.len() as f64;
    println!(
        "{:7}  {name:14} {:9.2} {:12.0} {:8.1} {:12.0} {:8.1}",
        length / values.len(),
        length as f64 / stored_length as f64,
        speed(writing),
        each(writing),
        speed(reading),
        each(reading),
    );
}

fn best(mut round: impl FnMut()) -> Duration {
    let mut timed = || {
        #[allow(clippy::disallowed_methods)]
        let start = Instant::now();
        round();
        start.elapsed()
    };
    (0..5).map(|_| timed()).min().unwrap()
}

/// Xorshift: the same values each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Some words are more frequent than others.
    fn words(&mut self, count: u64) -> String {
        const WORDS: &str = "the page of a search river stone market winter people found under green house letter music every small \
                             question answer light morning city garden paper train silver number story window bread ocean history \
                             engine forest king table voice summer cloud";
        let words: Vec<_> = WORDS.split_whitespace().collect();
        let word = |_| {
            let (one, another) = (self.below(40), self.below(40));
            words[one.min(another) as usize]
        };
        (0..count).map(word).collect::<Vec<_>>().join(" ")
    }

    /// Records of about so many bytes of JSON.
    fn value(&mut self, size: usize) -> Vec<Record> {
        const RECORD: usize = 220;
        let words = (size as u64 / 12).clamp(1, 16);
        (0..size.div_ceil(RECORD))
            .map(|_| Record {
                id: self.below(1_000_000_000),
                url: format!(
                    "https://example.org/{}/{}",
                    self.below(1000),
                    self.below(100_000)
                ),
                title: self.words(words / 4),
                status: 200,
                score: self.below(10_000) as f64 / 10_000.0,
                text: self.words(words),
            })
            .collect()
    }
}
