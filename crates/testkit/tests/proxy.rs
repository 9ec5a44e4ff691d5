//! That a network is cut, healed and torn, for a plain server and for PostgreSQL.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use diskette_testkit::{PATIENCE, Postgres, Proxy};

#[test]
fn what_is_sent_while_the_network_is_cut_arrives_when_it_is_healed() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("echo");
    let echo = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for client in echo.incoming().map_while(Result::ok) {
            thread::spawn(move || io::copy(&mut &client, &mut &client));
        }
    });

    let proxy = Proxy::to(socket);
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"one").unwrap();
    assert_eq!(&heard(&mut client).unwrap(), b"one");

    proxy.cut();
    client.write_all(b"two").unwrap();
    let mut late = UnixStream::connect(proxy.directory().join(".s.PGSQL.5432")).unwrap();
    late.write_all(b"new").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let nothing = heard(&mut client).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);

    client.set_read_timeout(Some(PATIENCE)).unwrap();
    proxy.heal();
    assert_eq!(&heard(&mut client).unwrap(), b"two");
    assert_eq!(&heard(&mut late).unwrap(), b"new");

    proxy.cut();
    proxy.drop_all();
    assert!(client.read(&mut [0]).is_ok_and(|read| read == 0));
    assert!(late.read(&mut [0]).is_ok_and(|read| read == 0));
}

#[test]
fn a_server_does_not_see_that_a_client_died_behind_a_cut() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let proxy = postgres.proxy();
    let host = proxy.directory().to_str().unwrap();
    let mut client = postgres
        .psql(&format!("postgres://diskette@/diskette?host={host}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let asked = client
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"SELECT pg_backend_pid();\n");
    asked.unwrap();
    let session: u32 = lines.next().unwrap().unwrap().parse().unwrap();

    proxy.cut();
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(postgres.sessions().contains(&session));

    proxy.drop_all();
    diskette_testkit::eventually(PATIENCE, || !postgres.sessions().contains(&session));
}

fn heard(from: &mut impl Read) -> io::Result<[u8; 3]> {
    let mut bytes = [0; 3];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
