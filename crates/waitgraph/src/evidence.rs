//! What a report shows for its verdict: who takes part, what is held, what is taken for granted, what was not seen.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::channel::{Channel, End};
use crate::class::Class;
use crate::diagnose::Verdict;
use crate::phrase;
use crate::report::{Held, Inside, ReportMember};
use crate::snapshot::{Gap, GapKind, Pid};
use crate::untrusted::Untrusted;
use crate::world::TaskId;

/// The end of `channel` that `pid` holds: its read end, or if it has none, its write end.
pub(crate) fn held(analysis: &Analysis<'_>, pid: Pid, channel: &Channel) -> Option<Held> {
    let ends: Vec<End> = match channel {
        Channel::Pipe { inode } => vec![End::PipeRead(*inode), End::PipeWrite(*inode)],
        Channel::Fifo { file, .. } => vec![End::FifoRead(*file), End::FifoWrite(*file)],
        Channel::Socket { inode, peer } => vec![End::Socket(*peer), End::Socket(*inode)],
        Channel::Pty { index, devpts } => {
            vec![
                End::PtyMaster(*index, *devpts),
                End::PtySlave(*index, *devpts),
            ]
        }
        Channel::Eventfd { id } => vec![End::Eventfd(*id)],
    };
    let world = &analysis.world;
    let fds = ends
        .into_iter()
        .find_map(|end| world.holding_processes(end).remove(&pid))?;
    Some(Held {
        channel: channel.clone(),
        pid,
        fds,
    })
}

/// What was seen inside the channels of those who are told.
pub(crate) fn inside(analysis: &Analysis<'_>, members: &[ReportMember]) -> Vec<Inside> {
    let told = members.iter().filter(|member| member.in_loop);
    let channels: BTreeSet<&Channel> = told.filter_map(|m| m.channel.as_ref()).collect();
    let mut inside: Vec<Inside> = Vec::new();
    for channel in channels {
        let inodes = channel.inodes();
        for peek in &analysis.world.second.peeks {
            // Each side of a pair of sockets names it by its own end first: it is one channel all the same.
            let is_told = inside.iter().any(|known| known.peek == *peek);
            if inodes.contains(&peek.inode) && !is_told {
                inside.push(Inside {
                    channel: channel.clone(),
                    peek: peek.clone(),
                });
            }
        }
    }
    inside
}

/// Classes that the same facts fit, and that a reader may know the hang by; those of `other_loops` among them.
pub(crate) fn related(
    analysis: &Analysis<'_>,
    told: &[TaskId],
    class: Option<Class>,
    other_loops: BTreeSet<Class>,
) -> Vec<Class> {
    let mut related = other_loops;
    let awaited = told
        .iter()
        .filter_map(|t| analysis.waiting(*t))
        .flat_map(|w| &w.awaited);
    for what in awaited.map(|a| &a.what).filter(|w| w.shows_full()) {
        match what.channel() {
            Some(Channel::Socket { .. }) => {
                related.insert(Class::SocketpairFull);
            }
            Some(Channel::Pipe { inode }) => {
                let peek = analysis
                    .world
                    .second
                    .peeks
                    .iter()
                    .find(|p| p.inode == *inode);
                let capacity = peek.and_then(|p| p.capacity_bytes);
                if capacity.is_some_and(|c| c < 65_536) {
                    related.insert(Class::ShrunkPipe);
                }
                if peek
                    .and_then(|p| p.unread_bytes)
                    .zip(capacity)
                    .is_some_and(|(unread, c)| unread < c)
                {
                    related.insert(Class::SlotsFull);
                }
            }
            _ => {}
        }
    }
    match class {
        Some(Class::StdioBufferStandoff) => related.insert(Class::CoprocessStandoff),
        Some(Class::CoprocessStandoff) => related.insert(Class::StdioBufferStandoff),
        _ => false,
    };
    related.into_iter().filter(|c| Some(*c) != class).collect()
}

/// How those who are told stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The last waits for the first.
    Loop,
    /// The last waits for nobody of these.
    Chain,
}

pub(crate) fn members(
    analysis: &Analysis<'_>,
    told: &[TaskId],
    shape: Shape,
    rest: &[TaskId],
) -> Vec<ReportMember> {
    let first = told.first().copied().filter(|_| shape == Shape::Loop);
    let next = |at: usize| told.get(at + 1).copied().or(first);
    let told_members = told.iter().enumerate().filter_map(|(at, id)| {
        let mut member = member(analysis, *id, next(at))?;
        member.in_loop = true;
        if next(at).is_none() {
            // What keeps the chain from being a deadlock says more than what its end waits for.
            let broken = analysis.waiting(*id).and_then(|w| w.breaks.first());
            member.waits = broken.map_or(member.waits, |b| b.why.clone());
        }
        Some(member)
    });
    told_members
        .chain(rest.iter().filter_map(|id| member(analysis, *id, None)))
        .collect()
}

/// Somebody who takes part, not in the loop; `toward` is the next one of the story.
fn member(analysis: &Analysis<'_>, id: TaskId, toward: Option<TaskId>) -> Option<ReportMember> {
    let world = &analysis.world;
    let (process, task) = world.task(id)?;
    let awaited = phrase::told(analysis, id, toward);
    let channel = awaited.and_then(|a| a.what.channel().cloned());
    Some(ReportMember {
        actor: phrase::actor(world, id)?,
        in_loop: false,
        call: phrase::call(task),
        fd: awaited.and_then(|a| a.fd),
        stream: channel
            .as_ref()
            .and_then(|c| phrase::stream(process, task, c))
            .map(str::to_owned),
        waits: phrase::waits(analysis, id, toward),
        wakers: awaited.map(|a| a.wakers.clone()).unwrap_or_default(),
        channel,
    })
}

/// What every proof takes for granted, and what of it could not be seen this time.
pub(crate) fn closed_world(analysis: &Analysis<'_>, target: Pid, verdict: &Verdict) -> Vec<String> {
    let Verdict::Deadlocked { proof, .. } = verdict else {
        return Vec::new();
    };
    let mut sentences = vec![
        "no signal comes from outside those who were started together: none from a person, another job of the shell, init, or whoever asks"
            .to_owned(),
        "nobody unseen holds an end: none in another pid namespace, none passed through a socket in flight".to_owned(),
    ];
    let scan = &analysis.world.second.scan;
    if scan.real_timers != Some(0) {
        sentences.push("no alarm(2) or ITIMER_REAL is about to end one of them (/proc does not show whose they are)".to_owned());
    }
    let awaited = proof.certificate().members.iter().flat_map(|m| &m.awaited);
    if awaited
        .into_iter()
        .any(|a| matches!(a.what.channel(), Some(Channel::Pty { .. })))
    {
        sentences.push("no byte is under way inside a terminal (the kernel's worker that moves them, flush_to_ldisc, is no task)".to_owned());
    }
    let members: BTreeSet<Pid> = proof
        .certificate()
        .members
        .iter()
        .map(|m| m.task.pid)
        .collect();
    let related = analysis.unread_relatives(&members);
    let unread = analysis
        .world
        .second
        .processes
        .iter()
        .filter(|p| p.table == crate::descriptor::Table::Unread);
    let strangers = unread.filter(|p| !related.contains(&p.pid) && p.pid != target);
    let strangers: BTreeSet<Pid> = strangers.map(|p| p.pid).collect();
    if !strangers.is_empty() {
        sentences.push(hold_nothing(analysis, target, &strangers));
    }
    sentences
}

/// Who could not be read and is no relative, by name, with what would show what he holds.
fn hold_nothing(analysis: &Analysis<'_>, target: Pid, strangers: &BTreeSet<Pid>) -> String {
    let of_them = |gap: &&Gap| gap.pid.is_some_and(|pid| strangers.contains(&pid));
    let gaps = analysis.world.second.gaps.iter().filter(of_them);
    // What shows one of them shows all, and is asked for on behalf of whoever was asked about.
    let remedy = gaps.filter_map(|gap| {
        let own = format!(" {}", gap.pid?);
        Some(gap.remedy.as_deref()?.replace(&own, &format!(" {target}")))
    });
    let remedy = remedy.map(|remedy| Untrusted::from(remedy.as_str()).escaped());
    let remedy = remedy.map(|remedy| format!("; try: {remedy}")).next();
    format!(
        "{}, not readable and none of this family, {} no end{}",
        phrase::names_of(&analysis.world, strangers),
        if strangers.len() == 1 {
            "holds"
        } else {
            "hold"
        },
        remedy.unwrap_or_default()
    )
}

/// Gaps that matter: of those who take part, of their relatives, and of the machine.
pub(crate) fn gaps(analysis: &Analysis<'_>, target: Pid, told: &[TaskId]) -> Vec<Gap> {
    let mut concerned: BTreeSet<Pid> = told.iter().map(|t| t.pid).collect();
    concerned.insert(target);
    let relatives = analysis.unread_relatives(&concerned);
    concerned.extend(relatives);
    let below = |pid: Pid| analysis.world.is_descendant(pid, target);
    let matters = |g: &&Gap| {
        g.kind != GapKind::Vanished && g.pid.is_none_or(|p| concerned.contains(&p) || below(p))
    };
    let gaps: BTreeSet<Gap> = analysis
        .world
        .second
        .gaps
        .iter()
        .filter(matters)
        .cloned()
        .collect();
    gaps.into_iter().collect()
}
