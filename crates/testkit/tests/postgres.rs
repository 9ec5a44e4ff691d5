//! That a server keeps what was committed when it is killed, that tests share one, and that it is gone with them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use diskette_testkit::{Child, PATIENCE, Postgres, eventually, role, unique_store};

role! {
    /// Uses the server that is shared by its first argument, until it is killed.
    fn user(parent) {
        let home: PathBuf = parent.arg(0);
        let Some(postgres) = Postgres::shared_by(&home, Duration::ZERO) else { return };
        loop {
            parent.say(postgres.socket().display());
            parent.hear();
            parent.say(postgres.sql("SELECT 6 * 7"));
        }
    }
}

role! {
    /// Has a server of its own.
    fn owner(parent) {
        let Some(postgres) = Postgres::private(&[]) else { return };
        parent.say(postgres.socket().display());
        parent.hear();
    }
}

#[test]
fn a_killed_server_starts_again_with_what_was_committed() {
    let Some(mut postgres) = Postgres::private(&[("max_connections", "12")]) else {
        return;
    };
    assert_eq!(postgres.sql("SHOW max_connections"), "12");
    postgres.sql("CREATE TABLE kept (what text); INSERT INTO kept VALUES ('a'), ('b')");
    let mut client = sleeper(&postgres).spawn().unwrap();
    eventually(PATIENCE, || postgres.sessions().len() == 1);

    postgres.kill();
    assert!(!client.wait().unwrap().success());
    postgres.start();
    assert_eq!(postgres.sql("SELECT what FROM kept ORDER BY what"), "a\nb");
    assert!(postgres.log().contains("not properly shut down"));

    postgres.stop();
    postgres.start();
    assert_eq!(postgres.sql("SELECT count(*) FROM kept"), "2");

    let directory = postgres.socket().parent().unwrap().to_owned();
    drop(postgres);
    assert!(!directory.exists());
}

#[test]
fn a_session_is_ended() {
    let Some(postgres) = Postgres::private(&[]) else {
        return;
    };
    let mut client = sleeper(&postgres).spawn().unwrap();
    eventually(PATIENCE, || postgres.sessions().len() == 1);
    postgres.end_session(postgres.sessions()[0]);
    assert!(!client.wait().unwrap().success());
    assert_eq!(postgres.sessions(), []);
}

#[test]
fn a_shared_server_ends_with_its_last_user_however_that_dies() {
    if Postgres::shared().is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let new_user = || Child::spawn(user, &[&home.path().display()]);
    let mut users = [new_user(), new_user()];
    let sockets = users.each_mut().map(|user| user.hear(PATIENCE));
    assert_eq!(sockets[0], sockets[1]);

    let [first, second] = &mut users;
    first.kill();
    second.say("and you?");
    assert_eq!(second.hear(PATIENCE), "42");
    second.kill();
    eventually(PATIENCE, || {
        !Path::new(&sockets[0]).parent().unwrap().exists()
    });

    let mut next = new_user();
    assert_ne!(next.hear(PATIENCE), sockets[0]);
}

#[test]
fn a_server_of_a_killed_test_is_gone() {
    if Postgres::shared().is_none() {
        return;
    }
    let mut owner = Child::spawn(owner, &[]);
    let socket = PathBuf::from(owner.hear(PATIENCE));
    assert!(socket.exists());
    owner.kill();
    eventually(PATIENCE, || !socket.parent().unwrap().exists());
}

#[test]
fn stores_are_named_after_their_tests() {
    let (one, other) = (unique_store(), unique_store());
    assert_ne!(one, other);
    assert!(one.starts_with("stores_are_named_after_"), "{one}");
    assert!(one.len() <= 48);

    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.url("a&b/ü");
    assert!(url.ends_with("&store=a%26b%2F%C3%BC"), "{url}");
}

/// A client that stays for ever.
fn sleeper(postgres: &Postgres) -> Command {
    let mut client = postgres.psql(&postgres.url_of("diskette", "diskette"));
    client.args(["-c", "SELECT pg_sleep(3600)"]);
    client.stderr(Stdio::null());
    client
}
