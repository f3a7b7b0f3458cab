//! Terminals: a worker of the kernel moves their bytes, so two sleepers at its two sides are no deadlock.

use pipeclog_waitgraph::TaskId;
use pipeclog_waitgraph::awaited::{Assumption, Awaited, Full, What};
use pipeclog_waitgraph::certificate::{Certificate, Member};
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::check::check;
use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::diagnose::{Verdict, diagnose};
use pipeclog_waitgraph::report::{Assumed, Confidence, Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Pid, Snapshot, Tid};
use pipeclog_waitgraph::wait::{Timeout, Wait};
use proptest::prelude::*;

use crate::scene::*;

/// Two looks so far apart.
fn looks_apart(scene: &Scene, ms: u64) -> Vec<Snapshot> {
    let mut looks = scene.looks(2);
    looks[1].scan.at_ms = looks[0].scan.at_ms + ms;
    looks
}

fn report(scene: &Scene, ms: u64) -> Report {
    diagnose(&looks_apart(scene, ms), Pid(10)).report().clone()
}

/// A parent with the master at 5 in `wait`; its child writes to the slave.
fn parent_in(wait: Wait) -> Scene {
    let mut s = Scene::new();
    s.process(10, 1, "capture", wait).fd(5, master(3));
    s.process(11, 10, "child", write(1))
        .fd(0, slave(3))
        .fd(1, slave(3))
        .session(11);
    s
}

fn certificate(looks: &[Snapshot]) -> Certificate {
    let diagnosis = diagnose(looks, Pid(10));
    let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else {
        panic!("{}", diagnosis.report().headline)
    };
    proof.certificate().clone()
}

#[test]
fn a_master_that_nobody_reads_is_proven_by_looks_far_apart() {
    for ms in [100, 200] {
        let found = report(&parent_in(wait4(11)), ms);
        assert_eq!(found.verdict, VerdictName::Deadlocked);
        assert_eq!(found.confidence, Confidence::Proven);
        assert_eq!(found.class, Some(Class::PtyUnread));
        assert!(
            found
                .closed_world
                .iter()
                .any(|s| s.contains("flush_to_ldisc"))
        );
    }
}

#[test]
fn a_master_that_nobody_reads_is_probable_by_looks_close_together() {
    for ms in [0, 1, 99] {
        let found = report(&parent_in(wait4(11)), ms);
        assert_eq!(found.verdict, VerdictName::Deadlocked);
        assert_eq!(found.confidence, Confidence::Probable);
        let assumed: Vec<_> = found.assumptions.iter().map(|a| &a.assumption).collect();
        assert_eq!(assumed, [&Assumption::TerminalSettled { index: 3 }]);
        assert!(found.assumptions[0].text.contains("/dev/pts/3"));
        assert!(
            found
                .closed_world
                .iter()
                .any(|s| s.contains("flush_to_ldisc"))
        );
    }
}

#[test]
fn looks_close_together_still_prove_a_pipe() {
    let found = diagnose(
        &looks_apart(&crate::deadlocks::wait_then_read(), 1),
        Pid(812),
    );
    assert_eq!(found.report().confidence, Confidence::Proven);
    assert!(
        !found
            .report()
            .closed_world
            .iter()
            .any(|s| s.contains("terminal"))
    );
}

#[test]
fn a_reader_asleep_at_the_master_and_a_writer_asleep_at_the_slave_are_no_deadlock() {
    let waits = [
        poll(&[(5, POLLIN)]),
        poll(&[(5, POLLIN | POLLOUT)]),
        read(5),
    ];
    for (wait, ms) in waits
        .into_iter()
        .flat_map(|w| [(w.clone(), 1), (w, 60_000)])
    {
        let found = report(&parent_in(wait), ms);
        assert_eq!(found.verdict, VerdictName::Waiting, "{}", found.headline);
        assert_eq!(found.class, Some(Class::WaitingOutside));
        assert!(found.headline.contains("/dev/pts/3"), "{}", found.headline);
    }
}

#[test]
fn a_reader_thread_at_the_master_keeps_those_who_only_wait_out_of_it_too() {
    let mut s = parent_in(wait4(11));
    s.edit(10).thread(12, "reader", read(5));
    assert_eq!(report(&s, 500).verdict, VerdictName::Waiting);
    s.edit(10).with(|p| p.tasks[1].wait = futex());
    assert_eq!(report(&s, 500).verdict, VerdictName::Deadlocked);
}

#[test]
fn sets_and_rings_that_watch_a_master_read_it() {
    let mut s = parent_in(epoll_wait(6));
    s.edit(10).fd(6, epoll(&[(5, POLLIN | POLLET, 2)]));
    assert_eq!(report(&s, 500).verdict, VerdictName::Waiting);
    let mut s = parent_in(Wait::IoUring {
        fd: 6,
        timeout: Timeout::Never,
    });
    s.edit(10).fd(6, ring());
    assert_eq!(report(&s, 500).verdict, VerdictName::Waiting);
}

#[test]
fn a_set_that_waits_for_room_at_one_side_and_for_data_at_the_other_holds_itself_up() {
    let mut s = Scene::new();
    s.process(10, 1, "both", poll(&[(4, POLLOUT), (5, POLLIN)]))
        .fd(4, slave(3))
        .fd(5, master(3));
    assert_eq!(report(&s, 500).verdict, VerdictName::Waiting);
    s.process(10, 1, "both", poll(&[(4, POLLIN), (5, POLLIN)]))
        .fd(4, slave(3))
        .fd(5, master(3));
    assert_eq!(report(&s, 500).verdict, VerdictName::Deadlocked);
}

#[test]
fn readers_at_both_sides_wait_for_each_other() {
    let mut s = parent_in(read(5));
    s.edit(11).with(|p| p.tasks[0].wait = read(0));
    let found = report(&s, 200);
    assert_eq!(found.verdict, VerdictName::Deadlocked);
    assert_eq!(found.confidence, Confidence::Proven);
}

#[test]
fn the_checker_refuses_a_strict_certificate_on_looks_close_together() {
    let scene = parent_in(wait4(11));
    let (far, close) = (looks_apart(&scene, 200), looks_apart(&scene, 1));
    let mut claim = certificate(&far);
    assert!(check(&far[0], &far[1], &claim).is_ok());
    let refusal = check(&close[0], &close[1], &claim).unwrap_err().to_string();
    assert!(
        refusal.contains("under way inside its terminal"),
        "{refusal}"
    );
    claim
        .assumptions
        .insert(Assumption::TerminalSettled { index: 4 });
    assert!(check(&close[0], &close[1], &claim).is_err());
    claim
        .assumptions
        .insert(Assumption::TerminalSettled { index: 3 });
    assert!(check(&close[0], &close[1], &claim).is_ok());
}

#[test]
fn the_checker_refuses_bytes_under_way_whatever_is_assumed() {
    let looks = looks_apart(&parent_in(poll(&[(5, POLLIN)])), 60_000);
    let task = |pid| TaskId {
        pid: Pid(pid),
        tid: Tid(pid),
    };
    let channel = Channel::Pty {
        index: 3,
        devpts: Some(22),
    };
    let member = |pid: u32, wait: Wait, fd: u32, what: What| Member {
        task: task(pid),
        start_ticks: 10_000 + u64::from(pid),
        wait,
        awaited: vec![Awaited {
            fd: Some(fd),
            what,
            wakers: [task(10), task(11)].into(),
        }],
    };
    let watched = What::Change {
        channel: channel.clone(),
        full: Full::NotSaid,
    };
    let claim = Certificate {
        members: vec![
            member(10, poll(&[(5, POLLIN)]), 5, watched),
            member(11, write(1), 1, What::Room { channel }),
        ],
        relatives: Vec::new(),
        assumptions: [Assumption::TerminalSettled { index: 3 }].into(),
    };
    let refusal = check(&looks[0], &looks[1], &claim).unwrap_err().to_string();
    assert!(refusal.contains("one direction of a terminal"), "{refusal}");
}

/// What a process does at a terminal that it holds one side of.
#[derive(Debug, Clone)]
struct Planned {
    terminal: u32,
    at_master: bool,
    does: u8,
    other: Option<(u32, bool)>,
}

fn plans() -> impl Strategy<Value = Vec<Planned>> {
    let other = proptest::option::of((0u32..2, any::<bool>()));
    let process =
        (0u32..2, any::<bool>(), 0u8..6, other).prop_map(|(terminal, at_master, does, other)| {
            Planned {
                terminal,
                at_master,
                does,
                other,
            }
        });
    proptest::collection::vec(process, 2..=5)
}

fn scene(plan: &[Planned]) -> Scene {
    let side = |terminal, at_master| {
        if at_master {
            master(terminal)
        } else {
            slave(terminal)
        }
    };
    let mut scene = Scene::new();
    for (at, p) in plan.iter().enumerate() {
        let pid = 10 + at as u32;
        let wait = match p.does {
            0 => read(3),
            1 => write(3),
            2 => poll(&[(3, POLLIN)]),
            3 if p.other.is_some() => poll(&[(3, POLLOUT), (4, POLLIN)]),
            4 => futex(),
            _ => wait_any(),
        };
        let ppid = if at == 0 { 1 } else { 10 };
        let editor = scene
            .process(pid, ppid, "p", wait)
            .fd(3, side(p.terminal, p.at_master));
        if let Some((terminal, at_master)) = p.other {
            editor.fd(4, side(terminal, at_master));
        }
    }
    scene
}

/// For each direction of each terminal, whether its processes wait for data of it, and for room in it.
fn needs(plan: &[Planned], members: &[u32]) -> Vec<(bool, bool)> {
    let mut needs = vec![(false, false); 4];
    let mut reads = |terminal: u32, at_master: bool| {
        needs[terminal as usize * 2 + usize::from(at_master)].0 = true;
    };
    for pid in members {
        let p = &plan[*pid as usize - 10];
        match (p.does, p.other) {
            (0 | 2, _) => reads(p.terminal, p.at_master),
            (3, Some((terminal, at_master))) => reads(terminal, at_master),
            _ => {}
        }
    }
    for pid in members {
        let p = &plan[*pid as usize - 10];
        if p.does == 1 || (p.does == 3 && p.other.is_some()) {
            needs[p.terminal as usize * 2 + usize::from(!p.at_master)].1 = true;
        }
    }
    needs
}

proptest! {
    #[test]
    fn no_deadlock_has_room_and_data_awaited_in_one_direction(plan in plans(), ms in 0u64..300) {
        let looks = looks_apart(&scene(&plan), ms);
        for at in 0..plan.len() {
            let diagnosis = diagnose(&looks, Pid(10 + at as u32));
            let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else { continue };
            let members: Vec<u32> = proof.certificate().members.iter().map(|m| m.task.pid.0).collect();
            prop_assert!(needs(&plan, &members).iter().all(|n| *n != (true, true)), "{}", diagnosis.report().headline);
        }
    }

    #[test]
    fn closer_looks_only_add_the_assumption_that_terminals_are_settled(plan in plans()) {
        let scene = scene(&plan);
        let (far, close) = (looks_apart(&scene, 100), looks_apart(&scene, 99));
        for at in 0..plan.len() {
            let pid = Pid(10 + at as u32);
            let (far, close) = (diagnose(&far, pid).report().clone(), diagnose(&close, pid).report().clone());
            prop_assert_eq!(far.verdict, close.verdict);
            let Some(certificate) = &close.certificate else { continue };
            let claimed = certificate.members.iter().chain(&certificate.relatives);
            let awaited = claimed.flat_map(|m| &m.awaited);
            let mut assumptions: std::collections::BTreeSet<_> = awaited
                .filter_map(|a| match a.what.channel() {
                    Some(Channel::Pty { index, .. }) => Some(Assumption::TerminalSettled { index: *index }),
                    _ => None,
                })
                .collect();
            assumptions.extend(far.assumptions.iter().map(|a| a.assumption.clone()));
            let lacks_only_silence = |a: &Assumed| matches!(a.assumption, Assumption::NoSignal { .. });
            prop_assert!(far.assumptions.iter().all(lacks_only_silence));
            prop_assert_eq!(&certificate.assumptions, &assumptions);
        }
    }
}
