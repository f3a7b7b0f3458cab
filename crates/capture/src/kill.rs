//! What is killed when a capture must end, and how.

use std::str::FromStr;
use std::time::Duration;

use crate::error::UnknownName;

/// What a passed deadline, a limit that kills, or a dropped [`crate::Running`] does to the child.
///
/// First SIGTERM, then, `term_grace` later, SIGKILL; output is read in between. The wait ends early
/// when the leader has exited and every stream has reached its end. With a `term_grace` of zero
/// there is SIGKILL only. A signal goes through a pidfd or to a child that has not been reaped:
/// never to a pid that may have been reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Who gets the signals.
    pub target: KillTarget,
    /// Time between SIGTERM and SIGKILL.
    pub term_grace: Duration,
}

impl Kill {
    /// SIGKILL to the leader and to nobody else: what `std::process::Child::kill` does.
    pub const LEADER: Kill = Kill {
        target: KillTarget::Leader,
        term_grace: Duration::ZERO,
    };
}

/// Who is killed. Each tier reaches further and changes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillTarget {
    /// The direct child alone; its descendants live on. Nothing else is changed: the child stays in
    /// the caller's process group, so that Ctrl-C at a terminal reaches both.
    Leader,
    /// The child is started in a process group of its own, and the group is signalled. Ctrl-C at a
    /// terminal then reaches the caller alone, and a child that reads the terminal stops by
    /// SIGTTIN. Descendants that made a group or session of their own (`setsid`, an interactive
    /// shell's jobs) live on.
    Group,
    /// The group, and every descendant found by a walk of `/proc`, each stopped first so that it
    /// cannot fork away from the walk. A descendant escapes if it left both the group and the
    /// session and its own parent has exited before the walk; only a cgroup would hold that one.
    /// The library does not make the caller a subreaper to prevent it: that would hand every orphan
    /// of the caller's whole process to it.
    Tree,
}

impl KillTarget {
    /// Every tier, from the least to the most.
    pub const ALL: [KillTarget; 3] = [KillTarget::Leader, KillTarget::Group, KillTarget::Tree];

    /// The name, as a command line has it.
    pub fn name(self) -> &'static str {
        match self {
            KillTarget::Leader => "leader",
            KillTarget::Group => "group",
            KillTarget::Tree => "tree",
        }
    }
}

impl FromStr for KillTarget {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::look_up("kill target", name, &Self::ALL, Self::name)
    }
}
