//! A connection to the server, whose calls block, and several of which can go out in one round trip.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use diskette_ipc::clock::uptime;
use diskette_ipc::fork;
use tokio::runtime::Builder;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::{AsyncMessage, Client, Config, Row, SimpleQueryMessage, Statement};

use crate::error::Result;
use crate::moving::{Datum, Table};
use crate::postgres::dialect;
use crate::postgres::driver::Driver;
use crate::postgres::failure::{self, from_postgres};
use crate::postgres::parameter::{Owned, Parameter};
use crate::postgres::tls::Trust;
use crate::row::Value;

pub(crate) struct Connection {
    client: Client,
    /// Moves what is read and written, while somebody waits for it.
    driver: RefCell<Driver>,
    /// Which statements mean.
    schema: RefCell<String>,
    /// Of this schema, by the text of the engine that each was written for.
    statements: RefCell<HashMap<String, Statement>>,
    /// Those of others.
    elsewhere: RefCell<HashMap<String, HashMap<String, Statement>>>,
    /// How long an answer may take before the connection is taken for lost.
    patience: Cell<Duration>,
    /// How long it waits for locks, as it was told.
    lock_timeout: Cell<Option<Duration>>,
    /// When an answer came last.
    used: Cell<Duration>,
    /// The generation of forks in which it was made.
    generation: u64,
}

/// For so long after an answer a connection is taken to be alive.
const FRESH: Duration = Duration::from_millis(100);

/// How long a connection may be silent, on top of what was asked of it: then it is lost, to either side.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);

/// Both ends hear from the kernel when the other is cut off, also in the middle of a transaction. And each statement has an index by
/// which it finds its rows, whatever the server thinks of how many there are: where one is to be found, it would often rather read through
/// all that are done with before it.
const SETTINGS: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3; \
    SET tcp_user_timeout = 15000; SET client_connection_check_interval = 5000; \
    SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET jit = off";

/// Of the server: those before don't notice when a client has gone.
const OLDEST: u32 = 14;

/// A statement that goes out with others, and of which only its success is of interest.
pub(crate) struct Request {
    statement: Statement,
    params: Vec<Owned>,
}

/// What goes out before a statement and after it, in the same round trip.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    pub(crate) before: &'a [Request],
    pub(crate) after: &'a [Request],
}

impl Connection {
    pub(crate) fn open(config: &Config, trust: &Trust, timeout: Duration) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failure::cant_connect)?;
        let connecting = async { tokio::time::timeout(timeout, trust.connect(config)).await };
        let (client, socket) = match runtime.block_on(connecting) {
            Ok(connected) => connected?,
            Err(_) => return Err(failure::no_answer(timeout)),
        };
        let version = socket.parameter("server_version").unwrap_or_default();
        let major = version.split(|char: char| !char.is_ascii_digit()).next();
        if major.and_then(|major| major.parse().ok()) < Some(OLDEST) {
            return Err(failure::too_old(version, OLDEST));
        }
        let connection = Connection {
            client,
            driver: RefCell::new(Driver::new(runtime, socket)),
            schema: RefCell::default(),
            statements: RefCell::default(),
            elsewhere: RefCell::default(),
            patience: Cell::new(timeout.saturating_add(SILENCE)),
            lock_timeout: Cell::new(None),
            used: Cell::new(uptime()),
            generation: fork::generation(),
        };
        connection.batch(SETTINGS)?;
        Ok(connection)
    }

    /// Refuses a pooler that gives each transaction another session: while the other connection is in a transaction, it has one
    /// of the sessions that there are.
    pub(crate) fn must_be_a_session(&self, other: &Connection) -> Result<()> {
        let before = self.number_by_itself()?;
        other.batch("BEGIN; SELECT 1")?;
        let after = self.number_by_itself()?;
        other.batch("ROLLBACK")?;
        match before == after {
            true => Ok(()),
            false => Err(failure::pooled()),
        }
    }

    /// The server's number of the session.
    pub(crate) fn number(&self) -> Result<i32> {
        let rows = self.query("SELECT pg_backend_pid()", &[])?;
        let number = rows
            .first()
            .map(|row| row.try_get(0).map_err(from_postgres));
        number.unwrap_or_else(|| Err(failure::lost()))
    }

    /// The same, by a statement that isn't prepared: in a session that it is not, it would be unknown.
    fn number_by_itself(&self) -> Result<Option<String>> {
        let said = self.block_on(self.client.simple_query("SELECT pg_backend_pid()"))?;
        let said = said.map_err(from_postgres)?;
        Ok(said.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// Has it wait for an answer no longer than this and a little.
    pub(crate) fn allow(&self, time: Duration) {
        self.patience.set(time.saturating_add(SILENCE));
    }

    /// Runs a statement that may take so long.
    pub(crate) fn execute_for(&self, sql: &str, time: Duration) -> Result<u64> {
        let before = self.patience.replace(time);
        let done = self.execute(sql, &[]);
        self.patience.set(before);
        done
    }

    /// Whether it can be used, as far as is known without asking.
    pub(crate) fn is_open(&self) -> bool {
        self.generation == fork::generation()
            && !self.client.is_closed()
            && !self
                .driver
                .try_borrow()
                .is_ok_and(|driver| driver.is_closed())
    }

    /// Whether it is there that statements look for tables.
    pub(crate) fn is_in(&self, schema: &str) -> bool {
        *self.schema.borrow() == schema
    }

    /// Has statements look for tables there.
    pub(crate) fn go_to(&self, schema: &str) -> Result<()> {
        if self.is_in(schema) {
            return Ok(());
        }
        self.batch(&format!("SET search_path TO {}", dialect::quoted(schema)))?;
        let mut elsewhere = self.elsewhere.borrow_mut();
        let there = elsewhere.remove(schema).unwrap_or_default();
        let before = self.schema.replace(schema.to_owned());
        elsewhere.insert(before, self.statements.replace(there));
        Ok(())
    }

    /// Whether nothing has been heard of its end either, since it was last used.
    pub(crate) fn is_alive(&self) -> bool {
        let idle = uptime().saturating_sub(self.used.get());
        if self.is_open() && idle > FRESH {
            self.driver.borrow_mut().listen();
        }
        self.is_open()
    }

    /// Closes it; but one that a forked child has inherited is its parent's, and nothing is to be said on it.
    pub(crate) fn abandon(self) {
        if self.generation != fork::generation() {
            std::mem::forget(self);
        }
    }

    /// Runs statements without parameters and results.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.block_on(self.client.batch_execute(sql))?
            .map_err(from_postgres)
    }

    /// Has the server end a transaction that has changed nothing, by this: nobody waits for it.
    pub(crate) fn leave(&self, ending: &str) {
        let ending = self.client.batch_execute(ending);
        self.driver.borrow_mut().send_off(ending);
    }

    /// Has it wait for locks so long. If the server doesn't know yet, what to say to it, outside of transactions.
    pub(crate) fn limit_locks(&self, timeout: Duration) -> Option<String> {
        let is_new = self.lock_timeout.replace(Some(timeout)) != Some(timeout);
        // 0 would be no limit.
        is_new.then(|| timeout.as_millis().clamp(1, i32::MAX as u128).to_string())
    }

    /// Runs a statement; how many rows did it change?
    pub(crate) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        self.execute_within(sql, params, Around::default())
    }

    /// Runs a statement; the rows that it gives.
    pub(crate) fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        self.query_within(sql, params, Around::default())
    }

    pub(crate) fn execute_within(
        &self,
        sql: &str,
        params: &[Value<'_>],
        around: Around<'_>,
    ) -> Result<u64> {
        let statement = self.prepare(sql)?;
        let params: Vec<_> = params.iter().map(|&value| Parameter(value)).collect();
        self.within(around, self.client.execute_raw(&statement, &params))
    }

    pub(crate) fn query_within(
        &self,
        sql: &str,
        params: &[Value<'_>],
        around: Around<'_>,
    ) -> Result<Vec<Row>> {
        let statement = self.prepare(sql)?;
        let params: Vec<_> = params.iter().map(|&value| Parameter(value)).collect();
        let params: Vec<_> = params.iter().map(|it| it as _).collect();
        self.within(around, self.client.query(&statement, &params))
    }

    /// Sends all of it at once.
    pub(crate) fn send(&self, requests: &[Request]) -> Result<()> {
        self.block_on(self.answers(requests))?
            .map_err(from_postgres)
    }

    /// A statement that is to go out with others.
    pub(crate) fn request(&self, sql: &str, params: &[Value<'_>]) -> Result<Request> {
        Ok(Request {
            statement: self.prepare(sql)?,
            params: params.iter().map(|&value| value.into()).collect(),
        })
    }

    /// Whether the server need not be asked what a statement means.
    pub(crate) fn knows(&self, sql: &str) -> bool {
        self.statements.borrow().contains_key(sql)
    }

    /// Adds rows to a table.
    pub(crate) fn copy_in(&self, table: &Table, rows: &[Vec<Datum>]) -> Result<()> {
        let columns = self.prepare(&table.select())?;
        let types = columns
            .columns()
            .iter()
            .map(|column| column.type_().clone());
        let types: Vec<_> = types.collect();
        let (name, columns) = (&table.name, table.columns.join(", "));
        let copy = format!("COPY {name} ({columns}) FROM STDIN BINARY");
        let copying = async {
            let rows_to = self.client.copy_in(&copy).await?;
            let mut writer = pin!(BinaryCopyInWriter::new(rows_to, &types));
            for row in rows {
                let row = row.iter().map(|datum| Parameter(datum.value()));
                writer.as_mut().write_raw(row).await?;
            }
            writer.finish().await
        };
        self.block_on(copying)?.map(drop).map_err(from_postgres)
    }

    /// What came besides answers since it was last asked; waits for some, if there is none, no longer than this.
    pub(crate) fn messages(&self, timeout: Duration) -> Result<Vec<AsyncMessage>> {
        self.driver.borrow_mut().messages(timeout)
    }

    /// Sends all of it at once, and waits for all the answers. If several fail, the first says why.
    fn within<R>(
        &self,
        around: Around<'_>,
        statement: impl Future<Output = Result<R, tokio_postgres::Error>>,
    ) -> Result<R> {
        let (before, after) = (self.answers(around.before), self.answers(around.after));
        // Requests go out in the order in which their futures are first polled.
        let all = async { tokio::join!(before, statement, after) };
        let (before, result, after) = self.block_on(all)?;
        before
            .and(result)
            .and_then(|result| after.map(|()| result))
            .map_err(from_postgres)
    }

    async fn answers(&self, requests: &[Request]) -> Result<(), tokio_postgres::Error> {
        let answer = |request| Box::pin(self.answer(request));
        let mut answers: Vec<_> = requests.iter().map(answer).collect();
        // All go out before the first is waited for.
        let mut first: Vec<_> = poll_fn(|context| {
            let polled = answers.iter_mut().map(|it| it.as_mut().poll(context));
            Poll::Ready(polled.collect())
        })
        .await;
        let mut all = Ok(());
        for (answer, first) in answers.iter_mut().zip(first.drain(..)) {
            let result = match first {
                Poll::Ready(result) => result,
                Poll::Pending => answer.await,
            };
            all = all.and(result.map(drop));
        }
        all
    }

    async fn answer(&self, request: &Request) -> Result<u64, tokio_postgres::Error> {
        let Request { statement, params } = request;
        self.client.execute_raw(statement, params).await
    }

    fn prepare(&self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let text = dialect::translate(sql);
        let prepared = self.block_on(self.client.prepare(&text))?;
        let prepared = prepared.map_err(from_postgres)?;
        let mut statements = self.statements.borrow_mut();
        statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    fn block_on<R>(&self, future: impl Future<Output = R>) -> Result<R> {
        let mut driver = self.driver.borrow_mut();
        let answer = driver.block_on(future, self.patience.get());
        self.used.set(uptime());
        answer
    }
}
