//! A diagnosis as plain data: what every output format shows, and what is kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::awaited::Assumption;
use crate::certificate::Certificate;
use crate::channel::Channel;
use crate::class::Class;
use crate::fixes::Language;
use crate::snapshot::{Gap, Peek, Pid};
use crate::untrusted::Untrusted;
use crate::world::TaskId;

/// The version of the report's JSON form; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// The JSON schema (draft 2020-12) of what [`crate::render::json`] writes of a [`Report`]: every field of it is required.
#[cfg(feature = "schema")]
pub fn schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings
        .into_generator()
        .into_root_schema_for::<Report>()
        .to_value()
}

/// A diagnosis, as plain data. Reading one back proves nothing: only [`crate::check::check`] does, on the looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// What is the matter.
    pub verdict: VerdictName,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it comes to, with all that is told beside it: the exit code says the same.
    pub finding: Finding,
    /// Of a deadlock: whether a bigger buffer would cure it.
    pub deadlock: Option<Kind>,
    /// Its class.
    pub class: Option<Class>,
    /// Other classes that the same facts fit.
    pub related: Vec<Class>,
    /// The verdict in one sentence, safe for a terminal.
    pub headline: String,
    /// What was asked about.
    pub target: Actor,
    /// Who takes part: the loop in its order first, then whoever else is stuck with it.
    pub members: Vec<ReportMember>,
    /// Who must change.
    pub culprit: Option<Culprit>,
    /// The way out.
    pub fix: Option<Fix>,
    /// What was inside their channels; empty unless that was asked for by name.
    pub inside: Vec<Inside>,
    /// What a `probable` verdict takes for granted, in sentences.
    pub assumptions: Vec<Assumed>,
    /// What every verdict takes for granted, in sentences.
    pub closed_world: Vec<String>,
    /// What could not be read and matters here.
    pub gaps: Vec<Gap>,
    /// Deadlocks and leaks among the target's descendants that are not its own.
    pub beside: Vec<Report>,
    /// How many looks this stands on.
    pub looks: usize,
    /// From the first look to the last, in milliseconds: so long nobody of the members moved.
    pub observed_ms: u64,
    /// The checked certificate of a deadlock.
    pub certificate: Option<Certificate>,
}

/// Verdicts, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VerdictName {
    /// No task of a set can be woken by any task outside it.
    Deadlocked,
    /// An end of file does not come, because of a holder that was never meant to have the end.
    Leaked,
    /// A live reader does not read.
    Stalled,
    /// All hangs on somebody stopped, traced or frozen.
    Stopped,
    /// On a live process, a timer or the outside.
    Waiting,
    /// It moves.
    Progressing,
    /// The evidence does not suffice; the gaps say what is missing.
    Unproven,
}

/// What a diagnosis comes to, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing is stuck for good, as far as was seen.
    Nothing,
    /// The evidence does not suffice.
    Incomplete,
    /// A probable deadlock, a leak, a stall.
    Suspected,
    /// A proven deadlock.
    Proven,
}

/// How sure a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// It follows from what was read, in the closed world that is printed with it.
    Proven,
    /// It follows if the assumptions hold that are listed with it.
    Probable,
    /// It says what was seen, and claims nothing about what will be.
    Observed,
}

/// Kinds of deadlock (Parks 1995).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// With a full channel in it: a bigger buffer would cure it.
    Artificial,
    /// With every channel empty: no buffer helps.
    True,
    /// An edge-triggered set does not show whether its channels are full.
    Undetermined,
}

/// A task, as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Actor {
    /// Its numbers.
    pub task: TaskId,
    /// Start time of its process in clock ticks since boot.
    pub start_ticks: u64,
    /// What the process is called.
    pub name: Untrusted,
    /// The thread's own name, where it is not the process's first.
    pub thread: Option<Untrusted>,
    /// The arguments of the process.
    pub command: Vec<Untrusted>,
    /// How long the process has lived, in milliseconds.
    pub age_ms: u64,
}

/// Somebody who takes part, and what he waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportMember {
    /// Who.
    pub actor: Actor,
    /// Whether he is part of the loop that the headline tells.
    pub in_loop: bool,
    /// The system call.
    pub call: String,
    /// The descriptor it waits on.
    pub fd: Option<u32>,
    /// What that descriptor is to the process: `stdin`, `stdout`, `stderr`, `stdout and stderr`.
    pub stream: Option<String>,
    /// The channel behind it.
    pub channel: Option<Channel>,
    /// What he waits for, in words: a fragment that goes on after the name.
    pub waits: String,
    /// Who could wake him.
    pub wakers: BTreeSet<TaskId>,
}

/// Who must change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Culprit {
    /// Who.
    pub actor: Actor,
    /// Why he: a sentence.
    pub why: String,
    /// Ends that he holds and does nothing with.
    pub holds: Vec<Held>,
}

/// An end that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Held {
    /// The channel.
    pub channel: Channel,
    /// Who holds it.
    pub pid: Pid,
    /// Under which numbers.
    pub fds: BTreeSet<u32>,
}

/// What was inside a channel of those who take part: known only if it was looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inside {
    /// The channel.
    pub channel: Channel,
    /// What the kernel said of it. A pair of sockets has two, one for each direction.
    pub peek: Peek,
}

/// The way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fix {
    /// In whose language it is written.
    pub language: Language,
    /// What to do.
    pub advice: String,
    /// What many do, and why it hangs again.
    pub wrong_fix: Option<String>,
}

/// An assumption with its sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Assumed {
    /// In words.
    pub text: String,
    /// As data.
    pub assumption: Assumption,
}

impl Report {
    /// Whether more looks could not make the verdict any stronger.
    pub fn is_settled(&self) -> bool {
        match self.verdict {
            VerdictName::Deadlocked => self.confidence == Confidence::Proven,
            VerdictName::Leaked | VerdictName::Stalled | VerdictName::Stopped => true,
            VerdictName::Waiting | VerdictName::Progressing | VerdictName::Unproven => false,
        }
    }

    /// This report and those beside it, the gravest first; among equals its own comes first.
    pub fn by_gravity(&self) -> Vec<&Self> {
        let mut all: Vec<&Self> = std::iter::once(self).chain(&self.beside).collect();
        all.sort_by_key(|report| std::cmp::Reverse(report.own_finding()));
        all
    }

    /// Those who must change, here and beside it.
    pub fn culprits(&self) -> BTreeSet<Pid> {
        let own = self.culprit.iter().map(|culprit| culprit.actor.task.pid);
        own.chain(self.beside.iter().flat_map(Self::culprits))
            .collect()
    }

    /// The channels on which those who take part wait, here and beside it.
    pub fn channels(&self) -> BTreeSet<Channel> {
        let own = self.members.iter().filter(|member| member.in_loop);
        let own = own.filter_map(|member| member.channel.clone());
        own.chain(self.beside.iter().flat_map(Self::channels))
            .collect()
    }

    fn own_finding(&self) -> Finding {
        Finding::of(self.verdict, self.confidence)
    }
}

impl Finding {
    /// What a verdict by itself comes to.
    pub fn of(verdict: VerdictName, confidence: Confidence) -> Self {
        match (verdict, confidence) {
            (VerdictName::Deadlocked, Confidence::Proven) => Self::Proven,
            (VerdictName::Deadlocked | VerdictName::Leaked | VerdictName::Stalled, _) => {
                Self::Suspected
            }
            (VerdictName::Unproven, _) => Self::Incomplete,
            (VerdictName::Stopped | VerdictName::Waiting | VerdictName::Progressing, _) => {
                Self::Nothing
            }
        }
    }
}

impl VerdictName {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deadlocked => "deadlock",
            Self::Leaked => "leak",
            Self::Stalled => "stall",
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Progressing => "progressing",
            Self::Unproven => "unproven",
        }
    }
}

impl Confidence {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Probable => "probable",
            Self::Observed => "observed",
        }
    }
}
