//! What came of a run.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use pipeclog_rescue::Action;
use pipeclog_waitgraph::Diagnosis;
use pipeclog_waitgraph::snapshot::Snapshot;

use crate::census::Holder;
use crate::lookout::Cost;

/// What ended the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// Itself, or a signal from outside.
    Itself,
    /// The timeout.
    Timeout,
    /// Too long a silence.
    Silence,
    /// A proven deadlock.
    Deadlock,
}

/// What came of a run.
#[derive(Debug)]
pub struct Account {
    /// How the command ended.
    pub end: Ending,
    /// Why.
    pub ended_by: EndedBy,
    /// How long it ran, without the time in which this process was stopped.
    pub took: Duration,
    /// What looking at it cost.
    pub cost: Cost,
    /// The last diagnosis that was told.
    pub diagnosis: Option<Diagnosis>,
    /// What that stands on.
    pub looks: Vec<Snapshot>,
    /// What was done to rescue it.
    pub actions: Vec<Action>,
    /// Who outlives it and holds its output open.
    pub left_behind: Vec<Holder>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Killed(Signal),
    /// It could not be run.
    NotRun(Errno),
}
