//! The checker of histories finds what is wrong with them.

use diskette_testkit::{Call, linearizable};

#[derive(Clone, Copy, Debug)]
enum Register {
    Write(u32),
    Read(u32),
}
use Register::{Read, Write};

fn call(what: Register, begun: usize, ended: usize) -> Call<Register> {
    Call {
        what,
        begun,
        ended,
        answered: true,
    }
}

fn killed(what: Register, begun: usize, ended: usize) -> Call<Register> {
    Call {
        answered: false,
        ..call(what, begun, ended)
    }
}

fn check(calls: &[Call<Register>]) -> Result<(), usize> {
    linearizable(calls, 0, |&state, &what| match what {
        Write(new) => Some(new),
        Read(found) => (found == state).then_some(state),
    })
}

#[test]
fn calls_at_one_time_may_have_been_in_any_order() {
    let writes = [call(Write(1), 0, 9), call(Write(2), 1, 8)];
    for (first, second, result) in [
        (1, 2, Ok(())),
        (2, 1, Ok(())),
        (2, 2, Ok(())),
        (3, 1, Err(2)),
    ] {
        let reads = [call(Read(first), 2, 3), call(Read(second), 4, 5)];
        assert_eq!(check(&[&writes[..], &reads].concat()), result);
    }
}

#[test]
fn who_reads_what_was_there_before_the_last_write_has_read_too_late() {
    let stale = [
        call(Write(1), 0, 1),
        call(Write(2), 2, 3),
        call(Read(1), 4, 5),
    ];
    assert_eq!(check(&stale), Err(2));
    // And what was seen once isn't unseen.
    let back = [
        call(Write(1), 0, 9),
        call(Read(1), 1, 2),
        call(Read(0), 3, 4),
    ];
    assert!(check(&back).is_err());
}

#[test]
fn what_a_killed_process_did_has_taken_place_before_its_death_or_never() {
    for (found, result) in [(0, Ok(())), (1, Ok(())), (2, Err(1))] {
        assert_eq!(
            check(&[killed(Write(1), 0, 2), call(Read(found), 3, 4)]),
            result
        );
    }
    let late = [
        killed(Write(1), 0, 2),
        call(Read(0), 3, 4),
        call(Read(1), 5, 6),
    ];
    assert!(check(&late).is_err());
}
