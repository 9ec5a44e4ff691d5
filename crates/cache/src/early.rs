//! Early refresh: when to compute a value again before it is due. Nothing but arithmetic.
//!
//! Source: Vattani, Chierichetti and Lowenstein, *Optimal Probabilistic Cache Stampede Prevention* (VLDB 2015), called XFetch.

/// Whether a value that took so long to compute, and is due in `left`, is to be computed again now, by one of whom many ask:
/// the nearer that is, the likelier, and the earlier the longer it takes. All in microseconds. `beta` over 1 is earlier, and
/// `random` is even in 0 to 1.
pub(crate) fn is_due(took: i64, left: i64, beta: f64, random: f64) -> bool {
    let random = random.clamp(f64::MIN_POSITIVE, 1.0);
    took as f64 * beta * -random.ln() >= left as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_likelier_the_nearer_it_comes() {
        let part = |left| {
            let draws = 10_000;
            let due = |n: &i32| is_due(200, left, 1.0, f64::from(*n) / f64::from(draws));
            (0..draws).filter(due).count() as f64 / f64::from(draws)
        };
        // -ln of an even draw exceeds x in the fraction e^-x.
        for (left, expected) in [(0, 1.0), (100, 0.6065), (200, 0.3679), (1000, 0.0067)] {
            assert!(
                (part(left) - expected).abs() < 0.001,
                "{left}: {}",
                part(left)
            );
        }
        assert!(is_due(0, -5, 1.0, 0.5) && is_due(1, 1, 1.0, 0.0));
        assert!(
            !is_due(1_000_000, 1, 0.0, 0.5),
            "never early with a beta of 0"
        );
    }
}
