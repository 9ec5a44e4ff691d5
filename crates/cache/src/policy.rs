use std::str::FromStr;

use diskette_store::{Error, ErrorKind};

use crate::uses::Use;

/// What a cache that has come to its limit removes to make room. Recorded in the store.
///
/// Entries that have expired go first, whatever the policy.
///
/// A read writes nothing, under any of them. Who evicts knows what he himself has read; what others have read he knows after
/// their next thousand reads, or a minute later. A process remembers of up to 16,384 entries that they were read, until that is
/// written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// SIEVE: the oldest entries that were not read since it last looked at them. Entries that are read once, as in a scan,
    /// go before those that are read again; and a read costs nothing, unless it is the first since then.
    ///
    /// Source: Zhang, Yang, Yue, Vigfusson and Rashmi, *SIEVE is Simpler than LRU* (NSDI 2024).
    #[default]
    Sieve,
    /// The entry that was inserted or replaced the longest ago.
    LeastRecentlyStored,
    /// The entry that was read or written the longest ago. Reads are told apart by a sixteenth of the age of the oldest
    /// entry: a newer one isn't moved again.
    LeastRecentlyUsed,
    /// The entry that was read and written the least often; of several the one that wasn't for longest. Uses are counted one by
    /// one up to 128, and then in steps of at most a 64th, drawn by lot.
    LeastFrequentlyUsed,
    /// Nothing: an insertion that doesn't fit is refused ([`is_full`](Error::is_full)).
    Refuse,
}

/// In the order of their numbers.
const ALL: [Policy; 5] = [
    Policy::Sieve,
    Policy::LeastRecentlyStored,
    Policy::LeastRecentlyUsed,
    Policy::LeastFrequentlyUsed,
    Policy::Refuse,
];

/// A step is at most such a part of the uses before it: twice as many are counted one by one.
const EXACT: u64 = 64;

impl Policy {
    /// Of a number that another was made of by `as`.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        ALL.get(usize::from(number)).copied()
    }

    /// How often an entry was used, as far as that counts, that is stored, in the place of one that was used so often.
    pub(crate) fn stored(self, before: Option<i64>) -> i64 {
        match self {
            Policy::Sieve => i64::from(before.is_some()),
            Policy::LeastFrequentlyUsed => before.unwrap_or(0).saturating_add(1),
            Policy::LeastRecentlyStored | Policy::LeastRecentlyUsed | Policy::Refuse => 0,
        }
    }

    /// The same, after so many reads.
    pub(crate) fn read(self, before: i64, times: i64) -> i64 {
        match self {
            Policy::Sieve => 1,
            Policy::LeastFrequentlyUsed => before.saturating_add(times),
            Policy::LeastRecentlyStored | Policy::LeastRecentlyUsed | Policy::Refuse => before,
        }
    }

    /// The rank of an entry that was used so often, and was stored and used the last time at these times; none, where the policy
    /// doesn't go by ranks.
    pub(crate) fn rank(self, uses: i64, stored: i64, used: i64) -> Option<i64> {
        match self {
            Policy::LeastRecentlyStored => Some(stored),
            Policy::LeastRecentlyUsed => Some(used),
            Policy::LeastFrequentlyUsed => Some(often(uses, used)),
            Policy::Sieve | Policy::Refuse => None,
        }
    }

    /// How often the `nth` read counts, if it is one of this entry.
    ///
    /// What is used often isn't the next to go, and may be counted in larger steps: one read in so many, drawn by lot, is taken
    /// for all of them. So a thousand uses are known to within an eighth, mostly.
    pub(crate) fn times(self, of: &Use, nth: u64) -> i64 {
        match self {
            Policy::Sieve => i64::from(of.uses == 0),
            Policy::LeastRecentlyUsed => 1,
            Policy::LeastFrequentlyUsed => {
                let step = match of.uses.cast_unsigned() / EXACT {
                    0 => 1,
                    steps => 1 << steps.ilog2(),
                };
                let is_the_one = drawn(of.id, nth).is_multiple_of(step);
                i64::from(is_the_one) * step.cast_signed()
            }
            Policy::LeastRecentlyStored | Policy::Refuse => 0,
        }
    }

    /// Whether a use at `now` is another one than the last, for the policy; `oldest` is the least rank there is, if it is known.
    pub(crate) fn tells_apart(self, of: &Use, oldest: Option<i64>, now: i64) -> bool {
        let age = |of: i64| now.saturating_sub(of);
        match self {
            Policy::LeastRecentlyUsed => {
                oldest.is_none_or(|oldest| age(of.used) > age(oldest) / 16)
            }
            _ => true,
        }
    }

    /// A rank by a timeline that is so much ahead.
    pub(crate) fn later(self, rank: i64, by: i64) -> i64 {
        match self {
            Policy::LeastFrequentlyUsed => rank.saturating_add(by / 1000),
            _ => rank.saturating_add(by),
        }
    }

    /// Whether entries that were used are passed over once.
    pub(crate) fn spares_the_used(self) -> bool {
        self == Policy::Sieve
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Policy::Sieve => "sieve",
            Policy::LeastRecentlyStored => "least-recently-stored",
            Policy::LeastRecentlyUsed => "least-recently-used",
            Policy::LeastFrequentlyUsed => "least-frequently-used",
            Policy::Refuse => "refuse",
        }
    }
}

/// By the name that the database has.
impl FromStr for Policy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = ALL.into_iter().find(|policy| policy.name() == name);
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("this diskette knows no policy that is called {name:?}: update diskette"),
            )
        })
    }
}

/// The number of uses, above the time of the last in milliseconds.
fn often(uses: i64, at: i64) -> i64 {
    const TIME: u32 = 44;
    const MOST_USES: i64 = (1 << (63 - TIME)) - 1;
    const LAST_TIME: i64 = (1 << TIME) - 1;
    uses.clamp(0, MOST_USES) << TIME | (at / 1000).clamp(0, LAST_TIME)
}

/// A number that is another for each read and each entry, as if by chance.
fn drawn(id: i64, nth: u64) -> u64 {
    let mixed = (id.cast_unsigned() ^ nth.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_used_more_often_stands_higher_and_time_decides_between_equals() {
        let rank = |uses, used| Policy::LeastFrequentlyUsed.rank(uses, 0, used);
        let now = 1_800_000_000_000_000;
        assert!(rank(1, now) < rank(1, now + 2000) && rank(1, now + 2000) < rank(2, now));
        assert!(rank(2, now) < rank(i64::MAX, i64::MAX) && rank(i64::MAX, i64::MAX) > Some(0));
    }

    #[test]
    fn what_is_used_often_is_counted_in_larger_steps_that_come_to_the_same() {
        let counted = |id, uses| {
            let of = Use {
                id,
                idle: None,
                uses,
                used: 0,
            };
            let times = |nth| Policy::LeastFrequentlyUsed.times(&of, nth);
            let all = (0..100_000).map(times);
            (
                all.clone().filter(|&times| times > 0).count(),
                all.sum::<i64>(),
            )
        };
        assert_eq!(counted(1, 127), (100_000, 100_000));
        for id in 1..100 {
            let (noted, times) = counted(id, 1024);
            assert!(
                noted < 7_000 && (95_000..105_000).contains(&times),
                "{id}: {times}"
            );
        }
    }

    #[test]
    fn a_policy_is_found_by_its_name() -> Result<(), Error> {
        for policy in [
            Policy::Sieve,
            Policy::LeastRecentlyStored,
            Policy::LeastRecentlyUsed,
        ] {
            assert_eq!(policy.name().parse::<Policy>()?, policy);
        }
        assert!("random".parse::<Policy>().is_err());
        Ok(())
    }
}
