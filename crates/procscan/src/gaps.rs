//! What could not be read, with its cause and the command that helps.

use std::collections::BTreeSet;

use pipeclog_waitgraph::snapshot::{Facet, Gap, GapKind, Pid, Tid};

use crate::parse::Mounts;
use crate::source::{Facts, ReadError, Source};

/// The initial pid namespace's number (kernel `PROC_PID_INIT_INO`).
const INITIAL_PID_NAMESPACE: &[u8] = b"pid:[4026531836]";

/// What shows all that a user may not see; a report puts the process that it is about in the place of `--all`.
const WHOLE_MACHINE: &str = "sudo pipeclog diagnose --all";

/// Collects gaps, each once.
#[derive(Clone)]
pub(crate) struct Gaps {
    observer: u32,
    yama: u64,
    found: BTreeSet<Gap>,
}

/// Whose fact is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) pid: u32,
    pub(crate) tid: Option<u32>,
    /// The real user of the process, where known.
    pub(crate) uid: Option<u32>,
}

impl Gaps {
    /// Looks at what limits the observer as a whole.
    pub(crate) fn new(source: &dyn Source, facts: Facts) -> Self {
        let mut text = Vec::new();
        let yama = match source.read("sys/kernel/yama/ptrace_scope", &mut text) {
            Ok(()) => crate::parse::count(&text).unwrap_or(0),
            Err(_) => 0,
        };
        let mut gaps = Self {
            observer: facts.uid,
            yama,
            found: BTreeSet::new(),
        };
        gaps.look_at_mount(source);
        gaps
    }

    /// A collection whose gaps nobody will read.
    pub(crate) fn unread(facts: Facts) -> Self {
        Self {
            observer: facts.uid,
            yama: 0,
            found: BTreeSet::new(),
        }
    }

    fn look_at_mount(&mut self, source: &dyn Source) {
        if let Ok(text) = source.read_list("self/mountinfo") {
            let mounts = Mounts::parse(&text);
            let option = |name| mounts.at(b"/proc").and_then(|mount| mount.option(name));
            let hidden = option(b"hidepid").filter(|value| !matches!(*value, b"0" | b"off"));
            if hidden.is_some() && self.observer != 0 {
                self.machine(
                    GapKind::Hidden,
                    Facet::Process,
                    "/proc is mounted with hidepid: processes of other users are not shown"
                        .to_owned(),
                    Some(WHOLE_MACHINE.to_owned()),
                );
            }
            if option(b"subset").is_some() {
                self.machine(
                    GapKind::Hidden,
                    Facet::Locks,
                    "/proc is mounted with subset=pid: it has no counters, locks or settings"
                        .to_owned(),
                    None,
                );
            }
        }
        if source
            .link("self/ns/pid")
            .is_ok_and(|link| link != INITIAL_PID_NAMESPACE)
        {
            // Unlike hidepid this hides nobody of this world: an end crosses into another namespace only where somebody
            // carried it there, and that nobody did is part of the closed world that is printed with each verdict.
            self.machine(
                GapKind::Hidden,
                Facet::Namespaces,
                "this /proc shows one pid namespace: processes outside it may hold ends".to_owned(),
                Some("run pipeclog in the initial pid namespace".to_owned()),
            );
        }
    }

    /// Notes what is missing of the machine.
    pub(crate) fn machine(
        &mut self,
        kind: GapKind,
        facet: Facet,
        why: String,
        remedy: Option<String>,
    ) {
        self.found.insert(Gap {
            kind,
            facet,
            pid: None,
            tid: None,
            why,
            remedy,
        });
    }

    /// Notes a read of a machine's file that failed.
    pub(crate) fn machine_read(&mut self, facet: Facet, error: &ReadError) {
        let kind = match error.gap_kind() {
            // A machine does not vanish: what is not there is not offered.
            GapKind::Vanished => GapKind::Unsupported,
            kind => kind,
        };
        let remedy = match kind {
            GapKind::Denied => Some(WHOLE_MACHINE.to_owned()),
            _ => None,
        };
        self.machine(kind, facet, error.to_string(), remedy);
    }

    /// Notes what is missing of a process or of a task.
    pub(crate) fn of(&mut self, owner: Owner, facet: Facet, error: &ReadError) {
        let kind = error.gap_kind();
        let mut why = error.to_string();
        let mut remedy = None;
        if kind == GapKind::Denied {
            let reason = self.reason(owner, facet);
            why.push_str(&reason);
            if self.observer != 0 && !self.nobody_may(facet) {
                let peek = match facet {
                    Facet::Contents => " --peek",
                    _ => "",
                };
                remedy = Some(format!("sudo pipeclog diagnose{peek} {}", owner.pid));
            }
        }
        self.plain(owner, kind, facet, why, remedy);
    }

    /// Notes a gap of a process or of a task in words of its own.
    pub(crate) fn plain(
        &mut self,
        owner: Owner,
        kind: GapKind,
        facet: Facet,
        why: String,
        remedy: Option<String>,
    ) {
        let (pid, tid) = (Some(Pid(owner.pid)), owner.tid.map(Tid));
        self.found.insert(Gap {
            kind,
            facet,
            pid,
            tid,
            why,
            remedy,
        });
    }

    /// Why the kernel refuses, as far as it can be told (man 2 ptrace, "Ptrace access mode checking").
    fn reason(&self, owner: Owner, facet: Facet) -> String {
        let scope = format!("(kernel.yama.ptrace_scope is {})", self.yama);
        match owner.uid {
            _ if self.nobody_may(facet) => format!("; Yama lets nobody look until the next boot {scope}"),
            _ if self.observer == 0 => {
                "; it has capabilities or a user namespace over which we have no CAP_SYS_PTRACE (a container gets it by --cap-add SYS_PTRACE)"
                    .to_owned()
            }
            Some(uid) if uid != self.observer => format!("; it belongs to user {uid}"),
            _ if self.yama > 1 => format!("; Yama lets only root look {scope}"),
            _ if self.yama > 0 => format!("; Yama lets only ancestors look {scope}"),
            _ => {
                "; it has changed its user or runs a program that its user may not read".to_owned()
            }
        }
    }

    /// With Yama's scope 3, what takes PTRACE_MODE_ATTACH is refused to root too (security/yama/yama_lsm.c).
    fn nobody_may(&self, facet: Facet) -> bool {
        self.yama > 2 && matches!(facet, Facet::Syscall | Facet::Memory | Facet::Contents)
    }

    /// A collection of the same observer's, with nothing in it yet.
    pub(crate) fn empty(&self) -> Self {
        Self {
            found: BTreeSet::new(),
            ..*self
        }
    }

    /// Adds what another has collected.
    pub(crate) fn add(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    pub(crate) fn into_list(self) -> Vec<Gap> {
        self.found.into_iter().collect()
    }

    /// Whether processes of this pid namespace may exist that `/proc` does not show.
    pub(crate) fn hides_processes(&self) -> bool {
        self.found.iter().any(|gap| {
            gap.kind == GapKind::Hidden && gap.facet == Facet::Process && gap.pid.is_none()
        })
    }
}
