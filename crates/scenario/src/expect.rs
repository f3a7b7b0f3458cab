//! What must come of a trial, down to what the engine must say of a hang.

use std::fmt;

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::report::{Confidence, Report, VerdictName};
use serde::{Deserialize, Serialize};

use crate::outcome::{EndedBy, Hang};
use crate::shape::Shape;

/// What must come of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", deny_unknown_fields)]
pub enum Expect {
    /// The parent exits with the child's code and hands on every byte that the strategy delivers.
    Completes,
    /// The parent ends in bounded time, and what it hands on is a right beginning or end of each stream.
    CutShort,
    /// The parent ends, and a background child of the trial meets a broken pipe.
    Harms,
    /// Nothing moves any more.
    Hangs(ExpectedHang),
    /// The combination means nothing, and is not run.
    NotApplicable {
        /// Why.
        why: String,
    },
}

/// A hang, and what the engine must say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedHang {
    /// Which hang it is, as a slug of `pipeclog explain`.
    pub class: Class,
    /// What the engine can tell of it.
    pub told: Told,
    /// The class that the engine names, where the processes do not show which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineClass>,
    /// Who must wait for whom, where that was seen elsewhere and is acted out; any will do if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
}

/// The class that the engine names for a hang of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineClass {
    /// The class that is right for what it sees.
    pub class: Class,
    /// What it does not see.
    pub why: String,
}

/// What the engine can tell of a hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// A deadlock that the parent is in, which needs no assumption.
    Proven,
    /// A deadlock that the parent is in, if what is listed with it holds (nobody else opens the FIFO).
    Probable,
    /// A deadlock that the parent is in, proven or probable: it waits for something whose proof hangs on what else the
    /// machine does at that moment.
    Deadlocked,
    /// A deadlock among the parent's descendants, while the parent itself may move: it polls, or what it waits for
    /// cannot be read.
    Beside,
    /// A leak.
    Leaked,
    /// A stall: over many looks nobody read.
    Stalled,
    /// All hangs on somebody stopped.
    Stopped,
    /// A wait and no more: whatever it waits for may come.
    Waiting,
    /// Nothing but that the parent moves, or is about to: which of them is a matter of the instant.
    Alive,
}

impl Told {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::Proven,
        Self::Probable,
        Self::Deadlocked,
        Self::Beside,
        Self::Leaked,
        Self::Stalled,
        Self::Stopped,
        Self::Waiting,
        Self::Alive,
    ];

    /// The finding of a report that this is, if it is there.
    fn finding(self, report: &Report) -> Option<&Report> {
        let is_deadlock = |report: &Report, confidence| {
            report.verdict == VerdictName::Deadlocked && report.confidence == confidence
        };
        let moves = matches!(
            report.verdict,
            VerdictName::Waiting | VerdictName::Progressing
        );
        let fits = match self {
            Self::Proven => is_deadlock(report, Confidence::Proven),
            Self::Probable => is_deadlock(report, Confidence::Probable),
            Self::Deadlocked => report.verdict == VerdictName::Deadlocked,
            Self::Beside => {
                let deadlocked =
                    |beside: &&Report| beside.verdict == VerdictName::Deadlocked && moves;
                return report.beside.iter().find(deadlocked);
            }
            Self::Leaked => report.verdict == VerdictName::Leaked,
            Self::Stalled => report.verdict == VerdictName::Stalled,
            Self::Stopped => report.verdict == VerdictName::Stopped,
            Self::Waiting => report.verdict == VerdictName::Waiting && report.beside.is_empty(),
            Self::Alive => moves && report.beside.is_empty(),
        };
        fits.then_some(report)
    }
}

impl ExpectedHang {
    /// A hang of `class`, which the engine names so.
    #[must_use]
    pub fn new(class: Class, told: Told) -> Self {
        Self {
            class,
            told,
            engine: None,
            shape: None,
        }
    }

    /// How what the engine said differs from what it must say, in words; nothing if it does not.
    #[must_use]
    pub fn contradiction(&self, hang: &Hang) -> Option<String> {
        let Some(report) = &hang.diagnosis else {
            return Some("nobody looked at it".to_owned());
        };
        let found = || {
            let beside: Vec<String> = report.beside.iter().map(in_words).collect();
            format!("the engine says {}, beside it {beside:?}", in_words(report))
        };
        // Cut off while it moved: a bound was passed, and nothing says that it stood still.
        if report.verdict == VerdictName::Progressing && hang.ended_by == EndedBy::Deadline {
            return Some(found());
        }
        let Some(finding) = self.told.finding(report) else {
            return Some(found());
        };
        let class = self
            .engine
            .as_ref()
            .map_or(self.class, |engine| engine.class);
        let is_named = self.told == Told::Alive || finding.class == Some(class);
        // A proof ends a trial at once, and nothing else is called one.
        let is_proven =
            report.verdict == VerdictName::Deadlocked && report.confidence == Confidence::Proven;
        let ended_by_proof = hang.ended_by == EndedBy::Proof;
        if !is_named || ended_by_proof != is_proven {
            return Some(found());
        }
        let shape = self.shape.as_ref()?;
        let seen = Shape::of(finding);
        // The parent of the trial may stand before those whose shape is meant.
        let is_same = seen.is_like(shape) || Shape::below_target(finding).is_like(shape);
        (!is_same).then(|| format!("another wait-for graph: {seen}; expected: {shape}"))
    }
}

fn in_words(report: &Report) -> String {
    let class = report.class.map_or("no class", Class::slug);
    format!(
        "{}, {}, {class}",
        report.verdict.word(),
        report.confidence.word()
    )
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completes => f.write_str("completes"),
            Self::CutShort => f.write_str("is cut short"),
            Self::Harms => f.write_str("harms a background child"),
            Self::Hangs(expected) => expected.fmt(f),
            Self::NotApplicable { why } => write!(f, "not run: {why}"),
        }
    }
}

impl fmt::Display for ExpectedHang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hangs ({}", self.class.slug())?;
        if let Some(engine) = &self.engine {
            write!(f, ", which the engine calls {}", engine.class.slug())?;
        }
        let told = match self.told {
            Told::Proven => "a proven deadlock",
            Told::Probable => "a probable deadlock",
            Told::Deadlocked => "a deadlock",
            Told::Beside => "a deadlock beside the parent",
            Told::Leaked => "a leak",
            Told::Stalled => "a stall",
            Told::Stopped => "stopped",
            Told::Waiting => "no more than a wait",
            Told::Alive => "a parent that moves",
        };
        write!(f, "; told as {told})")
    }
}

#[cfg(test)]
mod tests;
