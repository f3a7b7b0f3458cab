//! The byte at which a strategy begins to hang, as it was found on real processes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::Hang;
use crate::script::{Order, Write};
use crate::strategy::Strategy;

/// One search: a strategy, a child that writes on and on in one way, and the number of bytes that made the difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boundary {
    /// The strategy of the parent.
    pub strategy: Strategy,
    /// Which streams the child writes to.
    pub layout: Layout,
    /// Bytes of each write(2), the last one of a stream apart.
    pub write_size: u64,
    /// Bytes of stdin that the parent has for the child, which reads them after it has written; 0 is `/dev/null`.
    pub stdin: u64,
    /// By the model of the pipe, the most bytes to each stream that still complete; nothing if it says that no number hangs.
    pub predicted: Option<u64>,
    /// What the trials showed.
    pub found: Found,
    /// How many trials that took.
    pub trials: u32,
}

/// Which streams get the bytes. A number of bytes is always that to each stream, not the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Standard output alone.
    Stdout,
    /// Standard error alone.
    Stderr,
    /// All of standard output, then as much to standard error.
    Both,
    /// A write to each in turn.
    Alternating,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Found {
    /// So many bytes complete, and one more hangs: both were run.
    At {
        /// The most bytes to each stream with which the trial completes.
        completes: u64,
        /// The hang of one byte more.
        hang: Hang,
    },
    /// It hangs without a byte written.
    Always {
        /// The hang.
        hang: Hang,
    },
    /// It completes with the most that was tried.
    Never {
        /// Bytes to each stream.
        tried: u64,
    },
    /// A trial neither completed nor hung, so there is no telling.
    Unclear {
        /// Its bytes to each stream.
        bytes: u64,
        /// What came of it.
        why: String,
    },
}

impl Boundary {
    /// Whether the trials found what the model predicts.
    #[must_use]
    pub fn agrees(&self) -> bool {
        match self.found {
            Found::At { completes, .. } => self.predicted == Some(completes),
            Found::Never { .. } => self.predicted.is_none(),
            Found::Always { .. } | Found::Unclear { .. } => false,
        }
    }
}

impl Layout {
    /// Every layout, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Stdout, Self::Stderr, Self::Both, Self::Alternating];

    /// The name as fixtures and tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Both => "both",
            Self::Alternating => "alternating",
        }
    }

    /// The operation that writes `bytes` to each stream of the layout.
    #[must_use]
    pub fn write(self, bytes: u64) -> Write {
        let (stdout, stderr, order) = match self {
            Self::Stdout => (bytes, 0, Order::StdoutFirst),
            Self::Stderr => (0, bytes, Order::StdoutFirst),
            Self::Both => (bytes, bytes, Order::StdoutFirst),
            Self::Alternating => (bytes, bytes, Order::Alternate),
        };
        Write {
            order,
            ..Write::new(stdout, stderr)
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { completes, .. } => {
                write!(
                    f,
                    "{completes} bytes complete, {} hang",
                    completes.saturating_add(1)
                )
            }
            Self::Always { .. } => f.write_str("hangs with no byte at all"),
            Self::Never { tried } => write!(f, "completes with {tried} bytes"),
            Self::Unclear { bytes, why } => write!(f, "unclear with {bytes} bytes: {why}"),
        }
    }
}
