//! Who could signal a member, and by that leaves no proof: whoever leads its session at a terminal, and those below its run's top.

use pipeclog_waitgraph::awaited::Assumption;
use pipeclog_waitgraph::check::check;
use pipeclog_waitgraph::descriptor::Armed;
use pipeclog_waitgraph::diagnose::{Verdict, diagnose};
use pipeclog_waitgraph::snapshot::{Pid, State};
use pipeclog_waitgraph::wait::{SignalSet, Timeout, Wait};

use crate::deadlocks::wait_then_read;
use crate::scene::*;

const TERMINAL: u64 = 34_816;

/// A deadlock that is, or looks like, a job of `leader`, with another job beside it.
fn job(wait: Wait) -> Scene {
    let mut s = wait_then_read();
    let at_terminal = |pid: u32, ppid: u32, pgrp: u32, s: &mut Scene| {
        s.edit(pid).with(|p| {
            p.ppid = Pid(ppid);
            p.pgrp = pgrp;
            p.session = 700;
            p.tty_nr = TERMINAL;
        });
    };
    s.process(700, 1, "leader", wait)
        .fd(0, slave(3))
        .fd(5, timerfd(Armed::Armed))
        .fd(6, network());
    s.process(710, 700, "other", sleep_ms(2000));
    at_terminal(700, 1, 700, &mut s);
    at_terminal(710, 700, 710, &mut s);
    at_terminal(812, 700, 812, &mut s);
    at_terminal(813, 812, 812, &mut s);
    s
}

/// Who is named as one who could signal; nobody if it is proven. The checker must not do without that.
#[track_caller]
fn named(scene: &Scene) -> Vec<u32> {
    let looks = scene.looks(2);
    let diagnosis = diagnose(&looks, Pid(812));
    let Verdict::Deadlocked { proof, .. } = diagnosis.verdict() else {
        panic!("{}", diagnosis.report().headline)
    };
    let mut bold = proof.certificate().clone();
    let is_silence = |a: &Assumption| matches!(a, Assumption::NoSignal { .. });
    bold.assumptions.retain(|a| !is_silence(a));
    let mut silence = proof.certificate().assumptions.iter();
    match silence.find(|a| is_silence(a)) {
        Some(Assumption::NoSignal { pids }) => {
            assert!(check(&looks[0], &looks[1], &bold).is_err());
            pids.iter().map(|pid| pid.0).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn who_sleeps_as_a_shell_does_leaves_its_jobs_a_proof() {
    let shells = [
        wait_any(),
        wait4(812),
        sigsuspend(&[SignalSet::CHLD]),
        read(0),
        poll(&[(0, POLLIN)]),
    ];
    for wait in shells {
        assert_eq!(named(&job(wait.clone())), [0; 0], "{wait:?}");
    }
    // Bash handles whatever could end it.
    let mut bash = job(read(0));
    bash.scan.real_timers = None;
    bash.edit(700).catches(&[SignalSet::ALRM, 26]);
    assert_eq!(named(&bash), [0; 0]);
}

#[test]
fn who_leads_at_a_terminal_and_does_not_sleep_as_a_shell_does_is_named_and_his_other_jobs_are_not()
{
    let others = [
        Wait::Running,
        Wait::Unknown,
        sleep_ms(25_000),
        poll_for(&[(0, POLLIN)], Timeout::After(25_000_000_000)),
        poll(&[(0, POLLIN), (5, POLLIN)]),
        read(5),
        read(6),
        read(9),
        epoll_wait(0),
        futex(),
        Wait::Signal {
            awaited: SignalSet::of(&[SignalSet::CHLD]),
            timeout: Timeout::After(25_000_000_000),
        },
    ];
    for wait in others {
        assert_eq!(named(&job(wait.clone())), [700], "{wait:?}");
    }
    let changes: [fn(&mut Scene); 5] = [
        |s| {
            s.edit(700).moving();
        },
        |s| {
            s.edit(700).unreadable();
        },
        |s| {
            s.edit(700).state(State::Stopped);
        },
        |s| {
            s.edit(700).thread(701, "timer", sleep_ms(25_000));
        },
        |s| {
            s.scan.real_timers = None;
            s.edit(700).catches(&[SignalSet::ALRM]);
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut scene = job(wait_any());
        change(&mut scene);
        assert_eq!(named(&scene), [700], "change {at}");
    }
}

#[test]
fn who_was_started_beside_a_member_in_a_session_of_his_own_is_named_and_an_orphan_is_not() {
    let beside = |ppid| {
        let mut s = wait_then_read();
        s.process(800, 1, "sh", wait4(812));
        s.edit(812).with(|p| p.ppid = Pid(800));
        s.process(820, ppid, "watchdog", sleep_ms(2000))
            .session(820);
        s
    };
    assert_eq!(named(&beside(800)), [820]);
    assert_eq!(named(&beside(812)), [820]);
    assert_eq!(named(&beside(1)), [0; 0]);
}
