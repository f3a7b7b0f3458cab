//! A capture that has been started, to be waited for in pieces.

use std::time::Instant;

use crate::session::{Progress, Session};
use crate::{Bound, Captured, Error, Stopped};

/// A started capture. Between calls nobody reads: a child that fills its pipe waits, and loses
/// nothing.
///
/// Dropping it kills the child as [`crate::Kill`] says, at once and without the term grace, and
/// reaps it.
#[must_use = "dropping it kills the child"]
pub struct Running {
    pub(crate) session: Box<Session>,
}

/// What [`Running::wait`] came to.
#[derive(Debug)]
pub enum Waited {
    /// The capture is over.
    Finished(Captured),
    /// The bound passed first. The child is unharmed: wait on, look at what there is, or kill it.
    DeadlinePassed(Running),
}

impl Running {
    pub(crate) fn new(session: Session) -> Self {
        Running {
            session: Box::new(session),
        }
    }

    /// Captures until all is over or the bound passes, and can then be called again, as Python's
    /// `communicate(timeout)`. Only the last call hands out the bytes: all of them, from the first
    /// on.
    pub fn wait(mut self, bound: Bound) -> Result<Waited, Error> {
        match self.session.wait(bound.instant(Instant::now())) {
            Ok(Progress::Finished) => self.session.finish().map(Waited::Finished),
            Ok(Progress::DeadlinePassed) => Ok(Waited::DeadlinePassed(self)),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// A copy of what is kept of stdout so far; for a file strategy, of what the file holds now.
    pub fn stdout_so_far(&self) -> Result<Vec<u8>, Error> {
        self.session.flow.stdout.so_far()
    }

    /// As [`Running::stdout_so_far`], of stderr.
    pub fn stderr_so_far(&self) -> Result<Vec<u8>, Error> {
        self.session.flow.stderr.so_far()
    }

    /// The leader's process id. It stays the leader's own until the capture is over.
    pub fn pid(&self) -> u32 {
        self.session.flow.leader.pid().as_raw_pid().unsigned_abs()
    }

    /// Ends the child as [`crate::Kill`] says, and hands out what it had written.
    pub fn kill(self) -> Result<Captured, Error> {
        self.stop(Stopped::Caller)
    }

    pub(crate) fn stop(mut self, why: Stopped) -> Result<Captured, Error> {
        match self.session.stop(why) {
            Ok(()) => self.session.finish(),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Ends the child after an error, and adds to the error what was captured until then.
    fn fail(mut self, error: Error) -> Error {
        if error.kind() == crate::ErrorKind::Unkillable {
            return error;
        }
        match self.session.abort().and_then(|()| self.session.finish()) {
            Ok(captured) => error.with_partial(captured),
            Err(_) => error,
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
