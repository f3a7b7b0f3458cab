//! Gaps without foreign words: whose, what and why in words of ours, and the command that closes them.

use crate::snapshot::{Facet, Gap, GapKind};

/// The commands that close gaps, with `#` for each number: a text that is not among them may hold anything.
const REMEDIES: [&str; 5] = [
    "sudo pipeclog diagnose --all",
    "sudo pipeclog diagnose #",
    "sudo pipeclog diagnose --peek #",
    "sudo nsenter --net --target # pipeclog diagnose",
    "run pipeclog in the initial pid namespace",
];

/// Reasons, whole or what stands after the last `; `.
const REASONS: [&str; 10] = [
    "it belongs to user #",
    "it has capabilities or a user namespace over which we have no CAP_SYS_PTRACE (a container gets it by --cap-add SYS_PTRACE)",
    "it has changed its user or runs a program that its user may not read",
    "it lives in another network namespace",
    "Yama lets only ancestors look (kernel.yama.ptrace_scope is #)",
    "Yama lets only root look (kernel.yama.ptrace_scope is #)",
    "Yama lets nobody look until the next boot (kernel.yama.ptrace_scope is #)",
    "/proc is mounted with hidepid: processes of other users are not shown",
    "/proc is mounted with subset=pid: it has no counters, locks or settings",
    "this /proc shows one pid namespace: processes outside it may hold ends",
];

pub(super) fn redact(gap: &mut Gap) {
    gap.remedy = gap.remedy.take().filter(|text| is_among(&REMEDIES, text));
    if is_among(&REASONS, &gap.why) {
        return;
    }
    let reason = gap.why.rsplit("; ").next().unwrap_or_default();
    let reason = match is_among(&REASONS, reason) {
        true => format!("; {reason}"),
        false => String::new(),
    };
    let whose = match (gap.pid, gap.tid) {
        (Some(pid), Some(tid)) => format!(" of task {tid} of process {pid}"),
        (Some(pid), None) => format!(" of process {pid}"),
        (None, _) => String::new(),
    };
    gap.why = format!(
        "failed to read {}{whose}: {}{reason}",
        what(gap.facet),
        cause(gap.kind)
    );
}

/// Whether the text is one of ours, but for its numbers.
fn is_among(ours: &[&str], text: &str) -> bool {
    let mut shape = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if shape.ends_with('#') => {}
            '0'..='9' => shape.push('#'),
            // A text may not bring the mark itself.
            '#' => return false,
            _ => shape.push(c),
        }
    }
    ours.contains(&shape.as_str())
}

fn what(facet: Facet) -> &'static str {
    match facet {
        Facet::Process => "the state",
        Facet::Status => "the status",
        Facet::Syscall => "the system call",
        Facet::Memory => "the arguments of the system call",
        Facet::Descriptors => "the descriptors",
        Facet::DescriptorInfo => "what a descriptor is",
        Facet::Identity => "the program",
        Facet::Timers => "the timers",
        Facet::SocketPeers => "the peers of the sockets",
        Facet::Locks => "the file locks",
        Facet::Cgroup => "the control group",
        Facet::Maps => "the memory map",
        Facet::Namespaces => "the namespaces",
        Facet::HiddenHolder => "who holds an end of a channel",
        Facet::Contents => "the inside of a channel",
    }
}

fn cause(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Vanished => "it has ended",
        GapKind::Denied => "permission denied",
        GapKind::Hidden => "hidden",
        GapKind::InFlight => "it is in no table",
        GapKind::Unsupported => "the kernel does not offer it",
        GapKind::Malformed => "it made no sense",
        GapKind::TimedOut => "no answer within the bound",
        GapKind::NotLooked => "it was not looked at",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Pid;

    fn redacted(why: &str, remedy: &str) -> (String, Option<String>) {
        let mut gap = Gap {
            kind: GapKind::Denied,
            facet: Facet::Syscall,
            pid: Some(Pid(813)),
            tid: None,
            why: why.to_owned(),
            remedy: Some(remedy.to_owned()),
        };
        redact(&mut gap);
        (gap.why, gap.remedy)
    }

    #[test]
    fn words_of_ours_stay_and_all_others_go() {
        let (why, remedy) = redacted(
            "failed to read /home/jane/x: permission denied; it belongs to user 1000",
            "sudo pipeclog diagnose 812",
        );
        assert_eq!(
            why,
            "failed to read the system call of process 813: permission denied; it belongs to user 1000"
        );
        assert_eq!(remedy.as_deref(), Some("sudo pipeclog diagnose 812"));
        let (why, remedy) = redacted("jane; it belongs to user jane", "ssh jane@host");
        assert_eq!(
            (why.as_str(), remedy),
            (
                "failed to read the system call of process 813: permission denied",
                None
            )
        );
        assert_eq!(redacted("x", "sudo pipeclog diagnose #").1, None);
    }
}
