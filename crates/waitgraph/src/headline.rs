//! The first line: the verdict in one sentence that a tired engineer understands.

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::awaited::What;
use crate::channel::Channel;
use crate::class::Class;
use crate::diagnose::Verdict;
use crate::leak::{Leak, Manner};
use crate::phrase::{name_of, name_of_task, names_of, told, waits};
use crate::report::Confidence;
use crate::snapshot::{Pid, State};
use crate::world::TaskId;

/// Members that the sentence tells one by one; the picture has the rest.
const TOLD: usize = 4;

pub(crate) fn deadlock(
    analysis: &Analysis<'_>,
    cycle: &[TaskId],
    confidence: Confidence,
) -> String {
    let next = |at: usize| cycle.get((at + 1) % cycle.len().max(1)).copied();
    let mut parts: Vec<String> = cycle
        .iter()
        .enumerate()
        .take(TOLD)
        .map(|(at, id)| {
            format!(
                "{} {}",
                name_of_task(&analysis.world, *id),
                waits(analysis, *id, next(at))
            )
        })
        .collect();
    if cycle.len() > TOLD {
        parts.push(format!("and so on over {} more", cycle.len() - TOLD));
    } else if let (Some(last), Some(part)) = (last_word(analysis, cycle), parts.last_mut()) {
        part.push_str(&last);
    }
    format!("deadlock, {}: {}", confidence.word(), parts.join("; "))
}

/// That the one who could end the last wait of the loop does not.
fn last_word(analysis: &Analysis<'_>, cycle: &[TaskId]) -> Option<String> {
    let (first, last) = (cycle.first()?, cycle.last()?);
    let name = name_of(&analysis.world, first.pid);
    match told(analysis, *last, Some(*first))?.what {
        _ if first.pid == last.pid => None,
        What::Room { .. } => Some(format!(", and {name} is not reading")),
        What::Data { .. } => Some(format!(", and {name} neither writes nor closes it")),
        _ => None,
    }
}

pub(crate) fn leak(analysis: &Analysis<'_>, leak: &Leak) -> String {
    let world = &analysis.world;
    let holders: BTreeSet<Pid> = leak.holders.keys().copied().collect();
    let how = match leak.class {
        Class::GrandchildHolds => "whose own parent has exited, still holds",
        _ => "another program that was never meant to have it, holds",
    };
    let chain = leak.behind.iter().chain([&leak.reader]);
    let mut links = String::new();
    for (id, next) in leak.behind.iter().zip(chain.skip(1)) {
        let waits = waits(analysis, *id, Some(*next));
        links.push_str(&format!("{} {waits}; ", name_of_task(world, *id)));
    }
    let again = match leak.manner {
        Manner::ForGood => "",
        Manner::AgainAndAgain => ", again and again after each timeout,",
    };
    format!(
        "leak, probable: {links}{} waits{again} for the end of {}, which does not come, because {}, {how} its {}",
        name_of_task(world, leak.reader),
        leak.channel,
        names_of(world, &holders),
        match leak.channel {
            Channel::Pty { .. } => "other side",
            _ => "write end",
        }
    )
}

pub(crate) fn chain(
    analysis: &Analysis<'_>,
    target: Pid,
    verdict: &Verdict,
    chain: &[TaskId],
) -> String {
    let world = &analysis.world;
    let name = name_of(world, target);
    let word = match verdict {
        Verdict::Stopped => "stopped",
        Verdict::Waiting => "waiting",
        _ => "progressing",
    };
    if chain.is_empty() {
        return format!("{word}: {name} has ended or is about to");
    }
    let next = |at: usize| chain.get(at + 1).copied();
    let links: Vec<String> = chain
        .iter()
        .enumerate()
        .map(|(at, id)| {
            format!(
                "{} {}",
                name_of_task(world, *id),
                link(analysis, *id, next(at))
            )
        })
        .collect();
    let shown = match links.as_slice() {
        [first, .., last] if links.len() > TOLD => format!("{first}; …; {last}"),
        _ => links.join("; "),
    };
    format!("{word}: {shown}")
}

fn link(analysis: &Analysis<'_>, id: TaskId, next: Option<TaskId>) -> String {
    match (next, analysis.waiting(id).and_then(|w| w.breaks.first())) {
        (None, Some(broken)) => broken.why.clone(),
        (next, _) => waits(analysis, id, next),
    }
}

pub(crate) fn unproven(
    analysis: &Analysis<'_>,
    target: Pid,
    chain: &[TaskId],
    why: &str,
) -> String {
    let world = &analysis.world;
    match chain.last() {
        Some(last) if last.pid != target => format!(
            "unproven: {} hangs on {}, which {why}",
            name_of(world, target),
            name_of_task(world, *last)
        ),
        Some(last) => format!("unproven: {} {why}", name_of_task(world, *last)),
        None => format!("unproven: {}: {why}", name_of(world, target)),
    }
}

/// Who stopped it, and how it goes on.
pub(crate) fn why_stopped(analysis: &Analysis<'_>, id: TaskId) -> String {
    let world = &analysis.world;
    let name = name_of(world, id.pid);
    let Some((process, task)) = world.task(id) else {
        return format!("{name} is stopped");
    };
    match (process.tracer, task.state) {
        (Some(tracer), _) => format!(
            "{name} is held by its tracer, {}: let it go on, or detach",
            name_of(world, tracer)
        ),
        (None, State::Stopped) => format!(
            "{name} was stopped by a signal (Ctrl-Z, a shell's job control, SIGSTOP): fg, or kill -CONT {}",
            id.pid
        ),
        (None, _) => format!(
            "{name} is frozen by its control group: thaw the container, or write 0 to its cgroup.freeze"
        ),
    }
}

/// Why he, of all members, must change.
pub(crate) fn why(
    class: Option<Class>,
    culprit: &str,
    victim: Option<&str>,
    channel: Option<&Channel>,
) -> String {
    let victim = victim.unwrap_or("the other side");
    let channel = channel.map_or_else(|| "the channel".to_owned(), ToString::to_string);
    match class {
        Some(Class::WaitThenRead | Class::PollingWaiter) => format!(
            "{culprit} waits for {victim} to exit and leaves {channel} unread, which {victim} must get rid of first"
        ),
        Some(Class::SequentialRead | Class::UnreadStream) => {
            format!("{culprit} reads one stream of {victim}, and {channel}, the other, fills up")
        }
        Some(Class::WriteAllThenRead) => {
            format!(
                "{culprit} writes all its input before it reads what {victim} answers on {channel}"
            )
        }
        Some(Class::BackPressureForgotten) => {
            format!(
                "the event loop of {culprit} no longer watches {channel}, and {victim} waits for it to"
            )
        }
        Some(Class::JoinOrder) => {
            format!(
                "{culprit} waits for one process while another, {victim}, waits for it to read {channel}"
            )
        }
        Some(Class::Diamond) => {
            format!("{culprit} reads one branch while {victim} is stuck on the other, {channel}")
        }
        Some(Class::QueueFeeder) => {
            format!(
                "{culprit} joins {victim} before it has emptied the queue that {victim} still feeds"
            )
        }
        Some(Class::PtyUnread) => {
            format!("{culprit} holds the master of {channel} and does not read it")
        }
        Some(Class::SocketpairFull | Class::SinkStalled) => {
            format!("{culprit} does not read {channel}, and {victim} waits for it to")
        }
        Some(Class::OwnWriteEnd) => {
            format!("{culprit} holds the write end of the very {channel} that it reads to its end")
        }
        Some(Class::LeakedToSibling) => {
            format!(
                "the write end of {channel} leaked into {victim}, so that {culprit} sees no end of it"
            )
        }
        Some(Class::GrandchildHolds) => format!(
            "{culprit} waits for the end of {channel} though the child it started has exited; {victim} holds on to it"
        ),
        Some(Class::StdinNeverClosed) => {
            format!("{culprit} waits for {victim}, and never closes {channel}, its input")
        }
        Some(Class::StdioBufferStandoff) => {
            format!(
                "{culprit} reads, and what it wrote before for {victim} most likely still sits in its own buffer"
            )
        }
        Some(Class::CoprocessStandoff) => {
            format!("{culprit} and {victim} each read, and wait for the other to speak")
        }
        Some(Class::FifoOpenOrder) => {
            format!("{culprit} opens its FIFOs in another order than whoever it should meet there")
        }
        Some(Class::ForkLock) => format!(
            "{culprit} forked while one of its threads held a lock; in {victim}, the copy, that lock is never released"
        ),
        Some(Class::JobserverTokens) => {
            format!("{culprit} waits for a token of {channel}, and everybody who has one waits too")
        }
        _ => format!("{culprit} waits for something that only the others of this loop could do"),
    }
}
