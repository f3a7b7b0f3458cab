//! Bytes in, types out: one parser for each text of `/proc`. None of them opens anything, and none panics.

mod auxv;
mod call;
mod cgroup;
mod fdinfo;
pub(crate) mod field;
mod link;
mod locks;
mod machine;
mod maps;
mod mountinfo;
mod stat;
mod status;
mod timers;

pub use auxv::{WordSize, word_size};
pub use call::CallLine;
pub use cgroup::{CgroupPath, Hierarchy, cgroups, is_frozen};
pub use fdinfo::{FdInfo, Watched};
pub use link::LinkName;
pub use locks::{Family, Lock, Role};
pub use machine::{TimerCounts, boot_ms, count, forks, timer_counts};
pub use maps::{Backing, Mapping, Maps, Protection, Sharing};
pub use mountinfo::{Mount, Mounts};
pub use stat::Stat;
pub use status::Status;
pub use timers::timer_signals;

/// A text of `/proc` that is not what the kernel prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse {file}: {why}")]
pub struct Malformed {
    file: &'static str,
    why: &'static str,
}

impl Malformed {
    pub(crate) const fn new(file: &'static str, why: &'static str) -> Self {
        Self { file, why }
    }
}
