//! From looks at the machine to a diagnosis.

use std::collections::BTreeSet;

use crate::analysis::{Analysis, Tier};
use crate::awaited::{BreakKind, What};
use crate::certificate::Certificate;
use crate::check::{Proof, Refusal, check};
use crate::class::Class;
use crate::classify::{Classified, class_of_loop, classify};
use crate::graph::Graph;
use crate::leak::{self, Leak};
use crate::loops::{self, Told};
use crate::report::{Kind, Report};
use crate::snapshot::{Pid, Snapshot};
use crate::stall::{self, Stall};
use crate::tell;
use crate::wait::Wait;
use crate::waiting::Waiting;
use crate::world::{TaskId, has_exited};

/// What the looks say of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    verdict: Verdict,
    report: Report,
}

/// A verdict. That of a deadlock holds a [`Proof`], which only the checker makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No task of the proof's certificate can be woken by any outside it.
    Deadlocked {
        /// The checked certificate.
        proof: Proof,
        /// Whether a bigger buffer would cure it.
        kind: Kind,
    },
    /// An end of file does not come: a holder keeps the write end who was never meant to.
    Leaked,
    /// A reader lives and, for the whole window, did not read.
    Stalled,
    /// All hangs on somebody stopped, traced or frozen.
    Stopped,
    /// On a live process, a timer or the outside.
    Waiting,
    /// It moves.
    Progressing,
    /// The evidence does not suffice.
    Unproven,
}

impl Diagnosis {
    /// The verdict, with its proof.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Everything else, as plain data.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// Diagnoses one process.
///
/// `looks` are in the order in which they were taken. The last two must agree on every member for a proof; a stall
/// takes at least three that span a second. With fewer than two, nothing is proven.
pub fn diagnose(looks: &[Snapshot], target: Pid) -> Diagnosis {
    match looks {
        [.., first, second] => Examination::new(looks, first, second).of(target),
        [only] => {
            // Against itself a look would seem to agree; what it lacks is said instead.
            let analysis = Analysis::new(only, only);
            let story = Story::Unproven {
                chain: vec![],
                why: "one look only: two must agree".to_owned(),
            };
            finish(
                &analysis,
                looks,
                target,
                Verdict::Unproven,
                story,
                Vec::new(),
            )
        }
        [] => Diagnosis {
            verdict: Verdict::Unproven,
            report: tell::nothing_seen(target),
        },
    }
}

/// How many of `looks` show most of `target`: up to the last two that show a deadlock, if none of those in it has moved since. A
/// helper of a Java virtual machine that runs just then hides one from the last two.
pub fn looks_that_show_most(looks: &[Snapshot], target: Pid) -> usize {
    let shows = |count: &usize| {
        let earlier = looks.get(..*count).unwrap_or(looks);
        match diagnose(earlier, target).verdict() {
            Verdict::Deadlocked { proof, .. } => {
                slept_on(proof.certificate(), earlier.last(), looks.last())
            }
            _ => false,
        }
    };
    let counts = (2..=looks.len()).rev();
    counts
        .into_iter()
        .find(|count| shows(count))
        .unwrap_or(looks.len())
}

fn slept_on(certificate: &Certificate, from: Option<&Snapshot>, to: Option<&Snapshot>) -> bool {
    let mut claimed = certificate.members.iter().chain(&certificate.relatives);
    claimed.all(|member| {
        let at = |look: Option<&Snapshot>| {
            let process = look?.process(member.task.pid)?;
            let is_same = process.start_ticks == member.start_ticks;
            let mut tasks = process.tasks.iter().filter(|_| is_same);
            let task = tasks.find(|task| task.tid == member.task.tid)?;
            Some((
                task.state,
                task.syscall.clone(),
                task.switches_voluntary?,
                task.switches_involuntary?,
            ))
        };
        at(from).is_some() && at(from) == at(to)
    })
}

/// Diagnoses a whole machine: every deadlock and every leak, each once, by the process that must change.
pub fn diagnose_all(looks: &[Snapshot]) -> Vec<Diagnosis> {
    let [.., first, second] = looks else {
        return Vec::new();
    };
    let examination = Examination::new(looks, first, second);
    let everybody: BTreeSet<Pid> = second.processes.iter().map(|p| p.pid).collect();
    examination.of_several(&everybody, &BTreeSet::new())
}

/// What a verdict rests on, for telling it.
#[derive(Debug, Clone)]
pub(crate) enum Story {
    Deadlock {
        cycle: Vec<TaskId>,
        members: BTreeSet<TaskId>,
        kind: Kind,
        found: Classified,
        /// Classes of the loops in the same set that are not told.
        others: BTreeSet<Class>,
        proof: Proof,
    },
    Leak(Leak),
    Stall(Stall),
    /// The way from the target to whom it hangs on.
    Chain(Vec<TaskId>),
    Unproven {
        chain: Vec<TaskId>,
        why: String,
    },
}

struct Examination<'a> {
    looks: &'a [Snapshot],
    analysis: Analysis<'a>,
    strict: Graph,
    probable: Graph,
}

impl<'a> Examination<'a> {
    fn new(looks: &'a [Snapshot], first: &'a Snapshot, second: &'a Snapshot) -> Self {
        let analysis = Analysis::new(first, second);
        let (strict, probable) = (analysis.graph(Tier::Strict), analysis.graph(Tier::Probable));
        Self {
            looks,
            analysis,
            strict,
            probable,
        }
    }

    fn of(&self, target: Pid) -> Diagnosis {
        let (verdict, story) = self.judge(target);
        let told: BTreeSet<TaskId> = match &story {
            Story::Deadlock { members, .. } => members.clone(),
            Story::Leak(leak) => BTreeSet::from([leak.reader]),
            _ => BTreeSet::new(),
        };
        let family = &self.analysis.world.second.processes;
        let below = family
            .iter()
            .map(|p| p.pid)
            .filter(|p| self.analysis.world.is_descendant(*p, target));
        let beside = self.of_several(&below.collect(), &told);
        let beside = beside.into_iter().map(|d| d.report).collect();
        finish(&self.analysis, self.looks, target, verdict, story, beside)
    }

    /// The deadlocks and leaks among several processes, each told once; those in `told` not again.
    fn of_several(&self, pids: &BTreeSet<Pid>, told: &BTreeSet<TaskId>) -> Vec<Diagnosis> {
        let mut told = told.clone();
        let mut found = Vec::new();
        for pid in pids {
            // Whether a program was given an end on purpose at a number of its own, only somebody who asks about the
            // reader can tell: unasked, a leak is told only where the holder's parent has gone.
            let orphan_holds = |leak: &Leak| leak.class == Class::GrandchildHolds;
            let own_leak = || leak::own(&self.analysis, self.looks, *pid).filter(orphan_holds);
            let found_here = self
                .deadlock(*pid)
                .or_else(|| own_leak().map(|leak| (Verdict::Leaked, Story::Leak(leak))));
            let Some((verdict, story)) = found_here else {
                continue;
            };
            let members = match &story {
                Story::Deadlock { members, .. } => members.clone(),
                Story::Leak(leak) => BTreeSet::from([leak.reader]),
                _ => BTreeSet::new(),
            };
            // Who merely hangs on a deadlock that is told already adds nothing; what else he hangs on may be one of its own.
            if members.iter().any(|m| told.contains(m)) {
                continue;
            }
            told.extend(members);
            found.push(finish(
                &self.analysis,
                self.looks,
                *pid,
                verdict,
                story,
                Vec::new(),
            ));
        }
        found
    }

    fn judge(&self, target: Pid) -> (Verdict, Story) {
        let Some(process) = self.analysis.world.process(target) else {
            let why = "it is not in the look: it has ended, or is hidden".to_owned();
            return (Verdict::Unproven, Story::Unproven { chain: vec![], why });
        };
        if has_exited(process) {
            return (Verdict::Progressing, Story::Chain(vec![]));
        }
        self.deadlock(target)
            .or_else(|| self.leak(target))
            .or_else(|| self.stall(target))
            .or_else(|| self.stopped(target))
            .or_else(|| self.unproven(target))
            .or_else(|| self.locked(target))
            .unwrap_or_else(|| self.alive(target))
    }

    fn deadlock(&self, target: Pid) -> Option<(Verdict, Story)> {
        [&self.strict, &self.probable]
            .into_iter()
            .find_map(|graph| self.deadlock_in(graph, target))
    }

    fn deadlock_in(&self, graph: &Graph, target: Pid) -> Option<(Verdict, Story)> {
        let Told { start, cycle } = loops::told(&self.analysis, graph, target)?;
        let members = graph.reach(start);
        // A certificate that the checker refuses is worth nothing, whoever made it.
        let proof = self
            .check(&self.analysis.certificate(graph, &members))
            .ok()?;
        // Who merely hangs on the loop may hang there by a full channel, which cures nothing when it is made bigger.
        let kind = self.kind(
            &cycle
                .first()
                .map_or_else(BTreeSet::new, |id| graph.reach(*id)),
        );
        let found = classify(&self.analysis, graph, &members, &cycle);
        let others = loops::others(&self.analysis, graph, &members, &cycle)
            .iter()
            .filter_map(|other| class_of_loop(&self.analysis, graph, other))
            .collect();
        let verdict = Verdict::Deadlocked {
            proof: proof.clone(),
            kind,
        };
        Some((
            verdict,
            Story::Deadlock {
                cycle,
                members,
                kind,
                found,
                others,
                proof,
            },
        ))
    }

    fn check(&self, certificate: &Certificate) -> Result<Proof, Refusal> {
        check(
            self.analysis.world.first,
            self.analysis.world.second,
            certificate,
        )
    }

    /// `members` are the loop and all that it hangs on.
    fn kind(&self, members: &BTreeSet<TaskId>) -> Kind {
        let awaited = || {
            members
                .iter()
                .filter_map(|id| self.analysis.waiting(*id))
                .flat_map(|w| &w.awaited)
        };
        if awaited().any(|a| a.what.shows_full()) {
            return Kind::Artificial;
        }
        // An edge-triggered set, or a ring, sleeps on full and on empty channels alike.
        let opaque = members.iter().any(|id| {
            self.analysis.world.task(*id).is_some_and(|(p, t)| match &t.wait {
                Wait::IoUring { .. } => true,
                Wait::Epoll { fd, .. } => matches!(
                    p.table_of(t).get(*fd).map(|d| &d.object),
                    Some(crate::descriptor::Object::Epoll { targets })
                        if targets.iter().any(|t| t.events.edge_triggered() && t.events.writes())
                ),
                _ => false,
            })
        });
        if opaque {
            Kind::Undetermined
        } else {
            Kind::True
        }
    }

    fn leak(&self, target: Pid) -> Option<(Verdict, Story)> {
        let found = leak::of(&self.analysis, self.looks, target)?;
        Some((Verdict::Leaked, Story::Leak(found)))
    }

    /// A stall that the target is part of: as the writer, or as the reader that some writer waits for.
    fn stall(&self, target: Pid) -> Option<(Verdict, Story)> {
        let writers = self.analysis.world.tasks().into_iter().filter(|id| {
            self.analysis
                .waiting(*id)
                .is_some_and(|w| w.awaited.iter().any(|a| a.what.shows_full()))
        });
        let stalls: Vec<Stall> = writers
            .filter_map(|w| stall::find(&self.analysis, self.looks, w))
            .collect();
        // One that does not read and hangs as a writer too is told by what he does not do: that is his to change.
        let reads_not = stalls.iter().find(|s| s.reader.pid == target);
        let found = reads_not.or_else(|| stalls.iter().find(|s| s.writer.pid == target));
        found.map(|s| (Verdict::Stalled, Story::Stall(s.clone())))
    }

    fn stopped(&self, target: Pid) -> Option<(Verdict, Story)> {
        let graph = self.analysis.graph(Tier::Stopped);
        let start = self.main_task(target)?;
        if !graph.is_deadlocked(start) {
            return None;
        }
        let chain = graph.path_to(start, |id| self.is_broken_by(id, BreakKind::Stopped))?;
        Some((Verdict::Stopped, Story::Chain(chain)))
    }

    /// What would be a deadlock if all that is not known were asleep for good is not called anything better.
    fn unproven(&self, target: Pid) -> Option<(Verdict, Story)> {
        let graph = self.analysis.graph(Tier::Unknown);
        let start = self.main_task(target)?;
        if !graph.is_deadlocked(start) {
            return None;
        }
        let chain = graph.path_to(start, |id| self.is_broken_by(id, BreakKind::Unknown))?;
        let last = chain.last().and_then(|id| self.analysis.waiting(*id));
        let why = last.and_then(|w| w.breaks.iter().find(|b| b.kind == BreakKind::Unknown));
        let why = why.map_or_else(
            || "something could not be read".to_owned(),
            |b| b.why.clone(),
        );
        Some((Verdict::Unproven, Story::Unproven { chain, why }))
    }

    /// One in which everybody waits for a lock of the process, for good: a loop of locks, or a program that has nothing to do. Outside
    /// of it the two look the same.
    fn locked(&self, target: Pid) -> Option<(Verdict, Story)> {
        let start = self.main_task(target)?;
        let members = self.probable.reach(start);
        let by_lock = |id: &TaskId| {
            let mut awaited = self
                .analysis
                .waiting(*id)
                .into_iter()
                .flat_map(|w| &w.awaited);
            awaited.all(|a| a.what == What::Futex)
        };
        if !self.probable.is_deadlocked(start) || !members.iter().all(by_lock) {
            return None;
        }
        let why = format!(
            "waits for a lock of its own process, as all of its threads do: whether that is a loop of locks or a program that idles does not \
             show outside; `py-spy dump --pid {target}` (Python), `jstack {target}` (Java) or `gdb -p {target} -batch -ex 'thread apply all bt'` \
             shows what each of them is doing"
        );
        let chain = vec![start];
        Some((Verdict::Unproven, Story::Unproven { chain, why }))
    }

    fn alive(&self, target: Pid) -> (Verdict, Story) {
        let Some(start) = self.main_task(target) else {
            return (Verdict::Progressing, Story::Chain(vec![]));
        };
        if self
            .analysis
            .waiting(start)
            .is_some_and(|w| w.is_broken_by(&[BreakKind::Live]))
        {
            return (Verdict::Progressing, Story::Chain(vec![start]));
        }
        // The way to the nearest one that may move; a task that sleeps for good on the way is no end of it.
        let moves = |id| {
            self.analysis
                .waiting(id)
                .is_some_and(|w| !w.breaks.is_empty())
        };
        let chain = self
            .probable
            .path_to(start, moves)
            .unwrap_or_else(|| vec![start]);
        (Verdict::Waiting, Story::Chain(chain))
    }

    fn is_broken_by(&self, id: TaskId, kind: BreakKind) -> bool {
        self.analysis
            .waiting(id)
            .is_some_and(|w| w.is_broken_by(&[kind]))
    }

    /// The task that speaks for a process: one that moves, else one in a call of the kernel, else the first.
    fn main_task(&self, target: Pid) -> Option<TaskId> {
        let tasks: Vec<&Waiting> = self
            .analysis
            .of_process(target)
            .filter(|w| w.helper_of.is_none())
            .collect();
        let moves = |w: &&&Waiting| w.is_broken_by(&[BreakKind::Live]);
        let wait = |w: &Waiting| self.analysis.world.task(w.task).map(|(_, t)| &t.wait);
        let in_kernel = |w: &&&Waiting| !matches!(wait(w), Some(Wait::Futex { .. }));
        let first = tasks
            .iter()
            .find(moves)
            .or_else(|| tasks.iter().find(in_kernel));
        first.or_else(|| tasks.first()).map(|w| w.task)
    }
}

fn finish(
    analysis: &Analysis<'_>,
    looks: &[Snapshot],
    target: Pid,
    verdict: Verdict,
    story: Story,
    beside: Vec<Report>,
) -> Diagnosis {
    let report = tell::report(analysis, looks, target, &verdict, &story, beside);
    Diagnosis { verdict, report }
}
