//! From a verdict and what it rests on to a report.

use std::collections::BTreeSet;

use crate::analysis::{Analysis, Tier};
use crate::awaited::BreakKind;
use crate::channel::{Channel, End};
use crate::class::Class;
use crate::classify::{Classified, classify};
use crate::diagnose::{Story, Verdict};
use crate::fixes::{self, Language};
use crate::headline;
use crate::leak::Leak;
use crate::phrase;
use crate::report::{
    Actor, Assumed, Confidence, Culprit, Held, Kind, Report, ReportMember, SCHEMA_VERSION,
    VerdictName,
};
use crate::snapshot::{Gap, GapKind, Pid, Snapshot};
use crate::stall::Stall;
use crate::untrusted::Untrusted;
use crate::wait::{SignalSet, Wait};
use crate::waiting::ROUTINE;
use crate::world::TaskId;

/// What each kind of story adds to a report.
#[derive(Debug, Default)]
struct Part {
    class: Option<Class>,
    headline: String,
    /// In the order in which the story tells them.
    told: Vec<TaskId>,
    /// Stuck with them.
    rest: Vec<TaskId>,
    culprit: Option<Culprit>,
    confidence: Option<Confidence>,
    kind: Option<Kind>,
}

pub(crate) fn report(
    analysis: &Analysis<'_>,
    looks: &[Snapshot],
    target: Pid,
    verdict: &Verdict,
    story: &Story,
    beside: Vec<Report>,
) -> Report {
    let part = match story {
        Story::Deadlock {
            cycle,
            members,
            tier,
            kind,
            proof,
        } => {
            let confidence = if proof.is_strict() {
                Confidence::Proven
            } else {
                Confidence::Probable
            };
            deadlock(analysis, cycle, members, *tier, *kind, confidence)
        }
        Story::Leak(leak) => leaked(analysis, leak),
        Story::Stall(stall) => stalled(analysis, stall),
        Story::Chain(chain) => chained(analysis, target, verdict, chain),
        Story::Unproven { chain, why } => unproven(analysis, target, chain, why),
    };
    let certificate = match verdict {
        Verdict::Deadlocked { proof, .. } => Some(proof.certificate().clone()),
        _ => None,
    };
    let world = &analysis.world;
    let assumptions = certificate.iter().flat_map(|c| &c.assumptions);
    let fix = part.class.and_then(|class| {
        let language = part
            .culprit
            .as_ref()
            .and_then(|c| world.process(c.actor.task.pid))
            .map(fixes::language_of);
        fixes::fix(class, language.unwrap_or(Language::Any))
    });
    Report {
        schema_version: SCHEMA_VERSION,
        verdict: name_of(verdict),
        confidence: part.confidence.unwrap_or(Confidence::Observed),
        deadlock: part.kind,
        class: part.class,
        related: related(analysis, &part, part.class),
        headline: part.headline,
        target: phrase::actor(world, first_task(analysis, target))
            .unwrap_or_else(|| unseen(target)),
        members: members(analysis, &part.told, &part.rest),
        culprit: part.culprit,
        fix,
        assumptions: assumptions
            .map(|a| Assumed {
                text: phrase::assumption(world, a),
                assumption: a.clone(),
            })
            .collect(),
        closed_world: closed_world(analysis, target, verdict),
        gaps: gaps(analysis, target, &part.told),
        beside,
        looks: looks.len(),
        observed_ms: observed_ms(looks),
        certificate,
    }
}

/// The report when there was no look at all.
pub(crate) fn nothing_seen(target: Pid) -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        verdict: VerdictName::Unproven,
        confidence: Confidence::Observed,
        deadlock: None,
        class: None,
        related: Vec::new(),
        headline: format!(
            "unproven: nothing was looked at, so nothing is known of process {target}"
        ),
        target: unseen(target),
        members: Vec::new(),
        culprit: None,
        fix: None,
        assumptions: Vec::new(),
        closed_world: Vec::new(),
        gaps: Vec::new(),
        beside: Vec::new(),
        looks: 0,
        observed_ms: 0,
        certificate: None,
    }
}

fn name_of(verdict: &Verdict) -> VerdictName {
    match verdict {
        Verdict::Deadlocked { .. } => VerdictName::Deadlocked,
        Verdict::Leaked => VerdictName::Leaked,
        Verdict::Stalled => VerdictName::Stalled,
        Verdict::Stopped => VerdictName::Stopped,
        Verdict::Waiting => VerdictName::Waiting,
        Verdict::Progressing => VerdictName::Progressing,
        Verdict::Unproven => VerdictName::Unproven,
    }
}

fn unseen(pid: Pid) -> Actor {
    let task = TaskId {
        pid,
        tid: crate::snapshot::Tid(pid.0),
    };
    Actor {
        task,
        start_ticks: 0,
        name: Untrusted::default(),
        thread: None,
        command: Vec::new(),
        age_ms: 0,
    }
}

fn first_task(analysis: &Analysis<'_>, pid: Pid) -> TaskId {
    let leader = TaskId {
        pid,
        tid: crate::snapshot::Tid(pid.0),
    };
    match analysis.world.process(pid).and_then(|p| p.tasks.first()) {
        Some(task) => TaskId { pid, tid: task.tid },
        None => leader,
    }
}

fn observed_ms(looks: &[Snapshot]) -> u64 {
    match (looks.first(), looks.last()) {
        (Some(first), Some(last)) => last.scan.at_ms.saturating_sub(first.scan.at_ms),
        _ => 0,
    }
}

fn deadlock(
    analysis: &Analysis<'_>,
    cycle: &[TaskId],
    members: &BTreeSet<TaskId>,
    tier: Tier,
    kind: Kind,
    confidence: Confidence,
) -> Part {
    let found = classify(analysis, members, cycle, tier);
    Part {
        class: found.class,
        headline: headline::deadlock(analysis, cycle, confidence),
        told: cycle.to_vec(),
        rest: members
            .iter()
            .filter(|t| !cycle.contains(t))
            .copied()
            .collect(),
        culprit: culprit(analysis, &found),
        confidence: Some(confidence),
        kind: Some(kind),
    }
}

fn culprit(analysis: &Analysis<'_>, found: &Classified) -> Option<Culprit> {
    let world = &analysis.world;
    let actor = phrase::actor(world, found.culprit)?;
    let name = phrase::name_of_task(world, found.culprit);
    let victim = found.victim.map(|v| phrase::name_of(world, v.pid));
    let why = headline::why(
        found.class,
        &name,
        victim.as_deref(),
        found.channel.as_ref(),
    );
    let channels: BTreeSet<&Channel> = found.channel.iter().collect();
    let holds = channels
        .into_iter()
        .filter_map(|c| held(analysis, found.culprit.pid, c))
        .collect();
    Some(Culprit { actor, why, holds })
}

/// The end of `channel` that `pid` holds: its read end, or if it has none, its write end.
fn held(analysis: &Analysis<'_>, pid: Pid, channel: &Channel) -> Option<Held> {
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
    let inodes = match channel {
        Channel::Pipe { inode } => vec![*inode],
        Channel::Socket { inode, peer } => vec![*inode, *peer],
        Channel::Fifo { file, .. } => vec![file.ino],
        Channel::Pty { .. } | Channel::Eventfd { .. } => vec![],
    };
    let peek = world
        .second
        .peeks
        .iter()
        .find(|p| inodes.contains(&p.inode));
    Some(Held {
        channel: channel.clone(),
        pid,
        fds,
        unread_bytes: peek.and_then(|p| p.unread_bytes),
        head: peek.map(|p| p.head.clone()),
    })
}

fn leaked(analysis: &Analysis<'_>, leak: &Leak) -> Part {
    let world = &analysis.world;
    let reader = phrase::name_of_task(world, leak.reader);
    let holders: BTreeSet<Pid> = leak.holders.keys().copied().collect();
    let why = headline::why(
        Some(leak.class),
        &reader,
        Some(&phrase::names_of(world, &holders)),
        Some(&leak.channel),
    );
    let holds = leak.holders.iter().map(|(pid, fds)| Held {
        channel: leak.channel.clone(),
        pid: *pid,
        fds: fds.clone(),
        unread_bytes: None,
        head: None,
    });
    let culprit = phrase::actor(world, leak.reader).map(|actor| Culprit {
        actor,
        why,
        holds: holds.collect(),
    });
    let mut told = vec![leak.reader];
    told.extend(holders.iter().map(|pid| first_task(analysis, *pid)));
    Part {
        class: Some(leak.class),
        headline: headline::leak(analysis, leak),
        told,
        culprit,
        confidence: Some(Confidence::Probable),
        ..Part::default()
    }
}

fn stalled(analysis: &Analysis<'_>, stall: &Stall) -> Part {
    let world = &analysis.world;
    let found = Classified {
        class: Some(stall.class),
        culprit: stall.reader,
        channel: Some(stall.channel.clone()),
        victim: Some(stall.writer),
    };
    Part {
        class: Some(stall.class),
        headline: format!(
            "stall, probable: {} waits to write to {}, and {}, who could read it, did not in all the time",
            phrase::name_of_task(world, stall.writer),
            stall.channel,
            phrase::name_of(world, stall.reader.pid)
        ),
        told: vec![stall.writer, stall.reader],
        culprit: culprit(analysis, &found),
        confidence: Some(Confidence::Probable),
        ..Part::default()
    }
}

fn chained(analysis: &Analysis<'_>, target: Pid, verdict: &Verdict, chain: &[TaskId]) -> Part {
    let last = chain.last().and_then(|id| analysis.waiting(*id));
    let has = |kind| last.is_some_and(|w| w.is_broken_by(&[kind]));
    let in_kernel = last
        .and_then(|w| analysis.world.task(w.task))
        .is_some_and(|(_, t)| t.state == crate::snapshot::State::Disk);
    let class = match verdict {
        Verdict::Stopped => Some(Class::StoppedReader),
        Verdict::Waiting if is_missed_exit(analysis, chain) => Some(Class::MissedExit),
        Verdict::Waiting if in_kernel => Some(Class::KernelHeld),
        Verdict::Waiting if has(BreakKind::External) => Some(Class::WaitingOutside),
        Verdict::Waiting if has(BreakKind::Live) || has(BreakKind::Timer) => Some(Class::SlowChild),
        _ => None,
    };
    let culprit = match (verdict, chain.last()) {
        (Verdict::Stopped, Some(id)) => phrase::actor(&analysis.world, *id).map(|actor| Culprit {
            actor,
            why: headline::why_stopped(analysis, *id),
            holds: Vec::new(),
        }),
        _ => None,
    };
    Part {
        class,
        headline: headline::chain(analysis, target, verdict, chain),
        told: chain.to_vec(),
        culprit,
        ..Part::default()
    }
}

/// It waits for SIGCHLD, and every child it had has exited: the signal came before it listened, or went to another.
fn is_missed_exit(analysis: &Analysis<'_>, chain: &[TaskId]) -> bool {
    let Some((process, task)) = chain.last().and_then(|id| analysis.world.task(*id)) else {
        return false;
    };
    let awaits_child = matches!(&task.wait, Wait::Signal { awaited, .. }
        if awaited.has(SignalSet::CHLD) && awaited.without(SignalSet::of(&ROUTINE)).is_empty());
    let children = analysis.world.children(process.pid);
    awaits_child && children.iter().all(|c| crate::world::has_exited(c))
}

fn unproven(analysis: &Analysis<'_>, target: Pid, chain: &[TaskId], why: &str) -> Part {
    Part {
        headline: headline::unproven(analysis, target, chain, why),
        told: chain.to_vec(),
        ..Part::default()
    }
}

/// Classes that the same facts fit, and that a reader may know the hang by.
fn related(analysis: &Analysis<'_>, part: &Part, class: Option<Class>) -> Vec<Class> {
    let mut related = BTreeSet::new();
    let awaited = part
        .told
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

fn members(analysis: &Analysis<'_>, told: &[TaskId], rest: &[TaskId]) -> Vec<ReportMember> {
    let is_loop = told.len() > 1;
    let next = |at: usize| {
        told.get((at + 1) % told.len().max(1))
            .copied()
            .filter(|_| is_loop)
    };
    let told_members = told
        .iter()
        .enumerate()
        .filter_map(|(at, id)| member(analysis, *id, next(at), true));
    told_members
        .chain(
            rest.iter()
                .filter_map(|id| member(analysis, *id, None, false)),
        )
        .collect()
}

fn member(
    analysis: &Analysis<'_>,
    id: TaskId,
    toward: Option<TaskId>,
    in_loop: bool,
) -> Option<ReportMember> {
    let world = &analysis.world;
    let (process, task) = world.task(id)?;
    let awaited = phrase::told(analysis, id, toward);
    let channel = awaited.and_then(|a| a.what.channel().cloned());
    Some(ReportMember {
        actor: phrase::actor(world, id)?,
        in_loop,
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
fn closed_world(analysis: &Analysis<'_>, target: Pid, verdict: &Verdict) -> Vec<String> {
    let Verdict::Deadlocked { proof, .. } = verdict else {
        return Vec::new();
    };
    let mut sentences = vec![
        "no signal comes from outside these processes".to_owned(),
        "nobody unseen holds an end: none in another pid namespace, none passed through a socket in flight".to_owned(),
    ];
    let scan = &analysis.world.second.scan;
    if scan.real_timers != Some(0) {
        sentences.push("no alarm(2) or ITIMER_REAL is about to end one of them (/proc does not show whose they are)".to_owned());
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
    let strangers = unread
        .filter(|p| !related.contains(&p.pid) && p.pid != target)
        .count();
    if strangers > 0 {
        sentences.push(format!(
            "{strangers} processes not readable, none of them of this family, hold no end"
        ));
    }
    sentences
}

/// Gaps that matter: of those who take part, of their relatives, and of the machine.
fn gaps(analysis: &Analysis<'_>, target: Pid, told: &[TaskId]) -> Vec<Gap> {
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
