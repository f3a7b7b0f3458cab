//! The cases that `pipeclog check` puts to a wrapper that is not ours, and what came of each.
//!
//! A wrapper runs the command in its arguments, captures both of its streams with the code under test, writes what it has
//! captured to its own stdout and stderr, and exits with the command's code. Three laws judge it in every case: no hang, no
//! loss, no harm to a background child. What a wrapper cannot do it declares, and a case that needs it is shown as not
//! applicable, never as passed.

pub mod edge;
mod finding;
mod known;
mod read;
mod wrapper;

pub use finding::{Checked, Conformance, Finding, FindingName, SCHEMA_VERSION, Standing};
pub use known::{Expectations, Expected, Known, UnknownOutcome};
pub use read::{CaseError, read_cases};
pub use wrapper::Wrapper;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scenario::Descendants;
use crate::script::{Input, Op, Script, Size};

/// One case: what the child does, how the wrapper is started, and what the wrapper owes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name, stable over versions: expectations of failures name it.
    pub id: String,
    /// The file it is from: what the case is about in one word.
    pub group: String,
    /// How much it matters.
    pub level: Level,
    /// What happens in it, in one line.
    pub title: String,
    /// Why it is asked.
    pub reason: String,
    /// Where a real project broke it, or where it is written down.
    pub references: Vec<String>,
    /// What the wrapper runs.
    pub child: Child,
    /// Bytes of pattern on the wrapper's stdin, which it gives to the command; nothing means `/dev/null`.
    pub stdin: Option<Size>,
    /// What becomes of descendants that outlive the wrapper.
    pub descendants: Descendants,
    /// What it takes beyond what follows from the child, the stdin and the orders.
    pub needs: BTreeSet<Capability>,
    /// The state in which the wrapper is started.
    pub start: Start,
    /// What the wrapper is told.
    pub orders: Orders,
    /// The bytes that it owes.
    pub output: Output,
    /// The exit code that it owes.
    pub exit: Exit,
    /// Whether the wrapper is watched for using the processor while the child sleeps.
    pub idle: bool,
}

/// How much a case matters, as in RFC 2119.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A wrapper that fails it hangs, loses or lies.
    Must,
    /// There may be reasons to fail it; whoever does so should know them.
    Should,
    /// Good manners.
    May,
}

/// What the wrapper runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Child {
    /// The chatty child, by this script.
    Script(Script),
    /// A program that tells what it was started with; one thing of that is asked.
    Probe(Question),
    /// A path at which there is no program.
    Missing,
}

/// What is asked of the state in which a wrapper starts its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Whether it holds descriptors beside 0, 1 and 2 that are none of its business.
    Descriptors,
    /// Whether 0, 1 and 2 are open.
    Stdio,
    /// Whether 0, 1 and 2 block.
    Blocking,
    /// Whether SIGPIPE has its default.
    Sigpipe,
    /// Whether no signal is blocked.
    SignalMask,
    /// Whether the wrapper has reaped it before it exits itself.
    Reaped,
}

/// What a wrapper can do, and may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Gives its own stdin to the command.
    Stdin,
    /// Hands on the command's stderr.
    Stderr,
    /// Keeps stdout and stderr apart. One that merges them (`2>&1`) writes both to its stdout.
    Separate,
    /// Hands on the command's exit code; one that cannot says 0 or not 0.
    Exit,
    /// Hands on any bytes, not only text.
    Bytes,
    /// Takes a timeout (`--timeout-arg`).
    Timeout,
    /// Takes a limit on the bytes it keeps (`--limit-arg`).
    Limit,
    /// Goes on with the same capture after a timeout (`--resume-arg`).
    Resume,
}

/// The state in which a wrapper is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// 0, 1 and 2 are open, every signal has its default.
    #[default]
    Usual,
    /// Descriptor 0 is closed, so that the first pipe may get its number.
    StdinClosed,
    /// SIGCHLD is ignored, so that the kernel reaps children itself, as under some daemons.
    SigchldIgnored,
}

/// What the wrapper is told, in its own options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Seconds after which it is to give up on the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Bytes of each stream that it is to keep at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Size>,
    /// Seconds after which its capture is to time out once, and to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_s: Option<u64>,
}

/// The bytes that a wrapper owes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// All that the command wrote, and nothing else.
    #[default]
    Whole,
    /// A right beginning of each stream, however short.
    Beginning,
    /// A right beginning, with all that the command had written when it was given up.
    Written,
    /// Not asked.
    Any,
}

/// The exit code that a wrapper owes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The command's, or 128 and the number of the signal that ended it.
    #[default]
    Same,
    /// Any that is not 0.
    Failure,
    /// 127, as shells have it for a command that was not found.
    NotFound,
    /// Not asked.
    Any,
}

impl Level {
    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

impl Capability {
    /// Every one, for lists and for completion.
    pub const ALL: [Self; 8] = [
        Self::Stdin,
        Self::Stderr,
        Self::Separate,
        Self::Exit,
        Self::Bytes,
        Self::Timeout,
        Self::Limit,
        Self::Resume,
    ];

    /// Its name, as `--without` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdin => "stdin",
            Self::Stderr => "stderr",
            Self::Separate => "separate",
            Self::Exit => "exit",
            Self::Bytes => "bytes",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::Resume => "resume",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Case {
    /// A case that no file has: the wrapper runs this script, in the usual state and without orders, and owes all that comes of it.
    #[must_use]
    pub fn of_script(id: impl Into<String>, script: Script) -> Self {
        Self {
            id: id.into(),
            group: "of its own".to_owned(),
            level: Level::Must,
            title: String::new(),
            reason: String::new(),
            references: Vec::new(),
            child: Child::Script(script),
            stdin: None,
            descendants: Descendants::Killed,
            needs: BTreeSet::new(),
            start: Start::Usual,
            orders: Orders::default(),
            output: Output::Whole,
            exit: Exit::Same,
            idle: false,
        }
    }

    /// All that a wrapper must be able to do for the case to mean something.
    #[must_use]
    pub fn required(&self) -> BTreeSet<Capability> {
        let mut required = self.needs.clone();
        let mut add = |needed: bool, capability| {
            if needed {
                required.insert(capability);
            }
        };
        add(self.stdin.is_some(), Capability::Stdin);
        add(self.orders.timeout_s.is_some(), Capability::Timeout);
        add(self.orders.limit.is_some(), Capability::Limit);
        add(self.orders.resume_s.is_some(), Capability::Resume);
        add(self.exit == Exit::NotFound, Capability::Exit);
        required
    }

    /// Bytes on the child's stdin.
    #[must_use]
    pub fn stdin_len(&self) -> u64 {
        self.stdin.map_or(0, |size| size.0)
    }

    /// The larger of the two streams, in bytes, as far as the script has an end.
    #[must_use]
    pub fn largest_stream(&self) -> u64 {
        self.script().map_or(0, |script| {
            let expected = script.expected(Input::Pattern(self.stdin_len()));
            let stdout = expected.stdout + expected.background_stdout;
            let stderr = expected.stderr + expected.background_stderr;
            stdout.max(stderr)
        })
    }

    /// What the chatty child does, if it is the child.
    #[must_use]
    pub fn script(&self) -> Option<&Script> {
        match &self.child {
            Child::Script(script) => Some(script),
            Child::Probe(_) | Child::Missing => None,
        }
    }

    /// Whether the child leaves somebody in the background, who must come to no harm.
    #[must_use]
    pub fn has_background(&self) -> bool {
        let starts = |script: &Script| script.ops.iter().any(|op| matches!(op, Op::Background(_)));
        self.script().is_some_and(starts)
    }
}
