//! From a diagnosis to what could be done about it: pure.
//!
//! The one rule of what may be done on which evidence, for every command:
//!
//! - Nothing without a certificate that the checker has passed, of a deadlock that a full channel is part of.
//! - A channel is made larger on any such certificate, be it that it rests on assumptions ([`Plan::assumptions`], which are told first): it
//!   takes no byte out, stops nobody, and wakes none but who waits for room there. Where an assumption is wrong, a buffer is larger than it had
//!   to be.
//! - A pipe goes to disk on a strict certificate alone ([`Plan::may_spool`]): readers are stopped for it and bytes held back, and one more
//!   reader, whom an assumption left out, would get them out of order.
//!
//! `--close-leaked` is another matter ([`crate::close_leaked`]): a leak has no certificate, so that it is done on request alone.

use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::check::Proof;
use pipeclog_waitgraph::report::Kind;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};
use pipeclog_waitgraph::{Diagnosis, Verdict, diagnose};

/// The full channels of a certified artificial deadlock, and a way to each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The certificate that it stands on.
    pub proof: Proof,
    /// One for each full channel that can be made larger.
    pub candidates: Vec<Candidate>,
    /// The deadlock in one sentence, safe for a terminal.
    pub headline: String,
    /// What the certificate takes for granted, in sentences, safe for a terminal; none of a strict one.
    pub assumptions: Vec<String>,
}

impl Plan {
    /// Whether readers may be stopped and bytes taken out on this evidence.
    #[must_use]
    pub fn may_spool(&self) -> bool {
        self.proof.is_strict()
    }
}

/// A full channel, by a descriptor of a process that waits for room in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who waits.
    pub pid: Pid,
    /// Its descriptor.
    pub fd: u32,
    /// The channel.
    pub channel: Channel,
}

/// Why nothing is done. The text says what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no deadlock, or none that is certified.
    #[error(
        "failed to rescue process {pid}: no deadlock is certified of it ({headline}); nothing was changed"
    )]
    NotDeadlocked {
        /// Of whom.
        pid: Pid,
        /// What it is instead.
        headline: String,
    },
    /// Every channel in the deadlock is empty.
    #[error(
        "failed to rescue process {pid}: it is a true deadlock, in which every channel is empty, so no buffer helps ({headline}); \
         the cure: {cure}"
    )]
    True {
        /// Of whom.
        pid: Pid,
        /// The deadlock.
        headline: String,
        /// What helps.
        cure: String,
    },
    /// It does not show whether a channel is full.
    #[error(
        "failed to rescue process {pid}: it does not show whether a channel of the deadlock is full ({headline}); the cure: {cure}"
    )]
    Undetermined {
        /// Of whom.
        pid: Pid,
        /// The deadlock.
        headline: String,
        /// What helps.
        cure: String,
    },
    /// The full channels are of a kind that has no size to set.
    #[error(
        "failed to rescue process {pid}: what is full is {channel}, whose size cannot be changed ({headline}); the cure: {cure}"
    )]
    NotGrowable {
        /// Of whom.
        pid: Pid,
        /// The channel.
        channel: Channel,
        /// The deadlock.
        headline: String,
        /// What helps.
        cure: String,
    },
}

/// Below it is everybody.
pub(crate) const FIRST: Pid = Pid(1);

/// What could be done for `target`, or for those below it that are deadlocked while it lives on; of process 1 for itself alone.
///
/// # Errors
/// A [`Refusal`] where nothing can be done.
pub fn plan(looks: &[Snapshot], target: Pid) -> Result<Plan, Refusal> {
    let own = diagnose(looks, target);
    if matches!(own.verdict(), Verdict::Deadlocked { .. }) {
        return of(&own);
    }
    // Below the first process is everybody: whoever names it has named nobody. It may hang itself, in a container.
    if target == FIRST {
        return of(&own);
    }
    let below = own.report().beside.iter();
    // A report is no proof; only a diagnosis of its own gives one.
    below
        .map(|report| diagnose(looks, report.target.task.pid))
        .find(|diagnosis| matches!(diagnosis.verdict(), Verdict::Deadlocked { .. }))
        .map_or_else(|| of(&own), |diagnosis| of(&diagnosis))
}

/// What could be done about one diagnosis.
///
/// # Errors
/// A [`Refusal`] where nothing can be done.
pub fn of(diagnosis: &Diagnosis) -> Result<Plan, Refusal> {
    let report = diagnosis.report();
    let (pid, headline) = (report.target.task.pid, report.headline.clone());
    let cure = report
        .fix
        .as_ref()
        .map_or_else(|| "change the program".to_owned(), |fix| fix.advice.clone());
    let Verdict::Deadlocked { proof, kind } = diagnosis.verdict() else {
        return Err(Refusal::NotDeadlocked { pid, headline });
    };
    match kind {
        Kind::Artificial => {}
        Kind::True => {
            return Err(Refusal::True {
                pid,
                headline,
                cure,
            });
        }
        Kind::Undetermined => {
            return Err(Refusal::Undetermined {
                pid,
                headline,
                cure,
            });
        }
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut other = None;
    for member in &proof.certificate().members {
        for awaited in member.awaited.iter().filter(|a| a.what.shows_full()) {
            let (Some(channel), Some(fd)) = (awaited.what.channel(), awaited.fd) else {
                continue;
            };
            match channel {
                Channel::Pipe { .. } | Channel::Fifo { .. } | Channel::Socket { .. } => {
                    if candidates.iter().all(|known| known.channel != *channel) {
                        candidates.push(Candidate {
                            pid: member.task.pid,
                            fd,
                            channel: channel.clone(),
                        });
                    }
                }
                Channel::Pty { .. } | Channel::Eventfd { .. } => other = Some(channel.clone()),
            }
        }
    }
    match (candidates.is_empty(), other) {
        (true, Some(channel)) => Err(Refusal::NotGrowable {
            pid,
            channel,
            headline,
            cure,
        }),
        (true, None) => Err(Refusal::Undetermined {
            pid,
            headline,
            cure,
        }),
        (false, _) => Ok(Plan {
            proof: proof.clone(),
            candidates,
            headline,
            assumptions: report
                .assumptions
                .iter()
                .map(|assumed| assumed.text.clone())
                .collect(),
        }),
    }
}
