//! The same work by the client itself: one round trip for a transaction.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    AsyncMessage, Client, Connection, NoTls, Socket, Statement, tls::NoTlsStream,
};

/// A connection, and what the raw side does over it.
pub(crate) struct Raw {
    runtime: Runtime,
    client: Client,
    connection: Connection<Socket, NoTlsStream>,
    push: Option<Statement>,
    pop: Option<Statement>,
    get: Option<Statement>,
}

const TABLES: &str = "CREATE TABLE raw_items (position BIGINT PRIMARY KEY, value BYTEA NOT NULL); \
    CREATE TABLE raw_entries (key BYTEA PRIMARY KEY, value BYTEA NOT NULL)";
const PUSH: &str = "INSERT INTO raw_items (position, value) SELECT 1 + coalesce(max(position), 0), $1 FROM raw_items";
const POP: &str =
    "DELETE FROM raw_items WHERE position = (SELECT min(position) FROM raw_items) RETURNING value";
const GET: &str = "SELECT value FROM raw_entries WHERE key = $1";
/// As diskette's: the store's turn shared, the structure's alone.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = 30000; \
    SELECT pg_advisory_xact_lock_shared(1, 0); SELECT pg_advisory_xact_lock(1, 1)";

impl Raw {
    /// By an address as diskette takes it.
    pub(crate) fn connect(url: &str) -> Self {
        let url = url.rsplit_once("&store=").unwrap().0;
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (client, connection) = runtime
            .block_on(tokio_postgres::connect(url, NoTls))
            .unwrap();
        Raw {
            runtime,
            client,
            connection,
            push: None,
            pop: None,
            get: None,
        }
    }

    pub(crate) fn make_tables(&mut self) {
        self.batch(TABLES);
    }

    pub(crate) fn batch(&mut self, sql: &str) {
        let Raw {
            runtime,
            client,
            connection,
            ..
        } = self;
        block_on(runtime, connection, client.batch_execute(sql)).unwrap();
    }

    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) {
        let sql = "INSERT INTO raw_entries (key, value) VALUES ($1, $2)";
        let Raw {
            runtime,
            client,
            connection,
            ..
        } = self;
        block_on(runtime, connection, client.execute(sql, &[&key, &value])).unwrap();
    }

    pub(crate) fn stock(&mut self, items: u64) {
        self.batch(&format!(
            "INSERT INTO raw_items (position, value) SELECT n + coalesce((SELECT max(position) FROM raw_items), 0), \
             decode(repeat('07', 30), 'hex') FROM generate_series(1, {items}) AS n"
        ));
    }

    pub(crate) fn push(&mut self, value: &[u8]) {
        self.push_then(value, "COMMIT");
    }

    /// In one transaction.
    pub(crate) fn push_and_notify(&mut self, value: &[u8]) {
        self.push_then(value, "NOTIFY raw; COMMIT");
    }

    fn push_then(&mut self, value: &[u8], ending: &str) {
        let statement = Self::prepared(
            &mut self.push,
            &self.runtime,
            &mut self.connection,
            &self.client,
            PUSH,
        );
        let client = &self.client;
        let row: [&(dyn ToSql + Sync); 1] = [&value];
        let all = async {
            tokio::join!(
                client.batch_execute(BEGIN),
                client.execute(&statement, &row),
                client.batch_execute(ending)
            )
        };
        block_on(&self.runtime, &mut self.connection, all)
            .1
            .unwrap();
    }

    pub(crate) fn pop(&mut self) {
        let statement = Self::prepared(
            &mut self.pop,
            &self.runtime,
            &mut self.connection,
            &self.client,
            POP,
        );
        let client = &self.client;
        let all = async {
            tokio::join!(
                client.batch_execute(BEGIN),
                client.query(&statement, &[]),
                client.batch_execute("COMMIT")
            )
        };
        block_on(&self.runtime, &mut self.connection, all)
            .1
            .unwrap();
    }

    pub(crate) fn get(&mut self, key: &[u8]) {
        let statement = Self::prepared(
            &mut self.get,
            &self.runtime,
            &mut self.connection,
            &self.client,
            GET,
        );
        let row: [&(dyn ToSql + Sync); 1] = [&key];
        let found = self.client.query(&statement, &row);
        assert_eq!(
            block_on(&self.runtime, &mut self.connection, found)
                .unwrap()
                .len(),
            1
        );
    }

    /// Waits for somebody to notify.
    pub(crate) fn hear(&mut self) {
        let Raw {
            runtime,
            connection,
            ..
        } = self;
        runtime.block_on(std::future::poll_fn(|context| {
            loop {
                match connection.poll_message(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => return Poll::Ready(()),
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(end) => panic!("the connection has ended: {end:?}"),
                }
            }
        }));
    }

    /// Commits by themselves to a table of nobody else; how many in this time?
    pub(crate) fn commits(&mut self, time: Duration) -> u64 {
        self.batch("CREATE TABLE IF NOT EXISTS unrelated (n BIGINT)");
        let end = diskette_ipc::clock::now() + time;
        let mut done = 0;
        while diskette_ipc::clock::now() < end {
            self.batch("INSERT INTO unrelated VALUES (1)");
            done += 1;
        }
        done
    }

    fn prepared(
        kept: &mut Option<Statement>,
        runtime: &Runtime,
        connection: &mut Connection<Socket, NoTlsStream>,
        client: &Client,
        sql: &str,
    ) -> Statement {
        kept.get_or_insert_with(|| block_on(runtime, connection, client.prepare(sql)).unwrap())
            .clone()
    }
}

fn block_on<R>(
    runtime: &Runtime,
    connection: &mut Connection<Socket, NoTlsStream>,
    future: impl Future<Output = R>,
) -> R {
    let mut future = pin!(future);
    runtime.block_on(std::future::poll_fn(|context| {
        if let Poll::Ready(result) = future.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        while let Poll::Ready(Some(Ok(_))) = connection.poll_message(context) {}
        future.as_mut().poll(context)
    }))
}
