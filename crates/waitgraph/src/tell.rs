//! From a verdict and what it rests on to a report.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::awaited::{BreakKind, What};
use crate::channel::Channel;
use crate::class::Class;
use crate::classify::Classified;
use crate::diagnose::{Story, Verdict};
use crate::evidence::{self, Shape};
use crate::fixes::{self, Language};
use crate::headline;
use crate::leak::Leak;
use crate::phrase;
use crate::report::{
    Actor, Assumed, Confidence, Culprit, Finding, Held, Kind, Report, SCHEMA_VERSION, VerdictName,
};
use crate::snapshot::{Pid, Process, Snapshot};
use crate::stall::Stall;
use crate::untrusted::Untrusted;
use crate::wait::{SignalSet, Wait};
use crate::waiting::ROUTINE;
use crate::world::TaskId;

/// What each kind of story adds to a report.
#[derive(Debug, Default)]
struct Part {
    class: Option<Class>,
    /// Classes of other loops in the same set.
    related: BTreeSet<Class>,
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
            kind,
            found,
            others,
            proof,
        } => {
            let confidence = if proof.is_strict() {
                Confidence::Proven
            } else {
                Confidence::Probable
            };
            Part {
                related: others.clone(),
                ..deadlock(analysis, cycle, members, found, *kind, confidence)
            }
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
    let shape = if certificate.is_some() {
        Shape::Loop
    } else {
        Shape::Chain
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
    let members = evidence::members(analysis, &part.told, shape, &part.rest);
    let name = name_of(verdict);
    let confidence = part.confidence.unwrap_or(Confidence::Observed);
    let finding = beside
        .iter()
        .map(|other| other.finding)
        .fold(Finding::of(name, confidence), Finding::max);
    Report {
        schema_version: SCHEMA_VERSION,
        verdict: name,
        confidence,
        finding,
        deadlock: part.kind,
        class: part.class,
        related: evidence::related(analysis, &part.told, part.class, part.related),
        headline: part.headline,
        target: phrase::actor(world, first_task(analysis, target))
            .unwrap_or_else(|| unseen(target)),
        inside: evidence::inside(analysis, &members),
        members,
        culprit: part.culprit,
        fix,
        assumptions: assumptions
            .map(|a| Assumed {
                text: phrase::assumption(analysis, a),
                assumption: a.clone(),
            })
            .collect(),
        closed_world: evidence::closed_world(analysis, target, verdict),
        gaps: evidence::gaps(analysis, target, &part.told),
        beside,
        looks: looks
            .iter()
            .map(|look| 1 + usize::try_from(look.scan.dropped_before).unwrap_or(0))
            .sum(),
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
        finding: Finding::Incomplete,
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
        inside: Vec::new(),
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
    match analysis.world.process(pid).and_then(Process::leader) {
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
    found: &Classified,
    kind: Kind,
    confidence: Confidence,
) -> Part {
    Part {
        class: found.class,
        headline: headline::deadlock(analysis, cycle, confidence),
        told: cycle.to_vec(),
        rest: members
            .iter()
            .filter(|t| !cycle.contains(t))
            .copied()
            .collect(),
        culprit: culprit(analysis, found),
        confidence: Some(confidence),
        kind: Some(kind),
        ..Part::default()
    }
}

fn culprit(analysis: &Analysis<'_>, found: &Classified) -> Option<Culprit> {
    let world = &analysis.world;
    let actor = phrase::actor(world, found.culprit)?;
    let name = phrase::name_of_task(world, found.culprit);
    let victim = found.victim.map(|v| phrase::name_of(world, v.pid));
    let mut awaited = analysis.waiting(found.culprit)?.awaited.iter();
    let why = match found.class {
        None if awaited.all(|a| a.what == What::Futex) => {
            format!("{name} waits for a lock that nobody outside its process can release")
        }
        class => headline::why(class, &name, victim.as_deref(), found.channel.as_ref()),
    };
    let channels: BTreeSet<&Channel> = found.channel.iter().collect();
    let holds = channels
        .into_iter()
        .filter_map(|c| evidence::held(analysis, found.culprit.pid, c))
        .collect();
    Some(Culprit { actor, why, holds })
}

fn leaked(analysis: &Analysis<'_>, leak: &Leak) -> Part {
    let world = &analysis.world;
    let holders: BTreeSet<Pid> = leak.holders.keys().copied().collect();
    // Whoever made the pipe can do without its end; whoever was given one to read to its end cannot.
    let (culprit, name) = if leak.maker == leak.reader.pid {
        (leak.reader, phrase::name_of_task(world, leak.reader))
    } else {
        let reader = phrase::name_of(world, leak.reader.pid);
        let maker = phrase::name_of(world, leak.maker);
        (
            first_task(analysis, leak.maker),
            format!("{maker}, by way of {reader},"),
        )
    };
    let why = headline::why(
        Some(leak.class),
        &name,
        Some(&phrase::names_of(world, &holders)),
        Some(&leak.channel),
    );
    let holds = leak.holders.iter().map(|(pid, fds)| Held {
        channel: leak.channel.clone(),
        pid: *pid,
        fds: fds.clone(),
    });
    let culprit = phrase::actor(world, culprit).map(|actor| Culprit {
        actor,
        why,
        holds: holds.collect(),
    });
    let mut told = leak.behind.clone();
    told.push(leak.reader);
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
