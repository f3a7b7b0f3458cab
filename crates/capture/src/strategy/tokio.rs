//! `tokio`: tokio's reactor.
//!
//! What it does: as [`super::poll`], with each descriptor as an `AsyncFd` of a current-thread
//! runtime of its own.
//!
//! When it deadlocks: never by itself; it waits where `poll` does. Called from within another
//! runtime it works, on a thread of its own, and blocks the caller's thread as every blocking call
//! there does; `spawn_blocking` is the place for it.
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`.
//!
//! What it costs: a runtime to set up, and one read more for each wake-up, since the reactor is
//! edge-triggered and only EAGAIN tells it to wait again.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::runtime::{Builder, Handle, Runtime};
use ::tokio::time::timeout_at;

use super::Method;
use crate::channel::{Plumbing, output_pipe};
use crate::engine::Engine;
use crate::flow::{Flow, Served, Token};
use crate::{Error, signals, sys};

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, output_pipe()?, output_pipe()?),
    engine: || Ok(Box::new(Tokio::new()?)),
};

struct Tokio {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    watched: Vec<(Token, AsyncFd<OwnedFd>)>,
}

impl Tokio {
    fn new() -> Result<Self, Error> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        let runtime = runtime.map_err(|cause| Error::system("set up a tokio runtime", cause))?;
        Ok(Tokio {
            runtime: Some(runtime),
            watched: Vec::new(),
        })
    }

    /// Watches what is of interest and forgets what is not.
    fn watch(&mut self, flow: &Flow, runtime: &Runtime) -> Result<(), Error> {
        let _context = runtime.enter();
        let interests = flow.interests();
        self.watched
            .retain(|(token, _)| interests.iter().any(|(interest, _)| interest == token));
        for (token, fd) in interests {
            if self.watched.iter().all(|(watched, _)| *watched != token) {
                // A duplicate, since the registration must not outlive its descriptor. That of
                // stdin is dropped at the start of the next turn, which is when the child sees the
                // end of file.
                let fd = fd
                    .try_clone_to_owned()
                    .and_then(|copy| sys::register(copy, wanted(token)))
                    .map_err(|cause| Error::system("watch the child's streams", cause))?;
                self.watched.push((token, fd));
            }
        }
        Ok(())
    }
}

impl Engine for Tokio {
    fn turn(&mut self, flow: &mut Flow, until: Option<Instant>) -> Result<(), Error> {
        let Some(runtime) = self.runtime.take() else {
            return Ok(());
        };
        let watching = self.watch(flow, &runtime);
        let watched = &self.watched;
        // The reactor answers an epoll_wait that fails by a panic.
        let mut work = || {
            let step = || runtime.block_on(one_step(watched, flow, until));
            catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
                let cause = io::Error::other("tokio's reactor panicked");
                Err(Error::system("wait for the child's streams", cause))
            })
        };
        let result = watching.and_then(|()| match Handle::try_current() {
            Err(_) => work(),
            // A runtime cannot be entered on a thread that runs another one.
            Ok(_) => std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().name("pipeclog-tokio".into());
                signals::with_all_blocked(|| thread.spawn_scoped(scope, work))
                    .map_err(|cause| Error::system("start a thread for a runtime", cause))?
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }),
        });
        self.runtime = Some(runtime);
        result
    }
}

impl Drop for Tokio {
    fn drop(&mut self) {
        self.watched.clear();
        if let Some(runtime) = self.runtime.take() {
            // A plain drop panics on a thread that runs another runtime.
            runtime.shutdown_background();
        }
    }
}

/// Serves whatever is ready first; ends without that at the instant.
async fn one_step(
    watched: &[(Token, AsyncFd<OwnedFd>)],
    flow: &mut Flow,
    until: Option<Instant>,
) -> Result<(), Error> {
    let step = poll_fn(|context| serve_ready(watched, flow, context));
    match until {
        None => step.await,
        Some(until) => timeout_at(until.into(), step).await.unwrap_or(Ok(())),
    }
}

fn serve_ready(
    watched: &[(Token, AsyncFd<OwnedFd>)],
    flow: &mut Flow,
    context: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    let mut waiting = true;
    for (token, fd) in watched {
        match serve_one(*token, fd, flow, context) {
            Poll::Ready(Ok(())) => waiting = false,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {}
        }
    }
    if waiting {
        Poll::Pending
    } else {
        Poll::Ready(Ok(()))
    }
}

/// One step of one descriptor; pending, with the waker registered, when it is not ready after all.
fn serve_one(
    token: Token,
    fd: &AsyncFd<OwnedFd>,
    flow: &mut Flow,
    context: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    loop {
        let guard = match token {
            Token::Stdin => ready!(fd.poll_write_ready(context)),
            Token::Stdout | Token::Stderr | Token::Exit | Token::Stop | Token::StopNow => {
                ready!(fd.poll_read_ready(context))
            }
        };
        let mut guard =
            guard.map_err(|cause| Error::system("wait for the child's streams", cause))?;
        match flow.serve(token)? {
            Served::Step => return Poll::Ready(Ok(())),
            Served::NotReady => guard.clear_ready(),
        }
    }
}

fn wanted(token: Token) -> Interest {
    match token {
        Token::Stdin => Interest::WRITABLE,
        Token::Stdout | Token::Stderr | Token::Exit | Token::Stop | Token::StopNow => {
            Interest::READABLE
        }
    }
}
