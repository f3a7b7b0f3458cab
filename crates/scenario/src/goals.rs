//! Goals of speed, each a ratio that is measured against other crates, and what came of them.
//!
//! `benches/` measures them, since only there other crates that capture are dependencies, and writes them as JSON; the
//! report shows them.

use pipeclog_waitgraph::snapshot::Untrusted;
use serde::{Deserialize, Serialize};

/// The version of the JSON form; raised when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 2;

/// What one run of the duel found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contest {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// What it was measured on, in words.
    pub machine: Untrusted,
    /// In ascending order of their numbers.
    pub goals: Vec<Goal>,
    /// What every contender of each duel took.
    pub duels: Vec<Duel>,
}

/// One sentence of a goal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Its number; several sentences share one.
    pub goal: u32,
    /// Which ratio.
    pub what: Untrusted,
    /// At most or at least how much.
    pub wanted: Wanted,
    /// What was measured; nothing if it was not.
    pub measured: Option<Spread>,
}

/// What a ratio is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The median is to be no more.
    AtMost(f64),
    /// The median is to be no less.
    AtLeast(f64),
}

impl Wanted {
    /// Whether a median is as wanted.
    #[must_use]
    pub fn is_met(self, median: f64) -> bool {
        match self {
            Self::AtMost(most) => median <= most,
            Self::AtLeast(least) => median >= least,
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

impl Goal {
    /// Whether it is met; nothing if it was not measured.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(self.wanted.is_met(measured.median))
    }
}

/// The median of samples, and the middle half.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// A quarter of the samples is below.
    pub p25: f64,
    /// Half of the samples is below.
    pub median: f64,
    /// A quarter of the samples is above.
    pub p75: f64,
    /// How many samples.
    pub count: usize,
}

/// Methods that did the same job in turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Duel {
    /// How much the child wrote, in words.
    pub name: Untrusted,
    /// In the order of the tables.
    pub contenders: Vec<Contender>,
}

/// One method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contender {
    /// Its name.
    pub name: Untrusted,
    /// Microseconds from before the spawn to the last byte and the exit.
    pub capture_us: Spread,
    /// Microseconds until every byte was read once and its memory given back.
    pub use_and_free_us: Spread,
    /// The capturing process's own processor time in microseconds.
    pub cpu_us: Spread,
    /// The capture's time by that of our recommended strategy in the same round; nothing if that did not take part.
    pub to_ours: Option<Spread>,
}
