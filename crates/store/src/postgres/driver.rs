//! What moves a connection: the thread that waits for an answer, and nobody else.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use diskette_ipc::Mutex;
use tokio::runtime::Runtime;
use tokio_postgres::AsyncMessage;

use crate::error::Result;
use crate::postgres::failure;
use crate::postgres::tls::Socket;

pub(crate) struct Driver {
    runtime: Runtime,
    wire: Wire,
    alarm: Arc<Alarm>,
}

/// Wakes the thread that moves the wire; what it has done itself needs no system call to wake it.
#[derive(Default)]
struct Alarm {
    awake: AtomicBool,
    /// Whether it was to be woken while it was awake.
    rung: AtomicBool,
    sleeper: Mutex<Option<Waker>>,
}

struct Wire {
    socket: Socket,
    /// What came besides answers.
    messages: Vec<AsyncMessage>,
    closed: bool,
}

impl Driver {
    pub(crate) fn new(runtime: Runtime, socket: Socket) -> Self {
        Driver {
            runtime,
            wire: Wire {
                socket,
                messages: Vec::new(),
                closed: false,
            },
            alarm: Arc::default(),
        }
    }

    /// Whether nobody is at the other end any more, as far as is known.
    pub(crate) fn is_closed(&self) -> bool {
        self.wire.closed
    }

    pub(crate) fn block_on<R>(
        &mut self,
        future: impl Future<Output = R>,
        patience: Duration,
    ) -> Result<R> {
        let Driver {
            runtime,
            wire,
            alarm,
        } = self;
        let mut future = pin!(future);
        let waker = Waker::from(Arc::clone(alarm));
        let answer = poll_fn(|context| {
            alarm.stay_awake(context, || {
                let mut context = Context::from_waker(&waker);
                // First what is to be sent is made, then it goes out.
                if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                    return Poll::Ready(Some(result));
                }
                wire.move_on(&mut context);
                match future.as_mut().poll(&mut context) {
                    Poll::Ready(result) => Poll::Ready(Some(result)),
                    // Nobody will answer.
                    Poll::Pending if wire.closed => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
        });
        let answer = runtime.block_on(async { tokio::time::timeout(patience, answer).await });
        // What comes too late would be taken for the answer to something else.
        wire.closed |= answer.is_err();
        answer.ok().flatten().ok_or_else(failure::lost)
    }

    /// Sends a request, for the answer to which nobody waits: it comes before that to the next.
    pub(crate) fn send_off(&mut self, request: impl Future) {
        let Driver { runtime, wire, .. } = self;
        let mut request = pin!(request);
        runtime.block_on(poll_fn(|context| {
            let _ = request.as_mut().poll(context);
            wire.move_on(context);
            Poll::Ready(())
        }));
    }

    /// Takes in what has come by now.
    pub(crate) fn listen(&mut self) {
        let Driver { runtime, wire, .. } = self;
        runtime.block_on(async {
            // In which the runtime looks at what the kernel has.
            tokio::task::yield_now().await;
            poll_fn(|context| {
                wire.move_on(context);
                Poll::Ready(())
            })
            .await;
        });
    }

    /// What came besides answers since it was last asked; waits for some, if there is none, no longer than this.
    pub(crate) fn messages(&mut self, timeout: Duration) -> Result<Vec<AsyncMessage>> {
        let Driver { runtime, wire, .. } = self;
        if wire.messages.is_empty() {
            let come = poll_fn(|context| {
                wire.move_on(context);
                match wire.closed || !wire.messages.is_empty() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            });
            let _ = runtime.block_on(async { tokio::time::timeout(timeout, come).await });
        }
        match wire.closed && wire.messages.is_empty() {
            true => Err(failure::lost()),
            false => Ok(std::mem::take(&mut wire.messages)),
        }
    }
}

impl Alarm {
    /// Polls until nothing is to be done but to sleep.
    fn stay_awake<R>(&self, context: &Context<'_>, mut poll: impl FnMut() -> Poll<R>) -> Poll<R> {
        *self.sleeper.lock() = Some(context.waker().clone());
        self.awake.store(true, SeqCst);
        loop {
            self.rung.store(false, SeqCst);
            let polled = poll();
            if polled.is_ready() || !self.rung.load(SeqCst) {
                self.awake.store(false, SeqCst);
                if self.rung.load(SeqCst) {
                    context.waker().wake_by_ref();
                }
                return polled;
            }
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, SeqCst);
        if !self.awake.load(SeqCst)
            && let Some(sleeper) = &*self.sleeper.lock()
        {
            sleeper.wake_by_ref();
        }
    }
}

impl Wire {
    /// Reads and writes what can be. An error is that of the requests that wait.
    fn move_on(&mut self, context: &mut Context<'_>) {
        while !self.closed {
            match self.socket.poll_message(context) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(message))) => self.messages.push(message),
                Poll::Ready(Some(Err(_)) | None) => self.closed = true,
            }
        }
    }
}
