//! Laws: the reduction against brute force, and what a certificate, a holder and a gap may do.

use std::collections::{BTreeMap, BTreeSet};

use pipeclog_waitgraph::awaited::Assumption;
use pipeclog_waitgraph::bundle;
use pipeclog_waitgraph::certificate::{Certificate, Member};
use pipeclog_waitgraph::check::check;
use pipeclog_waitgraph::descriptor::Table;
use pipeclog_waitgraph::diagnose::{Verdict, diagnose, diagnose_all};
use pipeclog_waitgraph::redact::redact;
use pipeclog_waitgraph::reduce::deadlocked;
use pipeclog_waitgraph::report::{Confidence, Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Listing, Pid, Snapshot, State};
use pipeclog_waitgraph::wait::{Timeout, Wait};
use proptest::prelude::*;

use crate::scene::*;

/// Graphs of up to eight nodes: who is asleep, and who can wake whom.
fn graphs() -> impl Strategy<Value = (Vec<bool>, Vec<Vec<usize>>)> {
    (1usize..=8).prop_flat_map(|n| {
        let asleep = proptest::collection::vec(proptest::bool::weighted(0.8), n);
        let wakers = proptest::collection::vec(proptest::collection::vec(0..n, 0..=3), n);
        (asleep, wakers)
    })
}

/// The union of all sets of sleepers whose wakers are within the set: 2^n sets, each tried.
fn brute_force(asleep: &[bool], wakers: &[Vec<usize>]) -> Vec<bool> {
    let n = asleep.len();
    let mut union = 0usize;
    for set in 0..1usize << n {
        let has = |i: usize| set >> i & 1 == 1;
        let closed = (0..n)
            .filter(|i| has(*i))
            .all(|i| asleep[i] && wakers[i].iter().all(|w| has(*w)));
        if closed {
            union |= set;
        }
    }
    (0..n).map(|i| union >> i & 1 == 1).collect()
}

/// Scenes of up to five processes and four pipes, each process blocked or running, holding any ends.
#[derive(Debug, Clone)]
struct Plan {
    processes: Vec<PlannedProcess>,
}

#[derive(Debug, Clone)]
struct PlannedProcess {
    parent: usize,
    ends: Vec<(u64, bool)>,
    does: u8,
    which: usize,
    second_thread: Option<u8>,
    catches_child: bool,
}

fn plans() -> impl Strategy<Value = Plan> {
    let process = (
        0usize..8,
        proptest::collection::vec((0u64..4, any::<bool>()), 0..4),
        0u8..9,
        0usize..4,
        proptest::option::weighted(0.3, 0u8..3),
        proptest::bool::weighted(0.15),
    )
        .prop_map(
            |(parent, ends, does, which, second_thread, catches_child)| PlannedProcess {
                parent,
                ends,
                does,
                which,
                second_thread,
                catches_child,
            },
        );
    proptest::collection::vec(process, 2..=5).prop_map(|processes| Plan { processes })
}

impl Plan {
    fn scene(&self) -> Scene {
        let mut scene = Scene::new();
        let pid = |at: usize| 10 + at as u32;
        for (at, p) in self.processes.iter().enumerate() {
            let end = |n: usize| 3 + (n % p.ends.len().max(1)) as u32;
            let has = !p.ends.is_empty();
            let reads_it = has && !p.ends[p.which % p.ends.len()].1;
            let wait = match p.does {
                0 => Wait::Running,
                1 => wait_any(),
                2 => futex(),
                3 => sleep_ms(1000),
                4 if has => poll(&[(end(p.which), POLLIN), (end(p.which + 1), POLLIN)]),
                5 if has => poll_for(&[(end(p.which), POLLIN)], Timeout::After(1)),
                _ if reads_it => read(end(p.which)),
                _ if has => write(end(p.which)),
                _ => wait_any(),
            };
            // A parent has a lower number; that of the first, and of an orphan, is init.
            let ppid = match p.parent {
                _ if at == 0 => 1,
                5.. => 1,
                parent => pid(parent % at),
            };
            let mut editor = scene.process(pid(at), ppid, "p", wait);
            for (n, (pipe, writes_it)) in p.ends.iter().enumerate() {
                let open = if *writes_it {
                    writes(100 + pipe)
                } else {
                    reads(100 + pipe)
                };
                editor = editor.fd(3 + n as u32, open);
            }
            if let Some(kind) = p.second_thread {
                let wait = [futex(), sleep_ms(5), futex()][usize::from(kind)].clone();
                editor = editor.thread(100 + pid(at), "t", wait);
            }
            if p.catches_child {
                editor.catches(&[17]);
            }
        }
        scene
    }

    fn top(&self, pid: u32) -> u32 {
        let scene = self.scene();
        let mut at = pid;
        while let Some(process) = scene.processes.get(&at)
            && process.ppid.0 > 1
        {
            at = process.ppid.0;
        }
        at
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        (0..self.processes.len()).map(|at| 10 + at as u32)
    }
}

fn strength(report: &Report) -> u8 {
    match (report.verdict, report.confidence) {
        (VerdictName::Deadlocked, Confidence::Proven) => 2,
        (VerdictName::Deadlocked, _) => 1,
        _ => 0,
    }
}

fn strengths(looks: &[Snapshot], plan: &Plan) -> Vec<u8> {
    plan.pids()
        .map(|pid| strength(diagnose(looks, Pid(pid)).report()))
        .collect()
}

/// What somebody who reads the rules aloud would do, over single-threaded scenes of pipes and waits for children: who is
/// deadlocked, and whether anybody lives who was started together with one of those that he hangs on.
fn oracle(scene: &Scene) -> BTreeMap<u32, Confidence> {
    let processes: Vec<_> = scene.processes.values().collect();
    let index = |pid: u32| processes.iter().position(|p| p.pid.0 == pid);
    let mut asleep = Vec::new();
    let mut wakers: Vec<Vec<usize>> = Vec::new();
    for process in &processes {
        let opposite = |fd: u32, waits_to_read: bool| -> Option<Vec<usize>> {
            let d = process.table.get(fd)?;
            let wanted = match d.object {
                pipeclog_waitgraph::descriptor::Object::Pipe { inode } => inode,
                _ => return None,
            };
            let holds = |p: &&&pipeclog_waitgraph::snapshot::Process| {
                p.table.known().iter().any(|o| {
                    matches!(o.object, pipeclog_waitgraph::descriptor::Object::Pipe { inode } if inode == wanted)
                        && (if waits_to_read { o.access.writes() } else { o.access.reads() })
                })
            };
            let found: Vec<usize> = processes
                .iter()
                .filter(holds)
                .filter_map(|p| index(p.pid.0))
                .collect();
            (!found.is_empty()).then_some(found)
        };
        let resolved = match &process.tasks[0].wait {
            Wait::Read { fd, .. } => opposite(*fd, true),
            Wait::Write { fd, .. } => opposite(*fd, false),
            Wait::Poll {
                set: Some(set),
                timeout: Timeout::Never,
                ..
            } => set
                .iter()
                .map(|e| {
                    opposite(
                        e.fd,
                        process.table.get(e.fd).is_some_and(|d| d.access.reads()),
                    )
                })
                .collect::<Option<Vec<_>>>()
                .map(|v| v.concat()),
            Wait::Child { .. } => {
                let children: Vec<usize> = processes
                    .iter()
                    .filter(|p| p.ppid == process.pid)
                    .filter_map(|p| index(p.pid.0))
                    .collect();
                (!children.is_empty()).then_some(children)
            }
            Wait::Futex { .. } => Some(vec![]),
            _ => None,
        };
        asleep.push(resolved.is_some());
        wakers.push(resolved.unwrap_or_default());
    }
    let inside = brute_force(&asleep, &wakers);
    let in_kernel = |at: usize| !matches!(processes[at].tasks[0].wait, Wait::Futex { .. });
    let top = |mut at: usize| {
        while let Some(parent) = index(processes[at].ppid.0) {
            at = parent;
        }
        at
    };
    let confidence = |at: usize| {
        let mut hangs_on = BTreeSet::from([at]);
        for _ in 0..processes.len() {
            let more: Vec<usize> = hangs_on.iter().flat_map(|at| wakers[*at].clone()).collect();
            hangs_on.extend(more);
        }
        let tops: BTreeSet<usize> = hangs_on.iter().map(|at| top(*at)).collect();
        let mut run = (0..processes.len()).filter(|other| tops.contains(&top(*other)));
        match run.all(|other| inside[other]) {
            true => Confidence::Proven,
            false => Confidence::Probable,
        }
    };
    (0..processes.len())
        .filter(|at| inside[*at] && in_kernel(*at))
        .map(|at| (processes[at].pid.0, confidence(at)))
        .collect()
}

proptest! {
    #[test]
    fn the_reduction_equals_brute_force((asleep, wakers) in graphs()) {
        prop_assert_eq!(deadlocked(&asleep, &wakers), brute_force(&asleep, &wakers));
    }

    #[test]
    fn the_order_of_reduction_is_irrelevant((asleep, wakers) in graphs(), seed in any::<u64>()) {
        let n = asleep.len();
        // A permutation from the seed, by sorting on a mixed key.
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|i| seed.rotate_left(*i as u32 * 7).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = |i: usize| order.iter().position(|o| *o == i).unwrap();
        let asleep_moved: Vec<bool> = order.iter().map(|i| asleep[*i]).collect();
        let wakers_moved: Vec<Vec<usize>> =
            order.iter().map(|i| wakers[*i].iter().rev().map(|w| place(*w)).collect()).collect();
        let moved = deadlocked(&asleep_moved, &wakers_moved);
        let here = deadlocked(&asleep, &wakers);
        for i in 0..n {
            prop_assert_eq!(here[i], moved[place(i)]);
        }
    }

    #[test]
    fn a_waker_added_never_adds_a_deadlock((asleep, wakers) in graphs(), from in 0usize..8, to in 0usize..8) {
        let before = deadlocked(&asleep, &wakers);
        let mut more = wakers.clone();
        let n = more.len();
        more[from % n].push(to % n);
        for (after, before) in deadlocked(&asleep, &more).into_iter().zip(before) {
            prop_assert!(!after || before);
        }
    }

    #[test]
    fn an_index_out_of_range_is_a_waker_outside((asleep, mut wakers) in graphs(), at in 0usize..8) {
        let n = wakers.len();
        wakers[at % n].push(n + 3);
        prop_assert!(!deadlocked(&asleep, &wakers)[at % n]);
    }

    #[test]
    fn single_threaded_scenes_are_judged_as_the_rules_read(mut plan in plans()) {
        for p in &mut plan.processes {
            p.second_thread = None;
            p.catches_child = false;
        }
        let scene = plan.scene();
        let looks = scene.looks(2);
        let reports = plan.pids().map(|pid| (pid, diagnose(&looks, Pid(pid)).report().clone()));
        let found: BTreeMap<u32, Confidence> = reports
            .filter(|(_, report)| report.verdict == VerdictName::Deadlocked)
            .map(|(pid, report)| (pid, report.confidence))
            .collect();
        prop_assert_eq!(found, oracle(&scene));
    }

    #[test]
    fn a_deadlock_always_comes_with_a_certificate_that_checks(plan in plans()) {
        let looks = plan.scene().looks(2);
        for pid in plan.pids() {
            if let Verdict::Deadlocked { proof, .. } = diagnose(&looks, Pid(pid)).verdict() {
                prop_assert!(check(&looks[0], &looks[1], proof.certificate()).is_ok());
            }
        }
    }

    #[test]
    fn a_runnable_holder_added_never_creates_a_deadlock(plan in plans(), pipe in 0u64..4, writes_it in any::<bool>()) {
        let before = strengths(&plan.scene().looks(2), &plan);
        let mut scene = plan.scene();
        let open = if writes_it { writes(100 + pipe) } else { reads(100 + pipe) };
        scene.process(50, 1, "holder", Wait::Running).fd(9, open);
        for (after, before) in strengths(&scene.looks(2), &plan).into_iter().zip(before) {
            // It may turn an end that nobody in sight held into one that a live process holds: still no deadlock.
            prop_assert!(after <= before);
        }
    }

    #[test]
    fn somebody_who_lives_and_was_started_with_a_member_leaves_no_proof(
        plan in plans(), parent in 0u32..5, sleeps in any::<bool>()
    ) {
        let mut scene = plan.scene();
        let wait = if sleeps { sleep_ms(2000) } else { Wait::Running };
        scene.process(50, 10 + parent, "killer", wait);
        let looks = scene.looks(2);
        for pid in plan.pids() {
            let diagnosis = diagnose(&looks, Pid(pid));
            let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else { continue };
            let mut tops = proof.certificate().members.iter().map(|m| plan.top(m.task.pid.0));
            let could = tops.any(|top| top == plan.top(10 + parent));
            let named = |a: &Assumption| matches!(a, Assumption::NoSignal { pids } if pids.contains(&Pid(50)));
            prop_assert_eq!(proof.certificate().assumptions.iter().any(named), could);
            prop_assert!(!could || !proof.is_strict());
        }
    }

    #[test]
    fn a_member_whose_run_was_not_read_leaves_no_proof(plan in plans(), unread in 0u32..32) {
        let mut scene = plan.scene();
        let is_unread = |pid: &u32| unread & (1 << (pid % 5)) != 0;
        scene.runs_unread = plan.pids().filter(is_unread).map(Pid).collect();
        let looks = scene.looks(2);
        for pid in plan.pids() {
            let diagnosis = diagnose(&looks, Pid(pid));
            let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else { continue };
            let members = proof.certificate().members.iter().map(|m| m.task.pid);
            let due: BTreeSet<Pid> = members.filter(|pid| scene.runs_unread.contains(pid)).collect();
            let named = |a: &Assumption| matches!(a, Assumption::RunUnread { pids } if *pids == due);
            prop_assert_eq!(proof.certificate().assumptions.iter().any(named), !due.is_empty());
            prop_assert!(due.is_empty() || !proof.is_strict());
        }
    }

    #[test]
    fn a_relative_removed_from_a_certificate_makes_the_checker_refuse(plan in plans()) {
        let looks = plan.scene().looks(2);
        for pid in plan.pids() {
            let diagnosis = diagnose(&looks, Pid(pid));
            let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else { continue };
            for at in 0..proof.certificate().relatives.len() {
                let mut broken = proof.certificate().clone();
                broken.relatives.remove(at);
                prop_assert!(check(&looks[0], &looks[1], &broken).is_err());
            }
        }
    }

    #[test]
    fn any_edge_removed_from_a_certificate_makes_the_checker_refuse(plan in plans()) {
        let looks = plan.scene().looks(2);
        for pid in plan.pids() {
            let diagnosis = diagnose(&looks, Pid(pid));
            let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else { continue };
            for broken in without_each_edge(proof.certificate()) {
                prop_assert!(check(&looks[0], &looks[1], &broken).is_err(), "{broken:#?}");
            }
        }
    }

    #[test]
    fn any_member_removed_from_a_certificate_makes_the_checker_refuse(plan in plans()) {
        let looks = plan.scene().looks(2);
        for pid in plan.pids() {
            let diagnosis = diagnose(&looks, Pid(pid));
            let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else { continue };
            let whole = proof.certificate();
            for at in 0..whole.members.len() {
                let mut broken = whole.clone();
                let gone = broken.members.remove(at).task;
                let is_needed = broken.members.iter().any(|m| m.wakers().contains(&gone));
                if is_needed || broken.members.is_empty() {
                    prop_assert!(check(&looks[0], &looks[1], &broken).is_err());
                }
            }
        }
    }

    #[test]
    fn a_gap_never_strengthens(plan in plans(), whose in 0usize..5, what in 0u8..7) {
        let scene = plan.scene();
        let before = strengths(&scene.looks(2), &plan);
        let mut looks = scene.looks(2);
        let mut blinded = Pid(0);
        for look in &mut looks {
            blinded = poke_a_hole(look, whose, what);
        }
        for (pid, before) in plan.pids().zip(before) {
            let report = diagnose(&looks, Pid(pid)).report().clone();
            // Of a relative that could not be read it may be assumed that it holds nothing, if the verdict says so.
            let assumed = Assumption::HoldsNothing { pid: blinded };
            let says_so = report.assumptions.iter().any(|a| a.assumption == assumed);
            prop_assert!(strength(&report) <= before || (strength(&report) == 1 && says_so), "{}", report.headline);
        }
    }

    #[test]
    fn a_task_that_moved_is_in_no_deadlock(plan in plans(), whose in 0usize..5) {
        let mut looks = plan.scene().looks(2);
        let at = whose % plan.processes.len();
        looks[1].processes[at].tasks[0].switches_involuntary = Some(99);
        let pid = looks[1].processes[at].pid;
        for target in plan.pids() {
            let report = diagnose(&looks, Pid(target)).report().clone();
            let members = report.certificate.iter().flat_map(|c| &c.members);
            prop_assert!(members.into_iter().all(|m| m.task.pid != pid || m.task.tid.0 != pid.0));
        }
    }

    #[test]
    fn the_same_looks_give_the_same_bytes_after_a_round_trip(plan in plans()) {
        let looks = plan.scene().looks(3);
        let saved = bundle::save(&looks).unwrap();
        let loaded = bundle::load(&saved).unwrap();
        prop_assert_eq!(bundle::save(&loaded).unwrap(), saved);
        prop_assert_eq!(&loaded, &looks);
        for pid in plan.pids() {
            let (here, there) = (diagnose(&looks, Pid(pid)), diagnose(&loaded, Pid(pid)));
            let (here, there) = (serde_json::to_string(here.report()).unwrap(), serde_json::to_string(there.report()).unwrap());
            let read_back: Report = serde_json::from_str(&here).unwrap();
            prop_assert_eq!(serde_json::to_string(&read_back).unwrap(), here.clone());
            prop_assert_eq!(here, there);
        }
    }

    #[test]
    fn redaction_changes_no_verdict(plan in plans()) {
        let looks = plan.scene().looks(2);
        let mut redacted = looks.clone();
        redact(&mut redacted);
        for pid in plan.pids() {
            let (here, there) = (diagnose(&looks, Pid(pid)), diagnose(&redacted, Pid(pid)));
            prop_assert_eq!(here.report().verdict, there.report().verdict);
            prop_assert_eq!(here.report().class, there.report().class);
            prop_assert_eq!(&here.report().certificate, &there.report().certificate);
        }
    }

    #[test]
    fn a_whole_machine_tells_every_deadlock_that_a_single_target_does(plan in plans()) {
        let looks = plan.scene().looks(2);
        let all = diagnose_all(&looks);
        for pid in plan.pids() {
            if strength(diagnose(&looks, Pid(pid)).report()) == 0 {
                continue;
            }
            let hangs_on = diagnose(&looks, Pid(pid)).report().certificate.clone().unwrap();
            let told = |r: &Report| {
                r.certificate.iter().flat_map(|c| &c.members).any(|m| hangs_on.member(m.task).is_some())
            };
            prop_assert!(all.iter().any(|d| told(d.report())));
        }
    }
}

/// Every certificate that lacks one waker, or one awaited thing, of one member.
fn without_each_edge(whole: &Certificate) -> Vec<Certificate> {
    let mut broken = Vec::new();
    type Claimed = fn(&mut Certificate) -> &mut Vec<Member>;
    let lists: [Claimed; 2] = [|c| &mut c.members, |c| &mut c.relatives];
    for list in lists {
        let all = list(&mut whole.clone()).clone();
        for (m, member) in all.iter().enumerate() {
            for (a, awaited) in member.awaited.iter().enumerate() {
                for waker in &awaited.wakers {
                    let mut less = whole.clone();
                    list(&mut less)[m].awaited[a].wakers.remove(waker);
                    broken.push(less);
                }
                let mut less = whole.clone();
                list(&mut less)[m].awaited.remove(a);
                broken.push(less);
            }
        }
    }
    broken
}

/// Takes away one thing that a look says of one process, as an obstacle would.
fn poke_a_hole(look: &mut Snapshot, whose: usize, what: u8) -> Pid {
    let at = whose % look.processes.len();
    let process = &mut look.processes[at];
    let pid = process.pid;
    match what {
        0 => process.table = Table::Unread,
        1 => process.tasks[0].wait = Wait::Unknown,
        2 => process.tasks[0].switches_voluntary = None,
        3 => process.tasks[0].state = State::Unread,
        4 => process.timers = pipeclog_waitgraph::snapshot::PosixTimers::Unread,
        5 => look.scan.listing = Listing::Partial,
        _ => process.tasks.clear(),
    }
    if what == 4 {
        look.scan.posix_timers = None;
    }
    pid
}

#[test]
fn a_waker_not_listed_is_found_by_the_checker_although_the_certificate_is_consistent() {
    // The certificate of a smaller world, held against one with another reader in it.
    let small = crate::deadlocks::wait_then_read();
    let diagnosis = small.diagnose(812);
    let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else {
        panic!()
    };
    let mut large = crate::deadlocks::wait_then_read();
    large
        .process(900, 1, "monitor", sleep_ms(50))
        .fd(7, reads(9));
    let looks = large.looks(2);
    assert!(check(&looks[0], &looks[1], proof.certificate()).is_err());
}

#[test]
fn the_laws_are_not_about_nothing() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut found = [0; 3];
    for _ in 0..1_500 {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        for strength in strengths(&plan.scene().looks(2), &plan) {
            found[usize::from(strength)] += 1;
        }
    }
    assert!(
        found[2] > 100,
        "of some 5,000 processes of random plans, {} are proven to be deadlocked",
        found[2]
    );
    assert!(found[1] > 100, "{} probably", found[1]);
    assert!(found[0] > 100);
}
