//! Ends of file that never come, and readers that live and do not read.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::diagnose::{diagnose, diagnose_all};
use pipeclog_waitgraph::report::{Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Pid, State};
use pipeclog_waitgraph::wait::Timeout;

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

/// What IPC::Run does: select(2) with half a second, again and again.
fn selects_with_a_timeout() -> Scene {
    let mut s = Scene::new();
    let half_a_second = Timeout::After(500_000_000);
    s.process(2, 1, "bash", wait_any());
    s.process(
        10,
        2,
        "perl",
        poll_for(&[(3, POLLIN), (7, POLLIN)], half_a_second),
    )
    .fd(3, reads(20))
    .fd(7, reads(21))
    .moving();
    s.process(12, 1, "sleep", sleep_ms(600_000))
        .fd(1, writes(20))
        .fd(2, writes(21));
    s
}

#[test]
fn a_timed_wait_is_a_leak_only_over_a_window_in_which_no_holder_moved() {
    let mut s = selects_with_a_timeout();
    let verdict = |s: &Scene, looks| diagnose(&s.looks(looks), Pid(10)).report().verdict;
    assert_ne!(verdict(&s, 2), VerdictName::Leaked);
    let report = diagnose(&s.looks(4), Pid(10)).report().clone();
    assert_eq!(
        (report.verdict, report.class, report.observed_ms),
        (VerdictName::Leaked, Some(Class::GrandchildHolds), 1_500)
    );
    assert!(
        report.headline.contains("again and again"),
        "{}",
        report.headline
    );
    s.edit(12).moving();
    assert_ne!(verdict(&s, 4), VerdictName::Leaked);
}

#[test]
fn a_timed_wait_that_an_alarm_may_end_or_that_watches_something_else_is_no_leak() {
    let mut alarm = selects_with_a_timeout();
    alarm.edit(10).catches(&[14]);
    alarm.scan.real_timers = None;
    let mut child = selects_with_a_timeout();
    child
        .process(13, 10, "tool", sleep_ms(600_000))
        .fd(1, writes(20));
    let mut network_too = selects_with_a_timeout();
    let set = [(3, POLLIN), (5, POLLIN)];
    network_too.edit(10).fd(5, network()).with(|p| {
        p.tasks[0].wait = poll_for(&set, Timeout::After(500_000_000));
    });
    for scene in [alarm, child, network_too] {
        let report = diagnose(&scene.looks(4), Pid(10)).report().clone();
        assert_ne!(report.verdict, VerdictName::Leaked, "{}", report.headline);
    }
}

#[test]
fn a_timed_wait_that_watched_another_pipe_before_is_no_leak() {
    let s = selects_with_a_timeout();
    let mut looks = s.looks(4);
    let mut before = Scene::new();
    before
        .process(
            10,
            2,
            "perl",
            poll_for(&[(3, POLLIN), (7, POLLIN)], Timeout::After(500_000_000)),
        )
        .fd(3, reads(90))
        .fd(7, reads(21));
    for process in &mut looks[0].processes {
        if process.pid == Pid(10) {
            process.table = before.processes[&10].table.clone();
        }
    }
    let report = diagnose(&looks, Pid(10)).report().clone();
    assert_ne!(report.verdict, VerdictName::Leaked, "{}", report.headline);
}

/// What `coproc` and `cat <&$from` do: the shell keeps the end that its child reads.
fn reads_by_way_of_cat(shell_keeps: bool) -> Scene {
    let mut s = Scene::new();
    s.process(2, 1, "harness", sleep_ms(10)).moving();
    let shell = s.process(10, 2, "bash", wait4(11));
    if shell_keeps {
        shell.fd(63, reads(20));
    }
    s.process(11, 10, "cat", read(0)).fd(0, reads(20));
    s.process(12, 2, "sleep", sleep_ms(600_000))
        .fd(1, writes(20));
    s
}

#[test]
fn a_leak_is_told_of_whoever_waits_for_the_reader_to_exit() {
    let scene = reads_by_way_of_cat(true);
    for (target, begins) in [
        (
            10,
            "leak, probable: bash (10) waits for cat (11) to exit; cat (11) waits for the end of pipe:[20]",
        ),
        (
            11,
            "leak, probable: cat (11) waits for the end of pipe:[20]",
        ),
    ] {
        let report = leaked(&scene, target, Class::GrandchildHolds, 12);
        assert!(report.headline.starts_with(begins), "{}", report.headline);
        let culprit = report.culprit.unwrap();
        assert_eq!(culprit.actor.task.pid, Pid(10), "{}", culprit.why);
        assert_eq!(report.beside, []);
    }
}

#[test]
fn a_writer_beside_a_reader_that_was_given_its_end_is_a_pipeline_and_no_leak() {
    let report = reads_by_way_of_cat(false).diagnose(10).report().clone();
    assert_eq!(report.verdict, VerdictName::Waiting, "{}", report.headline);
}

#[test]
fn a_second_child_that_may_exit_keeps_a_wait_for_both_from_being_a_leak() {
    let mut scene = reads_by_way_of_cat(true);
    scene.edit(10).with(|p| p.tasks[0].wait = wait_any());
    scene.process(13, 10, "tool", sleep_ms(100));
    let report = scene.diagnose(10).report().clone();
    assert_eq!(report.verdict, VerdictName::Waiting, "{}", report.headline);
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

#[test]
fn a_terminal_that_a_grandchild_keeps_open_is_a_leak_for_its_master_and_not_for_its_shell() {
    let mut s = Scene::new();
    s.process(2, 1, "bash", wait_any());
    s.process(10, 2, "pexpect", poll(&[(5, POLLIN)]))
        .fd(5, master(3));
    s.process(12, 1, "daemon", sleep_ms(600_000))
        .session(12)
        .fd(1, slave(3));
    let report = leaked(&s, 10, Class::GrandchildHolds, 12);
    assert!(
        report.headline.ends_with("still holds its other side"),
        "{}",
        report.headline
    );
    let mut typed = Scene::new();
    typed
        .process(10, 2, "terminal", sleep_ms(600_000))
        .fd(5, master(3));
    typed
        .process(12, 1, "reader", poll(&[(3, POLLIN)]))
        .fd(3, slave(3));
    let report = typed.diagnose(12).report().clone();
    assert_ne!(report.verdict, VerdictName::Leaked, "{}", report.headline);
}

#[test]
fn a_child_that_has_exited_and_is_watched_for_its_reaping_alone_hides_no_leak() {
    const ONESHOT: u32 = 1 << 30;
    const HANG_UP: u32 = 0x18;
    let scene = |events| {
        let mut s = Scene::new();
        s.process(2, 1, "bash", wait_any());
        s.process(10, 2, "peer", epoll_wait(4))
            .fd(3, reads(30))
            .fd(4, epoll(&[(3, POLLIN, 30), (8, events, 1)]))
            .fd(8, pidfd(11));
        s.process(11, 10, "tool", sleep_ms(1)).state(State::Zombie);
        s.process(12, 1, "sleep", sleep_ms(600_000))
            .fd(1, writes(30));
        s
    };
    leaked(&scene(ONESHOT | HANG_UP), 10, Class::GrandchildHolds, 12);
    let report = scene(POLLIN).diagnose(10).report().clone();
    assert_ne!(report.verdict, VerdictName::Leaked, "{}", report.headline);
}

#[test]
fn a_writer_that_polls_for_room_shows_a_stall_as_well() {
    let mut s = Scene::new();
    s.process(10, 1, "python3", sleep_ms(50))
        .fd(3, reads(20))
        .moving();
    s.process(11, 10, "tool", poll(&[(1, POLLOUT)]))
        .fd(1, writes(20));
    let report = diagnose(&s.looks(4), Pid(10)).report().clone();
    assert_eq!(
        (report.verdict, report.class),
        (VerdictName::Stalled, Some(Class::PollingWaiter)),
        "{}",
        report.headline
    );
}
