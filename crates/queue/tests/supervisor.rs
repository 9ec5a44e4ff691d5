//! What a supervisor does with processes that it can't keep, or can't stop. Those with workers in them: `tests/processes/workers.rs`.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use diskette_queue::Supervisor;
use diskette_store::{ErrorKind, Stop};
use diskette_testkit::{PATIENCE, eventually};

#[test]
fn who_dies_at_once_again_and_again_is_given_up() {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let started = Arc::clone(&starts);
    let error = Supervisor::new(move |number| {
        started.lock().unwrap().push(number);
        let mut command = Command::new(["sleep", "false"][number]);
        command.arg("3600");
        command
    })
    .processes(2)
    .give_up_after(3)
    .run(&Stop::new())
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let text = error.to_string();
    assert!(text.contains("worker process 1 died 3 times"), "{text}");
    assert!(text.contains("exit status: 1"), "{text}");
    let starts = starts.lock().unwrap();
    assert_eq!(starts[..4], [0, 1, 1, 1]);
    assert!(starts[4..].iter().all(|&number| number == 1), "{starts:?}");
}

#[test]
fn what_can_not_be_started_is_an_error_at_once() {
    let missing = Supervisor::new(|_| Command::new("/no/such/program"));
    let error = missing.run(&Stop::new()).unwrap_err();
    assert!(error.to_string().contains("can't start"), "{error}");
    let nobody = Supervisor::new(|_| Command::new("true")).processes(0);
    assert!(nobody.run(&Stop::new()).unwrap_err().is_invalid_input());
}

/// Who ignored SIGTERM kept his supervisor waiting.
#[test]
fn who_does_not_stop_within_the_grace_time_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let stop = Stop::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            eventually(PATIENCE, || ready.exists());
            stop.stop();
        });
        let touched = ready.clone();
        let stubborn = Supervisor::new(move |_| {
            let mut command = Command::new("sh");
            let script =
                "trap '' TERM; echo $$ > \"$0.new\"; mv \"$0.new\" \"$0\"; exec sleep 3600";
            command.args(["-c", script]).arg(&touched);
            command
        });
        stubborn
            .processes(1)
            .grace(Duration::from_millis(50))
            .run(&stop)
            .unwrap();
    });
    let pid = std::fs::read_to_string(&ready).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
}
