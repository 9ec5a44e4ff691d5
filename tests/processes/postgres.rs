//! Stores in PostgreSQL when processes, sessions, the network or the server itself fail.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use diskette::{Deque, Error, Lock, Store};
use diskette_testkit::{Child, PATIENCE, Postgres, eventually, role, unique_store};

role! {
    /// Holds a lock and a claim, and says when it asks whether it still does.
    fn holder(parent) {
        let store = Store::open(parent.arg::<String>(0)).unwrap();
        let lock = Lock::new(&store, "lock").unwrap();
        let guard = lock.lock_timeout(PATIENCE).unwrap().unwrap();
        let todo = Deque::<u32>::new(&store, "todo").unwrap();
        let claim = todo.claim_front(PATIENCE).unwrap().unwrap();
        parent.say(*claim);
        parent.hear();
        // As a program does that has been away: its next step is refused.
        parent.say(guard.is_held());
        let written = store.transaction_fenced(&guard, |tx| todo.within(tx).push_back(&99));
        parent.say(written.is_err_and(|error: Error| error.is_overtaken()));
        parent.say(claim.complete_now().is_err());
    }
}

role! {
    /// Pushes its numbers, one by one, and tells which were acknowledged; what fails is tried again.
    fn pusher(parent) {
        let url: String = parent.arg(0);
        let (first, end): (u64, u64) = (parent.arg(1), parent.arg(2));
        let store = Store::open(&url).unwrap();
        let numbers = Deque::<u64>::new(&store, "numbers").unwrap();
        parent.say("ready");
        parent.hear();
        for number in first..end {
            while numbers.push_back(&number).is_err() {
                diskette_ipc::clock::sleep(Duration::from_millis(10));
            }
            parent.say(number);
        }
        parent.say("done");
        parent.hear();
    }
}

/// With something to claim.
fn todo(url: &str) -> (Store, Deque<u32>, Lock) {
    let store = Store::open(url).unwrap();
    let todo = Deque::new(&store, "todo").unwrap();
    todo.push_back(&1).unwrap();
    let lock = Lock::new(&store, "lock").unwrap();
    (store, todo, lock)
}

fn is_there_for_others(todo: &Deque<u32>, lock: &Lock) {
    let claim = todo.claim_front(PATIENCE).unwrap().unwrap();
    assert_eq!(*claim, 1);
    claim.complete_now().unwrap();
    assert!(lock.lock_timeout(PATIENCE).unwrap().is_some());
}

#[test]
fn what_a_killed_process_had_is_there_for_others() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let url = server.url(&unique_store());
    let (_store, todo, lock) = todo(&url);
    let mut child = Child::spawn(holder, &[&url]);
    assert_eq!(child.hear(PATIENCE), "1");
    assert!(lock.try_lock().unwrap().is_none());
    child.kill();
    is_there_for_others(&todo, &lock);
}

#[test]
fn who_has_lost_its_session_knows_and_others_go_on() {
    let Some(server) = Postgres::private(&[]) else {
        return;
    };
    let url = server.url(&unique_store());
    let (_store, todo, lock) = todo(&url);
    let before = server.sessions();
    let mut child = Child::spawn(holder, &[&url]);
    assert_eq!(child.hear(PATIENCE), "1");
    for session in server.sessions() {
        if !before.contains(&session) {
            server.end_session(session);
        }
    }
    is_there_for_others(&todo, &lock);
    child.say("still?");
    for answer in ["false", "true", "true"] {
        assert_eq!(child.hear(PATIENCE), answer);
    }
    assert!(todo.is_idle().unwrap());
}

/// Longer than the fifteen seconds for which either side waits.
#[test]
fn who_is_cut_off_knows_it_before_others_have_what_it_had() {
    let Some(server) = Postgres::private(&[]) else {
        return;
    };
    let name = unique_store();
    let (_store, todo, lock) = todo(&server.url(&name));
    let network = server.proxy();
    let mut child = Child::spawn(holder, &[&server.url_over_tcp(&network, &name)]);
    assert_eq!(child.hear(PATIENCE), "1");
    network.cut();
    is_there_for_others(&todo, &lock);
    child.say("still?");
    assert_eq!(child.hear(PATIENCE), "false");
    network.heal();
    for answer in ["true", "true"] {
        assert_eq!(child.hear(PATIENCE), answer);
    }
    assert!(todo.is_idle().unwrap());
}

#[test]
fn what_was_acknowledged_outlives_the_server_and_clients_come_back() {
    const EACH: u64 = 300;
    let Some(mut server) = Postgres::private(&[]) else {
        return;
    };
    let url = server.url(&unique_store());
    let numbers = Deque::<u64>::new(&Store::open(&url).unwrap(), "numbers").unwrap();
    let spawn = |n: u64| Child::spawn(pusher, &[&url, &(n * EACH), &((n + 1) * EACH)]);
    let mut pushers: Vec<_> = (0..3).map(spawn).collect();
    for pusher in &mut pushers {
        assert_eq!(pusher.hear(PATIENCE), "ready");
        pusher.say("go");
    }
    for at in [EACH / 3, EACH * 2 / 3] {
        while pushers[0].hear(PATIENCE) != at.to_string() {}
        server.kill();
        server.start();
    }
    for pusher in &mut pushers {
        while pusher.hear(PATIENCE) != "done" {}
    }
    // What failed may have been done: it was tried again then, and is there twice.
    let mut all: Vec<_> = Vec::new();
    eventually(PATIENCE, || {
        all = numbers.iter().filter_map(Result::ok).collect();
        numbers.len().is_ok_and(|len| len == all.len())
    });
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..3 * EACH).collect::<Vec<_>>());
}

#[test]
fn many_threads_that_wait_are_one_who_waits_for_the_server() {
    let Some(server) = Postgres::private(&[]) else {
        return;
    };
    let name = unique_store();
    let url = server.url(&name);
    let numbers = Deque::<u64>::new(&Store::open(&url).unwrap(), "numbers").unwrap();
    let waiting = || server.sql(&format!("SELECT count(*) FROM \"{name}\".waiting"));
    let asleep = || numbers.pop_front_timeout(PATIENCE).unwrap();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(asleep)).collect();
        eventually(PATIENCE, || waiting() == "1");
        // Whoever gets one has another look for what may have come meanwhile.
        let mut pushing = Child::spawn(pusher, &[&url, &0, &8]);
        assert_eq!(pushing.hear(PATIENCE), "ready");
        pushing.say("go");
        let got = threads
            .into_iter()
            .map(|thread| thread.join().unwrap().unwrap());
        let got: BTreeSet<_> = got.collect();
        assert_eq!(got, (0..8).collect());
    });
    eventually(PATIENCE, || waiting() == "0");
}

/// Roles that may make no schema can use one that is there.
#[test]
fn a_role_needs_the_rights_that_are_documented_and_no_others() {
    let Some(server) = Postgres::private(&[]) else {
        return;
    };
    let name = unique_store();
    let (_store, todo, _lock) = todo(&server.url(&name));
    server.sql("CREATE ROLE worker LOGIN; CREATE ROLE reader LOGIN");
    let url = |role| format!("{}&store={name}", server.url_of("diskette", role));
    assert!(Store::open(url("worker")).is_err());
    let grant = |sql: &str| {
        let mut psql = server.psql(&server.url_of("diskette", "postgres"));
        assert!(psql.args(["-c", sql]).status().unwrap().success());
    };
    grant(&format!(
        "GRANT USAGE ON SCHEMA \"{name}\" TO worker, reader;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"{name}\" TO worker;
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA \"{name}\" TO worker;
         GRANT SELECT ON ALL TABLES IN SCHEMA \"{name}\" TO reader"
    ));
    let worker = Deque::<u32>::new(&Store::open(url("worker")).unwrap(), "todo").unwrap();
    let claim = worker.claim_front(PATIENCE).unwrap().unwrap();
    claim.complete_now().unwrap();
    worker.push_back(&2).unwrap();

    let options = Store::options().read_only(true);
    let reader = Deque::<u32>::new(&options.open(url("reader")).unwrap(), "todo").unwrap();
    assert_eq!(reader.front().unwrap(), Some(2));
    assert!(reader.pop_front().unwrap_err().is_read_only());
    let refused = Deque::<u32>::new(&Store::open(url("reader")).unwrap(), "todo");
    assert!(refused.unwrap_err().is_read_only());
    assert_eq!(todo.len().unwrap(), 1);
}

/// Locks and settings are a session's.
#[test]
fn a_pooler_that_gives_each_transaction_another_session_is_refused() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let Some(bouncer) = server.bouncer("transaction") else {
        return;
    };
    let error = Store::open(bouncer.url(&unique_store())).unwrap_err();
    assert!(error.is_unsupported(), "{error}");
    assert!(error.to_string().contains("pool_mode = session"), "{error}");
}

#[test]
fn by_a_pooler_that_gives_each_client_a_session_it_works_and_the_dead_hold_nothing() {
    let Some(server) = Postgres::shared() else {
        return;
    };
    let Some(bouncer) = server.bouncer("session") else {
        return;
    };
    let url = bouncer.url(&unique_store());
    let (store, todo, lock) = todo(&url);
    let mut child = Child::spawn(holder, &[&url]);
    assert_eq!(child.hear(PATIENCE), "1");
    assert!(lock.try_lock().unwrap().is_none());
    child.kill();
    is_there_for_others(&todo, &lock);
    store
        .transaction(|tx| todo.within(tx).extend([2, 3]))
        .unwrap();
    assert_eq!(todo.len().unwrap(), 2);
}

#[test]
fn by_tls_only_a_server_with_a_certificate_of_the_named_root_is_trusted() {
    let Some(server) = Postgres::private_with_tls() else {
        return;
    };
    let name = unique_store();
    let open = |mode: &str, root: &str| {
        let root = server.certificate(root);
        let parameters = format!("sslmode={mode}&sslrootcert={}", root.display());
        Store::open(server.url_by_tls(&name, &parameters))
    };
    for mode in ["require", "verify-full"] {
        let store = open(mode, "root").unwrap();
        let todo = Deque::<u32>::new(&store, "todo").unwrap();
        todo.push_back(&1).unwrap();
        let by_tls = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
            WHERE application_name = 'diskette'";
        assert_eq!(server.sql(by_tls), "t");

        let error = open(mode, "other").unwrap_err();
        assert!(error.to_string().contains("sslrootcert"), "{error}");
    }
    // Mozilla knows nothing of it.
    let url = server.url_by_tls(&name, "sslmode=require");
    let error = Store::open(url).unwrap_err();
    assert!(error.to_string().contains("sslrootcert"), "{error}");
    let nothing = open("require", "none").unwrap_err();
    assert!(nothing.is_invalid_input(), "{nothing}");
}
