//! What to run, and what ends it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use pipeclog_rescue::Limits;
use rustix::process::Signal;

/// What to run, and what ends it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that becomes the keeper when it is given [`KEEPER_COMMAND`](crate::keeper::KEEPER_COMMAND).
    pub program: PathBuf,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Ends it after this long; time in which this process was stopped does not count.
    pub timeout: Option<Duration>,
    /// Ends it after this long in which no process of the tree has written anything.
    pub no_output: Option<Duration>,
    /// What ends it; [`crate::signal`] reads it.
    pub signal: Signal,
    /// How long after the signal SIGKILL follows.
    pub kill_after: Option<Duration>,
    /// Who has the signal.
    pub whom: Whom,
    /// What a proven deadlock leads to.
    pub on_deadlock: OnDeadlock,
}

/// Who is signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The command and all that it started.
    Tree,
    /// The command alone.
    Command,
}

/// What a proven deadlock of the command leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeadlock {
    /// It is told, and the tree ended.
    Kill,
    /// It is told.
    Wait,
    /// Its channels are made larger, up to these limits; where that cannot be done it is ended.
    Rescue(Limits),
}
