//! Many jobs in one call, which is done as a whole or not at all.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use diskette_queue::{JobState, Keep, Outcome, Push, Queue, Unique};
use diskette_store::{INLINE, Store};
use diskette_testkit::Place;

fn queue(keep: Keep) -> (Place, Queue<String>) {
    let place = Place::new();
    let store = Store::open(place.path()).unwrap();
    let options = Queue::options().keep_done(keep);
    let queue = options.new(&store, "queue").unwrap();
    (place, queue)
}

#[test]
fn a_batch_may_have_any_size_and_claims_from_anywhere() {
    for keep in [Keep::all(), Keep::none()] {
        let (_directory, queue) = queue(keep);
        queue.push_all((0..300).map(|n| n.to_string())).unwrap();
        let large = queue.push(&"x".repeat(INLINE + 1)).unwrap();
        let unique = Unique::key("k").for_(Duration::from_secs(3600));
        let once = Push::new().unique(unique);
        let kept = queue.push_with("once", &once).unwrap().id();
        queue.push_with("tagged", &Push::new().tag("t")).unwrap();
        for job in ["first", "second"] {
            queue.push_with(job, &Push::new().group("g")).unwrap();
        }
        let mut claims = queue.claim_many(140).unwrap();
        for _ in 0..3 {
            claims.extend(queue.try_claim().unwrap());
        }
        claims.extend(queue.claim_many(1000).unwrap());
        assert_eq!(claims.len(), 304); // "second" waits for "first"
        queue.complete_all(claims).unwrap();

        let second = queue.claim_many(1000).unwrap();
        assert_eq!(second.len(), 1);
        assert_eq!(*second[0], "second");
        queue.complete_all(second).unwrap();
        queue.complete_all([]).unwrap();
        assert!(queue.is_idle().unwrap());
        assert!(!queue.push_with("again", &once).unwrap().is_new());
        assert_eq!(
            queue.outcome::<()>(kept).unwrap(),
            Some(Outcome::Done(None))
        );
        if keep == Keep::all() {
            assert_eq!(queue.stats().unwrap().done, 305);
        } else {
            queue.tidy().unwrap();
            assert_eq!(queue.outcome::<()>(large).unwrap(), Some(Outcome::Gone));
            assert_eq!(queue.tagged("t").count(), 0);
        }
        assert_eq!(queue.store().check().unwrap().problems, []);
    }
}

#[test]
fn a_batch_of_which_one_was_robbed_is_refused_and_says_which() {
    for keep in [Keep::all(), Keep::none()] {
        let (_directory, queue) = queue(keep);
        let store = queue.store();
        queue.push_all(["a", "b", "c"]).unwrap();
        let claims = queue.claim_many(3).unwrap();
        let robbed = claims[1].id();
        assert!(queue.take_away(robbed).unwrap());
        let thief = queue.try_claim().unwrap().unwrap();
        assert_eq!(thief.id(), robbed);

        let refused = store.transaction(|tx| {
            queue.within(tx).push("what comes of it")?;
            queue.within(tx).complete_all(claims)
        });
        let error = refused.unwrap_err();
        assert!(error.is_overtaken());
        assert!(
            error.to_string().contains(&format!("jobs {robbed}:")),
            "{error}"
        );
        let ready = queue.list(JobState::Ready).map(|job| job.unwrap().id.get());
        assert_eq!(ready.collect::<Vec<_>>(), [1, 3]);
        thief.complete_now().unwrap();
        queue.complete_all(queue.claim_many(3).unwrap()).unwrap();
        assert!(queue.is_idle().unwrap());
    }
}

#[test]
fn a_batch_is_of_one_queue() {
    let (_directory, queue) = queue(Keep::all());
    let other = Queue::<String>::new(queue.store(), "other").unwrap();
    queue.push("here").unwrap();
    other.push("there").unwrap();
    let claims = [&queue, &other].map(|queue| queue.try_claim().unwrap().unwrap());
    let error = queue.complete_all(claims).unwrap_err();
    assert!(
        error.is_misuse() && error.to_string().contains("other"),
        "{error}"
    );
    assert_eq!(
        (queue.stats().unwrap().ready, other.stats().unwrap().ready),
        (1, 1)
    );
    // Another handle of the same queue will do.
    let again = Queue::<String>::new(queue.store(), "queue").unwrap();
    again.complete_all(queue.claim_many(1).unwrap()).unwrap();
    assert!(queue.is_idle().unwrap());
}
