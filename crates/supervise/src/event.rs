//! What is told while a command runs.

use pipeclog_rescue::Action;
use pipeclog_waitgraph::Diagnosis;
use pipeclog_waitgraph::snapshot::Snapshot;
use rustix::process::Signal;

use crate::account::EndedBy;
use crate::census::Holder;

/// What is told while it happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// A proven deadlock.
    Deadlock {
        /// Of the command, or of descendants of it while it lives on.
        diagnosis: &'a Diagnosis,
        /// What it stands on.
        looks: &'a [Snapshot],
        /// Whether the command itself is stuck.
        whose: Whose,
    },
    /// The command has ended by itself, or by a signal that nobody here sent, after it was stuck: that no process which was
    /// started with it would signal one of the stuck was all that kept the last diagnosis from being a proof.
    WasStuck(&'a Diagnosis),
    /// A deadlock that is proven but for what its assumptions say, and that has stood for a while. It ends nothing.
    Suspected {
        /// Of the command, or of descendants of it while it lives on.
        diagnosis: &'a Diagnosis,
        /// Whether the command itself is stuck, as far as is known.
        whose: Whose,
    },
    /// A channel of the deadlock was made larger.
    Rescued(&'a Action),
    /// The command is ended for want of time or of output: what everybody waited for.
    OutOfTime {
        /// Why.
        why: EndedBy,
        /// Of the command first, then of each process that it started.
        diagnoses: &'a [Diagnosis],
    },
    /// This signal is about to be sent, to end it.
    Sends(Signal),
    /// Who outlives the command and holds its output open.
    LeftBehind(&'a [Holder]),
    /// Something could not be done, and the supervisor goes on without.
    Trouble(&'a dyn std::error::Error),
}

/// Who is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The command.
    Command,
    /// Descendants, while the command itself lives on.
    Descendants,
}
