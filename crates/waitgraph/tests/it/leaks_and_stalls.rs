//! Ends of file that never come, and readers that live and do not read.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::diagnose::{diagnose, diagnose_all};
use pipeclog_waitgraph::report::{Report, VerdictName};
use pipeclog_waitgraph::snapshot::Pid;

use crate::scene::*;

#[track_caller]
fn leaked(scene: &Scene, pid: u32, class: Class, holder: u32) -> Report {
    let report = scene.diagnose(pid).report().clone();
    assert_eq!(report.verdict, VerdictName::Leaked, "{}", report.headline);
    assert_eq!(report.class, Some(class));
    assert!(
        report
            .culprit
            .as_ref()
            .is_some_and(|c| c.holds.iter().any(|h| h.pid.0 == holder)),
        "{report:#?}"
    );
    report
}

#[test]
fn a_grandchild_keeps_the_write_end() {
    let mut s = Scene::new();
    s.process(10, 2, "python3", read(3)).fd(3, reads(20));
    s.process(12, 1, "sleep", sleep_ms(600_000))
        .fd(1, writes(20))
        .fd(2, writes(20));
    s.process(2, 1, "bash", wait_any());
    let report = leaked(&s, 10, Class::GrandchildHolds, 12);
    assert!(
        report
            .headline
            .contains("sleep (12), whose own parent has exited"),
        "{}",
        report.headline
    );
}

#[test]
fn a_grandchild_adopted_by_a_subreaper_is_still_one() {
    let mut s = Scene::new();
    s.process(2, 1, "harness", sleep_ms(10));
    s.process(10, 2, "python3", read(3)).fd(3, reads(20));
    s.process(12, 2, "sleep", sleep_ms(600_000))
        .fd(1, writes(20));
    leaked(&s, 10, Class::GrandchildHolds, 12);
}

#[test]
fn a_leak_is_found_behind_an_event_loop_with_a_pipe_to_itself() {
    let mut s = Scene::new();
    s.process(2, 1, "bash", wait_any());
    s.process(10, 2, "node", epoll_wait(13))
        .fd(13, epoll(&[(14, POLLIN, 30), (18, POLLIN, 40)]))
        .fd(14, reads(30))
        .fd(15, writes(30))
        .fd(18, socket(40, 41));
    s.process(12, 1, "sleep", sleep_ms(600_000))
        .fd(1, socket(41, 40));
    leaked(&s, 10, Class::GrandchildHolds, 12);
}

#[test]
fn an_end_leaked_into_another_program() {
    let mut s = Scene::new();
    s.process(10, 1, "python2", read(5)).fd(5, reads(20));
    s.process(11, 10, "daemon", sleep_ms(600_000))
        .fd(1, file("/tmp/log"))
        .fd(6, writes(20));
    leaked(&s, 10, Class::LeakedToSibling, 11);
}

#[test]
fn a_waiter_that_polls_is_a_stall_only_over_a_window() {
    let mut s = Scene::new();
    s.process(10, 1, "rustprog", sleep_ms(10))
        .fd(3, reads(20))
        .moving();
    s.process(11, 10, "tool", write(1)).fd(1, writes(20));
    assert_eq!(
        diagnose(&s.looks(2), Pid(10)).report().verdict,
        VerdictName::Progressing
    );
    for target in [10, 11] {
        let report = diagnose(&s.looks(4), Pid(target)).report().clone();
        assert_eq!(report.verdict, VerdictName::Stalled, "{}", report.headline);
        assert_eq!(report.class, Some(Class::PollingWaiter));
        assert_eq!(report.observed_ms, 1_500);
    }
}

#[test]
fn an_event_loop_that_dropped_a_descriptor_and_serves_on_is_a_stall() {
    let mut s = Scene::new();
    s.process(10, 1, "python3", epoll_wait(4))
        .fd(3, reads(20))
        .fd(5, network())
        .fd(4, epoll(&[(5, POLLIN, 77)]))
        .moving();
    s.process(11, 10, "tool", write(1)).fd(1, writes(20));
    let report = diagnose(&s.looks(4), Pid(11)).report().clone();
    assert_eq!(
        (report.verdict, report.class),
        (VerdictName::Stalled, Some(Class::BackPressureForgotten))
    );
}

#[test]
fn a_sink_that_does_not_read() {
    let mut s = Scene::new();
    s.process(10, 1, "logger", sleep_ms(600_000))
        .fd(0, reads(20));
    s.process(11, 1, "service", write(1)).fd(1, writes(20));
    let report = diagnose(&s.looks(4), Pid(11)).report().clone();
    assert_eq!(
        (report.verdict, report.class),
        (VerdictName::Stalled, Some(Class::SinkStalled))
    );
}

#[test]
fn unasked_only_leaks_of_orphans_are_told() {
    let mut orphan = Scene::new();
    orphan.process(2, 1, "bash", wait_any());
    orphan.process(10, 2, "python3", read(3)).fd(3, reads(20));
    orphan
        .process(12, 1, "sleep", sleep_ms(600_000))
        .fd(1, writes(20));
    let told = diagnose_all(&orphan.looks(2));
    assert_eq!(
        told.iter().map(|d| d.report().verdict).collect::<Vec<_>>(),
        [VerdictName::Leaked]
    );
    // A child with a status pipe at a number of its own looks like an inherited end.
    let mut on_purpose = Scene::new();
    on_purpose.process(10, 1, "gpgme", read(5)).fd(5, reads(20));
    on_purpose
        .process(11, 10, "gpg", sleep_ms(600_000))
        .fd(6, writes(20));
    assert_eq!(diagnose_all(&on_purpose.looks(2)), []);
}

#[test]
fn a_chain_ends_with_what_keeps_it_from_being_a_deadlock() {
    let mut s = Scene::new();
    s.process(10, 1, "sh", wait4(11)).fd(3, reads(20));
    s.process(11, 10, "tool", write(1)).fd(1, writes(20));
    s.edit(11).catches(&[14]);
    s.scan.real_timers = None;
    let report = s.diagnose(10).report().clone();
    let last = report.members.last().unwrap();
    assert_eq!(last.waits, "handles SIGALRM, and an alarm may be set");
}
