//! One task: its state, its counters and its call.

use pipeclog_waitgraph::snapshot::{
    Facet, SignalSet, Signals, State, Syscall, Table, Task, Tid, Untrusted, Wait,
};

use crate::decode::{Blocked, decode};
use crate::gaps::{Gaps, Owner};
use crate::memory::Memory;
use crate::parse::{CallLine, Stat, Status};
use crate::source::{Cause, ReadError, Source};

/// The files of a task, read once.
pub(crate) struct TaskText {
    pub(crate) tid: u32,
    pub(crate) stat: Stat,
    pub(crate) status: Option<Status>,
    pub(crate) call: Syscall,
    pub(crate) wchan: Option<Vec<u8>>,
}

/// Reads a task; `None` if it has ended, or is a worker of the kernel's (io_uring's are listed among a program's
/// threads, and hold and wait for nothing of their own).
pub(crate) fn read(
    source: &dyn Source,
    owner: Owner,
    tid: u32,
    gaps: &mut Gaps,
) -> Option<TaskText> {
    let owner = Owner {
        tid: Some(tid),
        ..owner
    };
    let base = format!("{}/task/{tid}", owner.pid);
    let mut text = Vec::new();
    let call = match read_call(source, &base, &mut text) {
        Ok(call) => call,
        // A task that is ending has lost its registers (kernel `proc_pid_syscall` gives ESRCH).
        Err(error) => {
            if error.cause != Cause::Gone {
                gaps.of(owner, Facet::Syscall, &error);
            }
            Syscall::Unread
        }
    };
    let stat = match read_stat(source, &base, &mut text) {
        Ok(stat) if stat.is_kernel_worker() || stat.is_reaped() => return None,
        Ok(stat) => stat,
        Err(error) => {
            if error.cause != Cause::Gone {
                gaps.of(owner, Facet::Status, &error);
            }
            return None;
        }
    };
    let wchan = source
        .read(&format!("{base}/wchan"), &mut text)
        .ok()
        .map(|()| text.clone());
    // The counters come last. A task in a call with the counters of the look before has not gone to sleep since then, so it
    // is in the same sleep still. Read first, they would also be those of a task that was running between two sleeps.
    let status = match read_status(source, &base, &mut text) {
        Ok(status) => Some(status),
        Err(error) if error.cause == Cause::Gone => return None,
        Err(error) => {
            gaps.of(owner, Facet::Status, &error);
            None
        }
    };
    Some(TaskText {
        tid,
        stat,
        status,
        call,
        wchan,
    })
}

impl TaskText {
    /// Puts the task together; what its call waits for is decoded with the table that it uses.
    pub(crate) fn into_task(
        self,
        source: &dyn Source,
        owner: Owner,
        memory: &Memory<'_>,
        table: &Table,
        gaps: &mut Gaps,
    ) -> Task {
        let signals = self.status.as_ref().map(signals);
        let wait = match self.call {
            Syscall::Running => Wait::Running,
            Syscall::Blocked { number, args, .. } => {
                let wchan = self.wchan.as_deref().map(without_suffix);
                let blocked = Blocked {
                    source,
                    pid: owner.pid,
                    number,
                    args,
                    memory,
                    table,
                    signals,
                    wchan,
                };
                let decoded = decode(&blocked);
                for missing in decoded.missing {
                    gaps.of(
                        Owner {
                            tid: Some(self.tid),
                            ..owner
                        },
                        missing.facet,
                        &missing.error,
                    );
                }
                decoded.wait
            }
            Syscall::Outside | Syscall::Unread => Wait::Unknown,
        };
        let switches = |pick: fn(&Status) -> Option<u64>| self.status.as_ref().and_then(pick);
        Task {
            tid: Tid(self.tid),
            comm: Untrusted::new(self.stat.comm),
            state: state(self.stat.state),
            syscall: self.call,
            wait,
            switches_voluntary: switches(|status| status.voluntary_switches),
            switches_involuntary: switches(|status| status.involuntary_switches),
            signals,
            wchan: self.wchan.map(Untrusted::new),
            own_table: None,
        }
    }
}

fn read_status(source: &dyn Source, base: &str, text: &mut Vec<u8>) -> Result<Status, ReadError> {
    let path = format!("{base}/status");
    source.read(&path, text)?;
    Status::parse(text).map_err(|_| malformed(&path))
}

fn read_stat(source: &dyn Source, base: &str, text: &mut Vec<u8>) -> Result<Stat, ReadError> {
    let path = format!("{base}/stat");
    source.read(&path, text)?;
    Stat::parse(text).map_err(|_| malformed(&path))
}

fn read_call(source: &dyn Source, base: &str, text: &mut Vec<u8>) -> Result<Syscall, ReadError> {
    let path = format!("{base}/syscall");
    source.read(&path, text)?;
    match CallLine::parse(text) {
        Ok(CallLine::Running) => Ok(Syscall::Running),
        Ok(CallLine::Elsewhere) => Ok(Syscall::Outside),
        Ok(CallLine::Blocked {
            number,
            args,
            sp,
            pc,
        }) => Ok(Syscall::Blocked {
            number,
            args,
            sp,
            pc,
        }),
        Err(_) => Err(malformed(&path)),
    }
}

fn malformed(path: &str) -> ReadError {
    ReadError::new("parse", path, Cause::Malformed)
}

/// The state behind the letter of stat.
pub(crate) fn state(letter: u8) -> State {
    match letter {
        b'R' => State::Running,
        b'S' => State::Sleeping,
        b'D' => State::Disk,
        b'T' => State::Stopped,
        b't' => State::Traced,
        b'Z' => State::Zombie,
        b'X' | b'x' => State::Dead,
        _ => State::Other,
    }
}

fn signals(status: &Status) -> Signals {
    Signals {
        blocked: SignalSet(status.blocked),
        ignored: SignalSet(status.ignored),
        caught: SignalSet(status.caught),
        pending: SignalSet(status.pending | status.shared_pending),
    }
}

/// A function's name without what the compiler adds to its clones (`.isra.0`, `.constprop.0`, `.part.0`).
fn without_suffix(wchan: &[u8]) -> &[u8] {
    wchan
        .split(|&byte| byte == b'.')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}
