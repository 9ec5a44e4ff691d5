//! Waits that would never end.

use diskette::Lock;
use diskette_testkit::{Child, PATIENCE, role};

use super::{Home, store};

role! {
    /// Holds a lock, and takes another when told to.
    fn knot(parent) {
        let store = store(parent.arg::<String>(0));
        let lock = |i| Lock::new(&store, &parent.arg::<String>(i)).unwrap();
        let first = lock(1).lock().unwrap();
        parent.say("holds");
        parent.hear();
        match lock(2).lock() {
            Ok(_second) => parent.say("both"),
            Err(error) => {
                assert!(error.is_deadlock(), "{error}");
                parent.say(error);
            }
        }
        first.release().unwrap();
        parent.hear();
    }
}

#[test]
fn one_of_those_who_wait_in_a_circle_is_told_so() {
    for size in [2, 3] {
        let home = Home::new();
        let name = |i: usize| format!("lock {}", i % size);
        let mut knots: Vec<_> = (0..size)
            .map(|i| Child::spawn(knot, &[&home.path(), &name(i), &name(i + 1)]))
            .collect();
        for child in &mut knots {
            assert_eq!(child.hear(PATIENCE), "holds");
        }
        for child in &mut knots {
            child.say("go on");
        }
        let said: Vec<_> = knots.iter_mut().map(|child| child.hear(PATIENCE)).collect();
        let told: Vec<_> = said.iter().filter(|said| *said != "both").collect();
        assert_eq!(told.len(), 1, "{said:?}");
        for (i, child) in knots.iter().enumerate() {
            let who = format!("pid {} ", child.id());
            assert_eq!(told[0].matches(&who).count(), 1, "{}", told[0]);
            let what = format!("the lock {:?}, held by", name(i));
            assert_eq!(told[0].matches(&what).count(), 1, "{}", told[0]);
        }
    }
}
