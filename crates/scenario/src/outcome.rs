//! What came of a trial, and of many.

use std::fmt;

use pipeclog_waitgraph::report::{Kind, Report};
use pipeclog_waitgraph::snapshot::Untrusted;
use serde::{Deserialize, Serialize};

use crate::bound::Bound;
use crate::boundary::Boundary;
use crate::capacity::{Filled, Held};
use crate::claims::{Settled, Standing};
use crate::expect::Expect;
use crate::goals::Contest;
use crate::incidents::{self, ActedOut};
use crate::languages::Surveyed;
use crate::machine::Machine;
use crate::predict::{BlockedOn, Ending, Foretold, Found, Orders, Prediction, Who};
use crate::script::Stream;
use crate::strategy::Strategy;
use crate::throughput::{Samples, Throughput};

/// The version of the JSON form of [`Results`]; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 2;

/// What came of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// What it cost, where it ended by itself.
    pub measured: Option<Measured>,
    /// Bytes whose write(2) had completed, by chatty's own ledger.
    pub written: Written,
    /// Bytes that came out of the child's streams, by the parent's own report; nothing where it made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// Bytes that came out of the child's streams; where both are one, that is standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of standard output.
    pub stdout: u64,
    /// Of standard error.
    pub stderr: u64,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Verdict {
    /// The parent ended with the child's code, and every byte that it owed is there and right.
    Completed,
    /// The parent ended, and handed on a right beginning or end of each stream, as it was told to.
    CutShort {
        /// What it was told.
        by: Bound,
        /// What the parent said of it: deadline, limit, …
        why: String,
    },
    /// The parent ended, and bytes are missing, doubled, moved or wrong.
    Lost {
        /// The stream.
        stream: String,
        /// The first wrong offset, and what stands there.
        what: String,
    },
    /// The bytes are right and the parent's exit is not the child's.
    WrongExit {
        /// Of the child.
        expected: String,
        /// Of the parent.
        found: String,
    },
    /// A background child of the trial met a broken pipe (SIGPIPE, EPIPE): the parent closed its stream too early.
    Harmed {
        /// How it ended.
        what: String,
    },
    /// Nothing moved any more.
    Hung(Hang),
    /// This machine or build cannot run it.
    Skipped {
        /// What is missing.
        why: String,
    },
    /// The trial itself went wrong; it says nothing about the strategy.
    Broken {
        /// What was tried, and why it failed.
        why: String,
    },
}

/// What is known of a hang.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hang {
    /// What ended the wait.
    pub ended_by: EndedBy,
    /// Milliseconds from the start of the trial until then.
    pub after_ms: u64,
    /// Each task that was blocked at that moment, and in what.
    pub blocked: Vec<Blocked>,
    /// What the engine makes of the last looks: a verdict, and for a deadlock its checked certificate.
    pub diagnosis: Option<Box<Report>>,
}

/// What made the watchdog end a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// A checked certificate, by the diagnosis of the parent: a set of tasks that none outside it can wake.
    Proof,
    /// No task of the trial ran between looks, none was in a call with a timeout, and none was runnable.
    Quiescence,
    /// The child had exited, and a descendant of it that sleeps held what the parent waited for.
    LeaderGone,
    /// The parent came back from sleep after sleep, and the child stayed blocked in a write all the while.
    Polling,
    /// A deadlock that rests on assumptions, or a leak, by the diagnosis of each look for a while.
    Diagnosis,
    /// The bound on the trial. It proves nothing but that the bound was passed.
    Deadline,
}

/// A task that was blocked, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: Untrusted,
    /// What it was to the trial.
    pub role: Role,
    /// The system call, or the state where it is in none.
    pub call: String,
    /// The descriptor that it waits on.
    pub descriptor: Option<u32>,
    /// What the descriptor is, with its inode: `pipe:[4711]`.
    pub object: Option<String>,
    /// Processes that hold the other end, by number and name.
    pub holders: Vec<String>,
}

/// What a process is to its trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Captures.
    Parent,
    /// The leader: writes.
    Child,
    /// Started by the child, and lives on.
    Descendant,
}

/// What a trial cost. Times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// From the parent's spawn to its exit.
    pub wall_us: u64,
    /// The capture alone, as the parent timed it: from before the spawn of the child to its last byte and exit.
    pub capture_us: Option<u64>,
    /// User and system time of the parent.
    pub parent_cpu_us: Option<u64>,
    /// User and system time of the child.
    pub child_cpu_us: Option<u64>,
    /// Peak resident memory of the parent in KiB.
    pub parent_peak_kib: Option<u64>,
}

/// What the parent of a trial says of its own capture (`pipeclog capture --report FILE`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureReport {
    /// What ended the child, when the capture itself did; nothing if the child ended by itself.
    pub stopped: Option<String>,
    /// The child's standard output.
    pub stdout: StreamReport,
    /// The child's standard error.
    pub stderr: StreamReport,
    /// See [`Measured::capture_us`].
    pub capture_us: u64,
    /// See [`Measured::parent_cpu_us`].
    pub parent_cpu_us: u64,
    /// See [`Measured::child_cpu_us`].
    pub child_cpu_us: u64,
    /// See [`Measured::parent_peak_kib`].
    pub parent_peak_kib: u64,
}

/// What came of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReport {
    /// How it ended, in words.
    pub end: String,
    /// Bytes that came out of it.
    pub seen: u64,
    /// Bytes kept.
    pub kept: u64,
}

/// Bytes that chatty's writes had completed, and the write that was in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// To stdout.
    pub stdout: u64,
    /// To stderr.
    pub stderr: u64,
    /// The write(2) that had not come back.
    pub writing: Option<Writing>,
}

/// A write(2) in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writing {
    /// Where it goes.
    pub stream: Stream,
    /// The bytes that it was given.
    pub bytes: u64,
}

/// One cell of the table: a scenario under a strategy, what was expected, foretold and seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The scenario's name.
    pub scenario: String,
    /// Its name without its size.
    pub row: String,
    /// Its size, in bytes.
    pub size: Option<u64>,
    /// The strategy.
    pub strategy: Strategy,
    /// What the fixture says must come of it.
    pub expected: Expect,
    /// What the model foretold; nothing where the combination means nothing.
    pub predicted: Option<Prediction>,
    /// What came of it.
    pub outcome: Outcome,
}

/// The results of a run, as `--json` writes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// How much of a report was run; nothing where the trials were chosen by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// How much of the cells the model decided beforehand.
    #[serde(default)]
    pub foretold: Foretold,
    /// In the order of the fixtures.
    pub cells: Vec<Cell>,
    /// The bytes at which strategies begin to hang.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boundaries: Vec<Boundary>,
    /// What the kernel's own pipe holds, by write size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filled: Vec<Filled>,
    /// What smaller pipes and other transports hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// The claims of the post that it all began with, settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Settled>,
    /// The ways of other languages, under the cases of `pipeclog check`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<Surveyed>,
    /// Published incidents, acted out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<ActedOut>,
    /// What captures cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// What captures cost beside those of other crates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contest: Option<Contest>,
    /// Where all this was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

/// How much of a report is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Every scenario that is not slow, every write size and layout, enough rounds for small differences.
    Full,
    /// A part that shows the same in about a minute.
    Quick,
}

impl Results {
    /// The results of these trials, and of nothing else.
    #[must_use]
    pub fn of_cells(cells: Vec<Cell>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            effort: None,
            foretold: foretold(&cells),
            cells,
            boundaries: Vec::new(),
            filled: Vec::new(),
            held: Vec::new(),
            claims: Vec::new(),
            languages: Vec::new(),
            incidents: Vec::new(),
            throughput: None,
            contest: None,
            machine: None,
        }
    }

    /// Whether every trial came out as expected, every boundary as predicted, every experiment on a claim as its claim's
    /// verdict has it, every wrapper as it is known, and every measured capture right.
    #[must_use]
    pub fn all_as_expected(&self) -> bool {
        let cell_differs = |cell: &Cell| cell.agreement() == Agreement::Differs;
        let mut series = self
            .throughput
            .iter()
            .flat_map(|throughput| &throughput.series);
        !self.cells.iter().any(cell_differs)
            && self.boundaries.iter().all(Boundary::agrees)
            && !self
                .claims
                .iter()
                .any(|settled| settled.standing() == Standing::Differs)
            && self.languages.iter().all(Surveyed::is_as_known)
            && !self
                .incidents
                .iter()
                .any(|acted| acted.standing() == incidents::Standing::Differs)
            && !series.any(|series| matches!(series.measured, Samples::Failed { .. }))
    }
}

/// How much of these cells the model decided beforehand.
#[must_use]
pub fn foretold(cells: &[Cell]) -> Foretold {
    let predictions = cells.iter().filter_map(|cell| cell.predicted.as_ref());
    predictions.collect()
}

/// Whether a cell is what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// As expected.
    Agrees,
    /// Not run here; the reason is in the verdict.
    Skipped,
    /// Not as expected.
    Differs,
}

/// A minute: no trial lasts as long.
const LONG_US: u64 = 60_000_000;

impl Cell {
    /// Whether what came is what was expected, and what was foretold.
    #[must_use]
    pub fn agreement(&self) -> Agreement {
        if matches!(self.outcome.verdict, Verdict::Skipped { .. }) {
            Agreement::Skipped
        } else if self.is_as_expected() && self.contradiction().is_none() {
            Agreement::Agrees
        } else {
            Agreement::Differs
        }
    }

    fn is_as_expected(&self) -> bool {
        match (&self.expected, &self.outcome.verdict) {
            (Expect::Completes, Verdict::Completed)
            | (Expect::CutShort, Verdict::CutShort { .. })
            | (Expect::Harms, Verdict::Harmed { .. }) => true,
            (Expect::Hangs(expected), Verdict::Hung(hang)) => {
                expected.contradiction(hang).is_none()
            }
            (
                Expect::Completes
                | Expect::CutShort
                | Expect::Harms
                | Expect::Hangs(_)
                | Expect::NotApplicable { .. },
                Verdict::Completed
                | Verdict::CutShort { .. }
                | Verdict::Lost { .. }
                | Verdict::WrongExit { .. }
                | Verdict::Harmed { .. }
                | Verdict::Hung(_)
                | Verdict::Skipped { .. }
                | Verdict::Broken { .. },
            ) => false,
        }
    }

    /// How what came contradicts what was foretold, in words; nothing if it is among the outcomes that were foretold, or nothing was.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let prediction = self.predicted.as_ref()?;
        let Prediction::Outcomes { outcomes, orders } = prediction else {
            return None;
        };
        let among = *orders == Orders::Incomplete
            || outcomes.iter().any(|found| self.outcome.is_as_in(found));
        (!among).then(|| format!("foretold: {prediction}"))
    }
}

impl Outcome {
    /// Whether this is what was found, as far as that can be seen from outside.
    fn is_as_in(&self, found: &Found) -> bool {
        match (found.ending, &self.verdict) {
            (_, Verdict::Skipped { .. } | Verdict::Broken { .. }) => true,
            // Later than the trial could wait for is never.
            (Ending::Completes { after_us }, Verdict::Hung(_)) => after_us > LONG_US,
            (Ending::Completes { .. }, Verdict::Completed) => self.has_seen(found),
            // The parent ended, and that it ended wrongly is told from what is expected.
            (
                Ending::Completes { .. },
                Verdict::Lost { .. } | Verdict::WrongExit { .. } | Verdict::Harmed { .. },
            ) => true,
            (Ending::CutShort { by }, Verdict::CutShort { by: seen, .. }) => {
                by.is_none_or(|by| by == *seen) && self.has_seen(found)
            }
            (Ending::Completes { .. }, Verdict::CutShort { .. }) | (Ending::CutShort { .. }, _) => {
                false
            }
            (
                Ending::ArtificialDeadlock
                | Ending::TrueDeadlock
                | Ending::PollsForEver
                | Ending::Leaks
                | Ending::Waits { .. }
                | Ending::Endless,
                Verdict::Hung(hang),
            ) => hang.may_be(found.ending) && !self.written.contradict(found),
            (
                Ending::ArtificialDeadlock
                | Ending::TrueDeadlock
                | Ending::PollsForEver
                | Ending::Leaks
                | Ending::Waits { .. }
                | Ending::Endless,
                _,
            ) => false,
        }
    }

    /// Whether as many bytes came out of each stream as were found to, where both are known.
    fn has_seen(&self, found: &Found) -> bool {
        let same = |found: Option<u64>, seen: fn(&Seen) -> u64| match (found, &self.seen) {
            (Some(found), Some(all)) => found == seen(all),
            (None, _) | (_, None) => true,
        };
        same(found.stdout_bytes, |seen| seen.stdout) && same(found.stderr_bytes, |seen| seen.stderr)
    }
}

impl Hang {
    /// Whether what is proven of it fits how it was foretold to end.
    fn may_be(&self, ending: Ending) -> bool {
        match ending {
            Ending::ArtificialDeadlock => self.kind() != Some(Kind::True),
            Ending::TrueDeadlock => self.kind() != Some(Kind::Artificial),
            // No leak is a proof, and a parent that polls is never blocked for good.
            Ending::Leaks | Ending::PollsForEver => self.ended_by != EndedBy::Proof,
            Ending::Waits { .. }
            | Ending::Endless
            | Ending::Completes { .. }
            | Ending::CutShort { .. } => true,
        }
    }

    /// Of a proven deadlock: whether a bigger buffer would cure it.
    fn kind(&self) -> Option<Kind> {
        self.diagnosis
            .as_ref()
            .filter(|_| self.ended_by == EndedBy::Proof)?
            .deadlock
    }
}

impl Written {
    /// Whether the byte at which the child was foretold to block lies outside the write that it blocked in.
    fn contradict(&self, found: &Found) -> bool {
        found
            .blocked
            .iter()
            .any(|blocked| match (blocked.who, &blocked.on) {
                (
                    Who::Child,
                    BlockedOn::Write {
                        stream, at_byte, ..
                    },
                ) => {
                    let Some(stream) = stream.output() else {
                        return false;
                    };
                    let completed = match stream {
                        Stream::Stdout => self.stdout,
                        Stream::Stderr => self.stderr,
                    };
                    let writing = self.writing.filter(|writing| writing.stream == stream);
                    match writing {
                        Some(writing) => !(completed..completed + writing.bytes).contains(at_byte),
                        // It waits for room in poll(2).
                        None => *at_byte != completed,
                    }
                }
                _ => false,
            })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completes"),
            Self::CutShort { why, .. } => write!(f, "cut short: {why}"),
            Self::Lost { stream, what } => write!(f, "loses bytes of {stream}: {what}"),
            Self::WrongExit { expected, found } => {
                write!(f, "wrong exit: {found}, where the child's was {expected}")
            }
            Self::Harmed { what } => write!(f, "harms a background child: {what}"),
            Self::Hung(hang) => hang.fmt(f),
            Self::Skipped { why } => write!(f, "skipped: {why}"),
            Self::Broken { why } => write!(f, "the trial broke: {why}"),
        }
    }
}

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended_by {
            EndedBy::Proof => write!(f, "deadlocks, proven after {} ms", self.after_ms)?,
            EndedBy::Quiescence | EndedBy::Diagnosis => {
                write!(f, "hangs (seen after {} ms)", self.after_ms)?
            }
            EndedBy::LeaderGone => {
                write!(
                    f,
                    "hangs after the child's exit (seen after {} ms)",
                    self.after_ms
                )?;
            }
            EndedBy::Polling => {
                write!(f, "hangs while it polls (seen after {} ms)", self.after_ms)?
            }
            EndedBy::Deadline => write!(f, "hangs (until the deadline of {} ms)", self.after_ms)?,
        }
        if let Some(diagnosis) = &self.diagnosis {
            return write!(f, "; {}", diagnosis.headline);
        }
        for blocked in &self.blocked {
            write!(f, "; {blocked}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Parent => "parent",
            Role::Child => "child",
            Role::Descendant => "descendant",
        };
        write!(
            f,
            "{role} {} ({}) in {}",
            self.comm.escaped(),
            self.pid,
            self.call
        )?;
        if let Some(descriptor) = self.descriptor {
            write!(f, " on descriptor {descriptor}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ", {object}")?;
        }
        if !self.holders.is_empty() {
            write!(f, ", other end held by {}", self.holders.join(" and "))?;
        }
        Ok(())
    }
}
