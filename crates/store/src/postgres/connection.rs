//! A connection to the server, whose calls block, and several of which can go out in one round trip.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use diskette_ipc::fork;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{AsyncMessage, Client, Config, Row, Statement};

use crate::db::Value;
use crate::error::Result;
use crate::postgres::dialect;
use crate::postgres::failure::{self, from_postgres};
use crate::postgres::parameter::Parameter;
use crate::postgres::tls::{self, Socket};

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
    /// The generation of forks in which it was made.
    generation: u64,
}

struct Driver {
    runtime: Runtime,
    socket: Socket,
    /// What came besides answers.
    messages: Vec<AsyncMessage>,
    closed: bool,
}

/// What is sent around a statement, in the same round trip.
#[derive(Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
}

impl Connection {
    pub(crate) fn open(config: &Config, timeout: Duration) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failure::cant_connect)?;
        let connecting = async { tokio::time::timeout(timeout, tls::connect(config)).await };
        let (client, socket) = match runtime.block_on(connecting) {
            Ok(connected) => connected?,
            Err(_) => return Err(failure::no_answer(timeout)),
        };
        Ok(Connection {
            client,
            driver: RefCell::new(Driver {
                runtime,
                socket,
                messages: Vec::new(),
                closed: false,
            }),
            schema: RefCell::default(),
            statements: RefCell::default(),
            elsewhere: RefCell::default(),
            generation: fork::generation(),
        })
    }

    /// Whether it can be used, as far as is known without asking.
    pub(crate) fn is_open(&self) -> bool {
        self.generation == fork::generation() && !self.client.is_closed()
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

    /// Closes it; but one that a forked child has inherited is its parent's, and nothing is to be said on it.
    pub(crate) fn abandon(self) {
        if self.generation != fork::generation() {
            std::mem::forget(self);
        }
    }

    /// Runs statements without parameters and results.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.block_on(self.client.batch_execute(sql))
            .map_err(from_postgres)
    }

    /// Runs a statement; how many rows did it change?
    pub(crate) fn execute(
        &self,
        sql: &str,
        params: &[Value<'_>],
        around: Around<'_>,
    ) -> Result<u64> {
        let statement = self.prepare(sql)?;
        let params: Vec<_> = params.iter().map(|&value| Parameter(value)).collect();
        self.within(around, self.client.execute_raw(&statement, &params))
    }

    /// Runs a statement; the rows that it gives.
    pub(crate) fn query(
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

    /// What came besides answers since it was last asked; waits for some, if there is none, no longer than this.
    pub(crate) fn messages(&self, timeout: Duration) -> Result<Vec<AsyncMessage>> {
        let mut driver = self.driver.borrow_mut();
        if driver.messages.is_empty() {
            driver.wait_for_messages(timeout);
        }
        match driver.closed && driver.messages.is_empty() {
            true => Err(failure::lost()),
            false => Ok(std::mem::take(&mut driver.messages)),
        }
    }

    /// Sends all of it at once, and waits for all the answers. If several fail, the first says why.
    fn within<R>(
        &self,
        around: Around<'_>,
        statement: impl Future<Output = Result<R, tokio_postgres::Error>>,
    ) -> Result<R> {
        let batch = async |sql: Option<&str>| match sql {
            Some(sql) => self.client.batch_execute(sql).await,
            None => Ok(()),
        };
        // Requests go out in the order in which their futures are first polled.
        let all = async { tokio::join!(batch(around.before), statement, batch(around.after)) };
        let (before, result, after) = self.block_on(all);
        before
            .and(result)
            .and_then(|result| after.map(|()| result))
            .map_err(from_postgres)
    }

    fn prepare(&self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let text = dialect::translate(sql);
        let prepared = self.block_on(self.client.prepare(&text));
        let prepared = prepared.map_err(from_postgres)?;
        let mut statements = self.statements.borrow_mut();
        statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    fn block_on<R>(&self, future: impl Future<Output = R>) -> R {
        self.driver.borrow_mut().block_on(future)
    }
}

impl Driver {
    fn block_on<R>(&mut self, future: impl Future<Output = R>) -> R {
        let Driver {
            runtime,
            socket,
            messages,
            closed,
        } = self;
        let mut future = pin!(future);
        runtime.block_on(std::future::poll_fn(|context| {
            // First what is to be sent is made, then it goes out.
            if let Poll::Ready(result) = future.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            move_on(socket, messages, closed, context);
            future.as_mut().poll(context)
        }))
    }

    fn wait_for_messages(&mut self, timeout: Duration) {
        let Driver {
            runtime,
            socket,
            messages,
            closed,
        } = self;
        let come = std::future::poll_fn(|context| {
            move_on(socket, messages, closed, context);
            match *closed || !messages.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        let _ = runtime.block_on(async { tokio::time::timeout(timeout, come).await });
    }
}

/// Reads and writes what can be. An error is that of the requests that wait.
fn move_on(
    socket: &mut Socket,
    messages: &mut Vec<AsyncMessage>,
    closed: &mut bool,
    context: &mut Context<'_>,
) {
    while !*closed {
        match socket.poll_message(context) {
            Poll::Pending => return,
            Poll::Ready(Some(Ok(message))) => messages.push(message),
            Poll::Ready(Some(Err(_)) | None) => *closed = true,
        }
    }
}
