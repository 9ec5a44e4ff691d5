//! Which shard a key is in: a part of the disk's format, so that it never changes.

use twox_hash::XxHash3_64;

/// The shard of a key, as it is encoded: its XXH3, of 64 bits and with the seed 0, as a fraction of 2^64, times the number of
/// shards.
pub(crate) fn shard(key: &[u8], shards: usize) -> usize {
    let scaled = u128::from(XxHash3_64::oneshot(key)) * shards as u128;
    (scaled >> 64) as usize
}

#[cfg(test)]
mod tests {
    use diskette_store::key;

    use super::*;

    fn encoded<K: serde::Serialize>(key: &K) -> Vec<u8> {
        let mut bytes = Vec::new();
        key::encode(key, &mut bytes).expect("a key");
        bytes
    }

    /// diskcache's shards were those of Python's `hash`, of which those of counted keys are anything but even.
    #[test]
    fn keys_that_are_alike_are_spread_evenly() {
        let mut counts = [0_u32; 64];
        for n in 0..100_000 {
            counts[shard(&encoded(&format!("user:{n}")), 64)] += 1;
        }
        let max = f64::from(counts.into_iter().max().unwrap_or_default());
        assert!(max / (100_000.0 / 64.0) < 1.2, "{counts:?}");
        let mut counts = [0_u32; 7];
        for n in 0..100_000_u64 {
            counts[shard(&encoded(&n), 7)] += 1;
        }
        assert!(counts.iter().all(|&count| count > 13_500), "{counts:?}");
    }

    /// Where they are in stores that are there already.
    #[test]
    fn a_key_stays_where_it_is() {
        let golden = [
            ("user:0", [0, 3, 30, 122]),
            ("user:1", [0, 0, 4, 16]),
            ("", [0, 0, 3, 12]),
            ("https://example.org/", [0, 2, 21, 84]),
        ];
        let shards = |key: &[u8]| [2, 8, 64, 256].map(|shards| shard(key, shards));
        let found = golden.map(|(key, _)| (key, shards(&encoded(&key))));
        assert_eq!(found, golden);
        assert_eq!(shards(&encoded(&(7_u64, -1_i32))), [0, 1, 11, 46]);
    }
}
