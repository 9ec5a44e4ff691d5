//! That a child does what it is told, is gone with its handle, and that its failure is the test's.

use std::path::Path;
use std::time::Duration;

use diskette_testkit::{Child, PATIENCE, Signal, cpu_time, eventually, role};

role! {
    /// Adds its two arguments, then repeats all that it hears.
    fn parrot(parent) {
        println!("this is printed, not said");
        parent.say(parent.arg::<i32>(0) + parent.arg::<i32>(1));
        loop {
            parent.say(parent.hear());
        }
    }
}

role! {
    /// Fails.
    fn clumsy(_parent) {
        panic!("dropped it");
    }
}

#[test]
fn a_child_talks_and_is_gone_with_its_handle() {
    let mut child = Child::spawn(parrot, &[&40, &2]);
    assert_eq!(child.hear(PATIENCE), "42");
    child.say("hello");
    assert_eq!(child.hear(PATIENCE), "hello");
    assert!(cpu_time(child.id()) > Duration::ZERO);

    let proc = format!("/proc/{}", child.id());
    assert!(Path::new(&proc).exists());
    drop(child);
    assert!(!Path::new(&proc).exists());
}

#[test]
fn a_signal_reaches_the_child() {
    let mut child = Child::spawn(parrot, &[&1, &1]);
    child.hear(PATIENCE);
    child.signal(Signal::SIGTERM);
    assert!(!child.wait(PATIENCE).success());
}

#[test]
#[should_panic(expected = "child::clumsy ended without a word")]
fn a_failed_child_fails_the_test() {
    Child::spawn(clumsy, &[]).hear(PATIENCE);
}

#[test]
#[should_panic(expected = "child::parrot said nothing for")]
fn a_silent_child_fails_the_test() {
    let mut child = Child::spawn(parrot, &[&1, &1]);
    child.hear(PATIENCE);
    child.hear(Duration::from_millis(10));
}

#[test]
#[should_panic(expected = "still not so")]
fn what_never_comes_is_not_waited_for_for_ever() {
    eventually(Duration::from_millis(10), || false);
}
