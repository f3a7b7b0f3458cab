//! The bounds that a parent sets itself: a deadline, and a limit on what it keeps.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A bound on a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The deadline.
    Deadline,
    /// The limit on the bytes that are kept of each stream.
    Limit,
}

/// A limit on the bytes that are kept of each stream. Exactly `bytes` pass untouched; the policy acts on one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Bytes of each stream.
    pub bytes: u64,
    /// What happens at the first byte beyond.
    pub policy: LimitPolicy,
}

/// What happens to output beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitPolicy {
    /// The first bytes are kept, the rest is read and counted.
    Head,
    /// The last bytes are kept.
    Tail,
    /// All are kept, the first in memory and the rest on disk.
    Spill,
    /// The child is killed.
    Kill,
    /// The child is killed, and the capture is an error.
    Error,
}

impl LimitPolicy {
    /// Every policy.
    pub const ALL: [Self; 5] = [Self::Head, Self::Tail, Self::Spill, Self::Kill, Self::Error];

    /// The name as arguments and fixtures spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Tail => "tail",
            Self::Spill => "spill",
            Self::Kill => "kill",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LimitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no policy's; the message lists those that are.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown limit policy {name:?}: it must be one of {}", LimitPolicy::ALL.map(LimitPolicy::name).join(", "))]
pub struct UnknownPolicy {
    name: String,
}

impl FromStr for LimitPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|policy| policy.name() == name);
        known.ok_or_else(|| UnknownPolicy {
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_parses_from_its_name_which_is_the_one_that_json_uses() {
        for policy in LimitPolicy::ALL {
            assert_eq!(policy.name().parse(), Ok(policy));
            let json = serde_json::to_string(&policy).unwrap();
            assert_eq!(json, format!("\"{policy}\""));
        }
        let error = "drop".parse::<LimitPolicy>().unwrap_err().to_string();
        assert!(error.contains("drop") && error.contains("spill"), "{error}");
    }
}
