//! A cache does what a list of entries would, whatever two processes do to it in turn: with a clock that is set by hand, limits,
//! each policy, transactions that commit or are undone, and reopening.
//!
//! Each step is done to the cache by one of the processes, and to the model: both have to say the same. What expires when it wasn't
//! read for a time is not in it: such reads are written down in the background.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::unit_arg, reason = "nothing is an answer too")]

mod clock;
mod here;
mod model;
mod step;

use std::cell::RefCell;
use std::path::PathBuf;

use diskette_testkit::{Child, PATIENCE, Place, cases, role};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde::{Deserialize, Serialize};

use crate::here::Here;
use crate::model::Model;
use crate::step::{Step, steps};

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// The store, and the clock.
    Open([PathBuf; 2]),
    Act(Step),
    Close,
}

role! {
    /// Does what it is told, and says what it was answered.
    fn other(parent) {
        let mut here = None;
        loop {
            let (then, said) = match (serde_json::from_str(&parent.hear()).unwrap(), here) {
                (Order::Open(paths), _) => (Some(Here::open(paths)), String::new()),
                (Order::Act(step), Some(open)) => {
                    let (then, said) = Here::act(open, &step);
                    (Some(then), said)
                }
                (Order::Close | Order::Act(_), _) => (None, String::new()),
            };
            here = then;
            parent.say(serde_json::to_string(&said).unwrap());
        }
    }
}

/// Tells the other what to do, and hears what it says.
fn tell(other: &mut Child, order: &Order) -> String {
    other.say(serde_json::to_string(order).unwrap());
    serde_json::from_str(&other.hear(PATIENCE)).unwrap()
}

fn run(other: &mut Child, steps: &[(bool, Step)]) {
    let place = Place::new();
    let paths = [place.path().to_owned(), place.beside("clock")];
    let mut here = Here::open(paths.clone());
    tell(other, &Order::Open(paths));
    let mut model = Model::default();
    for (others, step) in steps {
        let said = match others {
            true => tell(other, &Order::Act(step.clone())),
            false => {
                let (then, said) = here.act(step);
                here = then;
                said
            }
        };
        assert_eq!(said, model.act(usize::from(*others), step), "{step:?}");
    }
    tell(other, &Order::Close);
    assert_eq!(here.store.check().unwrap().problems, []);
}

#[test]
fn it_does_what_the_model_says() {
    let other = RefCell::new(Child::spawn(other, &[]));
    let config = ProptestConfig {
        cases: cases(if cfg!(debug_assertions) { 40 } else { 1000 }),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    };
    let done = TestRunner::new(config).run(&steps(), |steps| {
        run(&mut other.borrow_mut(), &steps);
        Ok(())
    });
    done.unwrap();
}
