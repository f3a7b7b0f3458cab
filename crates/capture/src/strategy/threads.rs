//! `threads`: a thread for each stream.
//!
//! What it does: one thread reads stdout, one reads stderr, one writes stdin, and the caller's
//! thread waits for the leader's exit, each on its own descriptor. The threads are joined at the
//! leader's exit, where the caller's thread reads what is left, and at a deadline; they are started
//! again when the capture is resumed.
//!
//! When it deadlocks: never by itself. Without a bound it waits as long as the child lives, and
//! with `End::EndOfFile` as long as any descendant holds a pipe. (Threads that block in `read`, as
//! they are usually written, cannot be stopped at a deadline; these poll an eventfd beside.)
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`.
//!
//! What it costs: up to three threads to start and join, and a switch of threads for each read;
//! with two cores both streams are copied at once.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags};

use super::Method;
use crate::channel::{Plumbing, output_pipe};
use crate::engine::{Engine, Poll, poll_until};
use crate::feed::{Fed, Feed};
use crate::flow::Flow;
use crate::leader::Leader;
use crate::stopper::Stopping;
use crate::stream::{Pumped, Stream};
use crate::{Error, engine, signals};

pub(super) const METHOD: Method = Method::Safe {
    plumb: |input| Plumbing::new(input, output_pipe()?, output_pipe()?),
    engine: || {
        Ok(Box::new(Threads {
            bells: Bells::new()?,
        }))
    },
};

struct Threads {
    bells: Bells,
}

impl Engine for Threads {
    fn turn(&mut self, flow: &mut Flow, until: Option<Instant>) -> Result<(), Error> {
        if flow.leader.has_exited() {
            return Poll.turn(flow, until);
        }
        self.bells.reset();
        let bells = &self.bells;
        let Flow {
            leader,
            feed,
            stdout,
            stderr,
            stopping,
            lull: _,
        } = flow;
        std::thread::scope(|scope| {
            // Whatever happens below, the scope joins the workers, so they must have been told to
            // stop.
            let _stop = StopAtDrop(bells);
            let mut workers = Vec::new();
            for stream in [stdout, stderr] {
                if stream.readable().is_some() {
                    workers.push(start(scope, || {
                        bells.rung_after(|| read_on(stream, bells))
                    })?);
                }
            }
            if feed.is_some() {
                workers.push(start(scope, || bells.rung_after(|| write_on(feed, bells)))?);
            }
            let waited = wait(leader, stopping, bells, workers.len(), until);
            bells.stop();
            let joined: Vec<Result<Worked, Error>> = workers.into_iter().map(join).collect();
            waited?;
            joined.into_iter().try_for_each(|worked| worked.map(drop))
        })
    }
}

/// What a worker came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worked {
    ToldToStop,
    StreamEnded,
    LimitPassed,
    AllWritten,
}

fn read_on(stream: &mut Stream, bells: &Bells) -> Result<Worked, Error> {
    loop {
        match stream.pump()? {
            Pumped::Ended => return Ok(Worked::StreamEnded),
            Pumped::Bytes if stream.fatal_limit().is_some() => return Ok(Worked::LimitPassed),
            Pumped::Bytes if bells.is_stopping() => return Ok(Worked::ToldToStop),
            Pumped::Bytes => {}
            Pumped::Empty => {
                let Some(fd) = stream.readable() else {
                    return Ok(Worked::StreamEnded);
                };
                if bells.wait_beside(PollFd::from_borrowed_fd(fd, PollFlags::IN))? {
                    return Ok(Worked::ToldToStop);
                }
            }
        }
    }
}

fn write_on(stdin: &mut Option<Feed>, bells: &Bells) -> Result<Worked, Error> {
    while let Some(feed) = stdin {
        if feed.pump()? == Fed::Done {
            // At once: the child may do nothing more until it sees the end of file.
            *stdin = None;
        } else if bells.wait_beside(PollFd::from_borrowed_fd(feed.fd(), PollFlags::OUT))? {
            return Ok(Worked::ToldToStop);
        }
    }
    Ok(Worked::AllWritten)
}

/// Waits for the leader's exit, for the instant, for a worker that needs a decision, or for all to
/// be done. When all are done and the leader lives, the next turn waits for it without a worker.
fn wait(
    leader: &mut Leader,
    stopping: &mut Stopping,
    bells: &Bells,
    workers: usize,
    until: Option<Instant>,
) -> Result<(), Error> {
    let mut done = 0;
    loop {
        let stop = stopping.bell();
        let mut polled = vec![
            PollFd::from_borrowed_fd(leader.pidfd(), PollFlags::IN),
            PollFd::new(&bells.done, PollFlags::IN),
        ];
        polled.extend(stop.map(|(_, fd)| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        poll_until(&mut polled, until)?;
        let is_ready = |at: usize| polled.get(at).is_some_and(|it| !it.revents().is_empty());
        let (exit, bell) = (is_ready(0), is_ready(1));
        let stop = stop.map(|(token, _)| token).filter(|_| is_ready(2));
        if let Some(token) = stop {
            stopping.note(token);
        }
        if exit {
            leader.note_exit();
        }
        if bell {
            done += bells.take_done();
        }
        let late = until.is_some_and(|until| until <= Instant::now());
        if exit
            || stop.is_some()
            || late
            || bells.attention.load(Ordering::Acquire)
            || (workers > 0 && done >= workers)
        {
            return Ok(());
        }
    }
}

/// Starts a worker that runs none of the caller's signal handlers.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    signals::with_all_blocked(|| {
        Builder::new()
            .name("pipeclog-stream".into())
            .spawn_scoped(scope, work)
    })
    .map_err(|cause| Error::system("start a thread for a stream", cause))
}

fn join(worker: ScopedJoinHandle<'_, Result<Worked, Error>>) -> Result<Worked, Error> {
    worker
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How the threads tell each other: two eventfds, since a worker waits in `poll` and could not hear
/// a condition variable.
struct Bells {
    /// Readable: the workers are to stop.
    stop: OwnedFd,
    /// Counts the workers that are done.
    done: OwnedFd,
    /// A worker passed a limit or failed: the session must look.
    attention: AtomicBool,
    stopping: AtomicBool,
}

impl Bells {
    fn new() -> Result<Self, Error> {
        let eventfd = || {
            rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|errno| Error::system("make an eventfd", errno))
        };
        let (stop, done) = (eventfd()?, eventfd()?);
        Ok(Bells {
            stop,
            done,
            attention: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    fn reset(&mut self) {
        // Not set is no error: EAGAIN.
        let _ = rustix::io::read(&self.stop, &mut [0; 8]);
        self.take_done();
        self.attention = AtomicBool::new(false);
        self.stopping = AtomicBool::new(false);
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        engine::ring(&self.stop);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn take_done(&self) -> usize {
        let mut count = [0; 8];
        match rustix::io::read(&self.done, &mut count) {
            Ok(8) => usize::try_from(u64::from_ne_bytes(count)).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Runs a worker, and says that it is done.
    fn rung_after(&self, work: impl FnOnce() -> Result<Worked, Error>) -> Result<Worked, Error> {
        let result = work();
        if matches!(result, Err(_) | Ok(Worked::LimitPassed)) {
            self.attention.store(true, Ordering::Release);
        }
        engine::ring(&self.done);
        result
    }

    /// Waits until the descriptor is ready; true when the workers are to stop.
    fn wait_beside(&self, fd: PollFd<'_>) -> Result<bool, Error> {
        poll_until(&mut [fd, PollFd::new(&self.stop, PollFlags::IN)], None)?;
        Ok(self.is_stopping())
    }
}

struct StopAtDrop<'a>(&'a Bells);

impl Drop for StopAtDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
