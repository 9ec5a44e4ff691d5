use std::str::FromStr;

use diskette_store::{Error, ErrorKind};

/// What a cache that has come to its limit removes to make room. Recorded in the store.
///
/// Entries that have expired go first, whatever the policy.
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
    /// The entry that was read and written the least often; of several the one that wasn't for longest. Each read is written
    /// down in the background, which takes its time where many different entries are read.
    LeastFrequentlyUsed,
    /// Nothing: an insertion that doesn't fit is refused ([`is_full`](Error::is_full)).
    Refuse,
}

/// How an entry stands with the policy: how often it was used, as far as that counts, and its rank; the least is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) uses: i64,
    pub(crate) rank: Option<i64>,
}

impl Policy {
    /// Of an entry that is stored at a time, in the place of an earlier one or not.
    pub(crate) fn stored(self, before: Option<Standing>, now: i64) -> Standing {
        let none = Standing {
            uses: 0,
            rank: None,
        };
        let before = before.unwrap_or(none);
        match self {
            Policy::Sieve => Standing {
                uses: i64::from(before.rank.is_some()),
                rank: before.rank.or(Some(now)),
            },
            Policy::LeastRecentlyStored | Policy::LeastRecentlyUsed => Standing {
                uses: 0,
                rank: Some(now),
            },
            Policy::LeastFrequentlyUsed => often(before, 1, now),
            Policy::Refuse => none,
        }
    }

    /// Of an entry that was read so often, the last time at `at`.
    pub(crate) fn used(self, before: Standing, times: i64, at: i64) -> Standing {
        match self {
            Policy::Sieve => Standing { uses: 1, ..before },
            Policy::LeastRecentlyUsed => Standing {
                rank: before.rank.max(Some(at)),
                ..before
            },
            Policy::LeastFrequentlyUsed => often(before, times, at),
            Policy::LeastRecentlyStored | Policy::Refuse => before,
        }
    }

    /// Whether a read at `now` of an entry that was last used at `used` is worth writing down; `oldest` is the least rank there
    /// is, if it is known.
    pub(crate) fn notes(self, uses: i64, used: i64, oldest: Option<i64>, now: i64) -> bool {
        match self {
            Policy::Sieve => uses == 0,
            Policy::LeastRecentlyUsed => oldest
                .is_none_or(|oldest| now.saturating_sub(used) > now.saturating_sub(oldest) / 16),
            Policy::LeastFrequentlyUsed => true,
            Policy::LeastRecentlyStored | Policy::Refuse => false,
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
        const ALL: [Policy; 5] = [
            Policy::Sieve,
            Policy::LeastRecentlyStored,
            Policy::LeastRecentlyUsed,
            Policy::LeastFrequentlyUsed,
            Policy::Refuse,
        ];
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
fn often(before: Standing, more: i64, at: i64) -> Standing {
    const TIME: u32 = 44;
    const MOST_USES: i64 = (1 << (63 - TIME)) - 1;
    const LAST_TIME: i64 = (1 << TIME) - 1;
    let uses = before.uses.saturating_add(more).clamp(0, MOST_USES);
    let time = (at / 1000).clamp(0, LAST_TIME);
    let time = before.rank.map_or(time, |rank| time.max(rank & LAST_TIME));
    Standing {
        uses,
        rank: Some(uses << TIME | time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_used_more_often_stands_higher_and_time_decides_between_equals() {
        let policy = Policy::LeastFrequentlyUsed;
        let now = 1_800_000_000_000_000;
        let once = policy.stored(None, now);
        let later = policy.stored(None, now + 2000);
        let often = policy.used(once, 5, now);
        assert!(once.rank < later.rank && later.rank < often.rank);
        let most = policy.used(often, i64::MAX, i64::MAX);
        assert!(often.rank < most.rank && most.rank > Some(0));
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
