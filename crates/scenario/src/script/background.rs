//! Background descendants: who holds what after the leader has gone.

use serde::{Deserialize, Serialize};

use super::{Descriptor, Script};

/// A descendant of the leader that runs a script of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// The standard descriptors that it keeps; the others are `/dev/null`. The kept ones are the same open file
    /// descriptions as the leader's.
    pub keep: Vec<Descriptor>,
    /// Generations below the process that starts it: 1 is a child, 2 a grandchild; 1 if left out.
    #[serde(default = "child", skip_serializing_if = "is_child")]
    pub depth: u8,
    /// What the generations between do, which hold the same descriptors; `wait` if left out. A double fork is a
    /// depth of 2 with `exit`.
    #[serde(
        default = "Intermediates::left_out",
        skip_serializing_if = "Intermediates::is_left_out"
    )]
    pub intermediates: Intermediates,
    /// Which session it is in; `inherited` if left out.
    #[serde(
        default = "Session::left_out",
        skip_serializing_if = "Session::is_left_out"
    )]
    pub session: Session,
    /// What it does.
    pub script: Script,
}

/// What the processes between the leader and its descendant do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intermediates {
    /// Wait for their child, as a shell does for a foreground command.
    Wait,
    /// Exit once it runs, so that it loses its parent, as a daemon does on purpose.
    Exit,
}

impl Intermediates {
    fn left_out() -> Self {
        Self::Wait
    }

    fn is_left_out(&self) -> bool {
        *self == Self::Wait
    }
}

/// The session of a descendant, which decides whether signals to the leader's process group reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Session {
    /// That of the leader, and its process group.
    Inherited,
    /// Its own (setsid(2)).
    Own,
}

impl Session {
    fn left_out() -> Self {
        Self::Inherited
    }

    fn is_left_out(&self) -> bool {
        *self == Self::Inherited
    }
}

fn child() -> u8 {
    1
}

fn is_child(depth: &u8) -> bool {
    *depth == 1
}
