//! What captures cost, as raw samples. Whatever is derived from them is derived elsewhere, by pure code.

use serde::{Deserialize, Serialize};

use crate::strategy::Strategy;

/// Captures of one child under several strategies and in several sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// The strategy that ratios are to.
    pub baseline: Strategy,
    /// Bytes of each write(2) of the child.
    pub write_size: u64,
    /// One for each strategy and size; sizes ascend, and strategies are in the order of the tables.
    pub series: Vec<Series>,
}

/// One strategy with one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// The strategy.
    pub strategy: Strategy,
    /// Bytes that the child writes to its stdout.
    pub bytes: u64,
    /// What was measured.
    pub measured: Samples,
}

/// The samples of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Samples {
    /// Every capture came back with the bytes that it should.
    Taken {
        /// In the order of the rounds: the nth sample of every strategy of a size is of the same round.
        rounds: Vec<Sample>,
        /// Peak resident memory in KiB of a process that does this capture alone, and whose bytes were verified.
        peak_kib: Option<u64>,
    },
    /// One did not, and none was taken after it.
    Failed {
        /// What was tried, and why it failed.
        why: String,
    },
}

/// One capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Nanoseconds from before the spawn of the child until its last byte and its exit were had.
    pub wall_ns: u64,
    /// Nanoseconds until each captured byte was read once as well, and its memory given back: files that are handed
    /// over as mapped memory have their pages filled only then.
    pub used_ns: u64,
    /// User and system time of the capturing process, in microseconds.
    pub parent_cpu_us: u64,
    /// User and system time of the child, in microseconds.
    pub child_cpu_us: u64,
}
