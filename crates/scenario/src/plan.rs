//! What each strategy does, as data: how the child is wired to its parent, and the parent's blocking steps.
//!
//! The capture library carries them out, the simulation foretells what comes of them; a trial compares the two.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::script::Stream;
use crate::strategy::Strategy;

/// A strategy's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the child's standard output and standard error are.
    pub wiring: Wiring,
    /// What its standard input is, where there are bytes to give.
    pub input: InputWiring,
    /// Who writes these bytes.
    pub feeding: Feeding,
    /// What the parent does after the spawn, in order; it exits after the last.
    pub steps: &'static [PlanStep],
}

/// What the child's output streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// A pipe each.
    Pipes(Room),
    /// One pipe for both.
    OnePipe(Room),
    /// A file or memory file each.
    Files,
    /// One terminal for both.
    Terminal,
    /// A Unix socket pair each.
    Sockets,
    /// `/dev/null`.
    Nothing,
    /// The parent's own, which a trial makes files.
    Inherited,
}

/// What the child's standard input is, where there are bytes to give. Without any it is `/dev/null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputWiring {
    /// A pipe.
    Pipe(Room),
    /// A Unix socket pair.
    Socket,
}

/// How much a strategy's pipe shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// What the kernel gives a new pipe.
    AsGiven,
    /// So many bytes, by `F_SETPIPE_SZ`; where that is refused, what the kernel gave.
    Grown(u64),
}

/// Who writes the child's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feeding {
    /// A thread with blocking writes, which nobody waits for.
    Thread,
    /// The loop that reads, without blocking; the simulation makes it a task of its own.
    Loop,
    /// A step of the plan.
    Step,
}

/// A blocking step of a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanStep {
    /// Writes all of standard input, and closes it.
    WriteStdin,
    /// Reads a stream to its end of file.
    ReadToEnd(Stream),
    /// Reads both streams, whichever is ready, until what [`AfterExit`] says.
    ReadBoth,
    /// Waits for the child's exit.
    AwaitExit,
    /// Looks for the child's exit, and sleeps, in turns.
    PollForExit,
}

/// What ends the reading of a safe strategy once the child has exited. A hazard reads to the end of file, always.
/// Its text form is that of `capture --end`: `eof`, `drain`, `grace=50ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum AfterExit {
    /// The end of file: every holder of the stream has closed it.
    EndOfFile,
    /// One drain until nothing is left.
    Drain,
    /// The end of file, or the end of a period after the exit, and one drain then.
    Grace {
        /// Milliseconds.
        ms: u64,
    },
}

impl fmt::Display for AfterExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfFile => f.write_str("eof"),
            Self::Drain => f.write_str("drain"),
            Self::Grace { ms } => write!(f, "grace={ms}ms"),
        }
    }
}

/// A text that says no end of reading.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown end {text:?}: write eof, drain, or a grace period in milliseconds, as in grace=50ms"
)]
pub struct UnknownEnd {
    text: String,
}

impl FromStr for AfterExit {
    type Err = UnknownEnd;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let period = text
            .strip_prefix("grace=")
            .and_then(|period| period.strip_suffix("ms"));
        match (text, period.and_then(|ms| ms.parse().ok())) {
            ("eof", _) => Ok(Self::EndOfFile),
            ("drain", _) => Ok(Self::Drain),
            (_, Some(ms)) => Ok(Self::Grace { ms }),
            (_, None) => Err(UnknownEnd {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for AfterExit {
    type Error = UnknownEnd;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AfterExit> for String {
    fn from(end: AfterExit) -> Self {
        end.to_string()
    }
}

/// The room that safe strategies ask for: larger gains nothing, and 64 pipes of 1 MiB use up a user's pages.
const AMPLE: Room = Room::Grown(256 << 10);

/// The most that a pipe may be grown to without privilege, unless the administrator changed it.
const MOST: Room = Room::Grown(1 << 20);

const READ_BOTH: &[PlanStep] = &[PlanStep::ReadBoth, PlanStep::AwaitExit];

const WAIT_THEN_READ: &[PlanStep] = &[
    PlanStep::AwaitExit,
    PlanStep::ReadToEnd(Stream::Stdout),
    PlanStep::ReadToEnd(Stream::Stderr),
];

impl Strategy {
    /// What it does.
    #[must_use]
    pub const fn plan(self) -> Plan {
        match self {
            Self::WaitThenRead => hazard(Room::AsGiven, Feeding::Thread, WAIT_THEN_READ),
            Self::BiggerPipeThenWait => hazard(MOST, Feeding::Thread, WAIT_THEN_READ),
            Self::PollExitThenRead => hazard(
                Room::AsGiven,
                Feeding::Thread,
                &[
                    PlanStep::PollForExit,
                    PlanStep::ReadToEnd(Stream::Stdout),
                    PlanStep::ReadToEnd(Stream::Stderr),
                ],
            ),
            Self::StdoutThenStderr => hazard(
                Room::AsGiven,
                Feeding::Thread,
                &[
                    PlanStep::ReadToEnd(Stream::Stdout),
                    PlanStep::ReadToEnd(Stream::Stderr),
                    PlanStep::AwaitExit,
                ],
            ),
            Self::WriteStdinThenRead => hazard(
                Room::AsGiven,
                Feeding::Step,
                &[
                    PlanStep::WriteStdin,
                    PlanStep::ReadBoth,
                    PlanStep::AwaitExit,
                ],
            ),
            Self::Threads | Self::Poll | Self::Epoll | Self::Tokio | Self::IoUring => {
                safe(Wiring::Pipes(AMPLE), READ_BOTH)
            }
            Self::Merged => safe(Wiring::OnePipe(AMPLE), READ_BOTH),
            Self::Pty => safe(Wiring::Terminal, READ_BOTH),
            Self::Socketpair => Plan {
                input: InputWiring::Socket,
                ..safe(Wiring::Sockets, READ_BOTH)
            },
            Self::TempFile | Self::Memfd => safe(Wiring::Files, WAIT_THEN_READ),
            Self::Discard => safe(Wiring::Nothing, &[PlanStep::AwaitExit]),
            Self::Inherit => safe(Wiring::Inherited, &[PlanStep::AwaitExit]),
        }
    }
}

const fn hazard(room: Room, feeding: Feeding, steps: &'static [PlanStep]) -> Plan {
    Plan {
        wiring: Wiring::Pipes(room),
        input: InputWiring::Pipe(Room::AsGiven),
        feeding,
        steps,
    }
}

const fn safe(wiring: Wiring, steps: &'static [PlanStep]) -> Plan {
    Plan {
        wiring,
        input: InputWiring::Pipe(AMPLE),
        feeding: Feeding::Loop,
        steps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{Delivery, Kind};

    #[test]
    fn an_end_of_reading_round_trips_through_its_text_and_any_other_text_is_refused() {
        for end in [
            AfterExit::EndOfFile,
            AfterExit::Drain,
            AfterExit::Grace { ms: 50 },
        ] {
            assert_eq!(end.to_string().parse(), Ok(end));
        }
        for text in [
            "",
            "EOF",
            "grace",
            "grace=",
            "grace=ms",
            "grace=-1ms",
            "grace=1s",
        ] {
            assert!(text.parse::<AfterExit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_plan_reads_what_its_strategy_delivers_and_a_hazard_waits_in_the_wrong_place() {
        for strategy in Strategy::ALL {
            let plan = strategy.plan();
            let reads = plan
                .steps
                .iter()
                .any(|step| matches!(step, PlanStep::ReadToEnd(_) | PlanStep::ReadBoth));
            let hands_on =
                strategy.delivery() != Delivery::Nothing && plan.wiring != Wiring::Inherited;
            assert_eq!(reads, hands_on, "{strategy}");
            let reads_both_at_once = plan.steps.first() == Some(&PlanStep::ReadBoth);
            let on_pipes = matches!(plan.wiring, Wiring::Pipes(_) | Wiring::OnePipe(_));
            assert_eq!(
                strategy.kind() == Kind::Hazard,
                on_pipes && !reads_both_at_once,
                "{strategy}"
            );
        }
    }
}
