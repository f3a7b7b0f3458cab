//! Artificial deadlocks, each class as the looks would show it, and how runtimes wait.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::diagnose::{Verdict, diagnose, looks_that_show_most};
use pipeclog_waitgraph::report::{Confidence, Kind, Report, VerdictName};
use pipeclog_waitgraph::snapshot::{GoProgram, Pid, PosixTimers, Snapshot, State, Tid};
use pipeclog_waitgraph::wait::{ChildSet, SignalSet, Timeout, Wait};

use crate::scene::*;

/// The parent waits for the child, which writes into a pipe that only the parent can read.
pub(crate) fn wait_then_read() -> Scene {
    let mut s = Scene::new();
    s.process(812, 1, "python3", wait4(813)).fd(3, reads(9));
    s.process(813, 812, "git", write(1))
        .fd(1, writes(9))
        .fd(2, file("/tmp/log"));
    s
}

#[track_caller]
pub(crate) fn proven(scene: &Scene, pid: u32, class: Class, kind: Kind, culprit: u32) -> Report {
    let report = deadlock(scene, pid, class, kind, culprit);
    assert_eq!(
        report.confidence,
        Confidence::Proven,
        "{:#?}",
        report.assumptions
    );
    assert_eq!(report.assumptions, []);
    report
}

#[track_caller]
pub(crate) fn probable(scene: &Scene, pid: u32, class: Class, kind: Kind, culprit: u32) -> Report {
    let report = deadlock(scene, pid, class, kind, culprit);
    assert_eq!(report.confidence, Confidence::Probable);
    assert_ne!(report.assumptions, []);
    report
}

#[track_caller]
fn deadlock(scene: &Scene, pid: u32, class: Class, kind: Kind, culprit: u32) -> Report {
    let report = scene.diagnose(pid).report().clone();
    assert_eq!(
        report.verdict,
        VerdictName::Deadlocked,
        "{}",
        report.headline
    );
    assert_eq!(report.class, Some(class), "{}", report.headline);
    assert_eq!(report.deadlock, Some(kind), "{}", report.headline);
    assert_eq!(
        report.culprit.as_ref().map(|c| c.actor.task.pid.0),
        Some(culprit),
        "{}",
        report.headline
    );
    assert!(report.fix.is_some());
    report
}

#[test]
fn a_parent_that_waits_before_it_reads() {
    let report = proven(
        &wait_then_read(),
        812,
        Class::WaitThenRead,
        Kind::Artificial,
        812,
    );
    assert_eq!(
        report.headline,
        "deadlock, proven: python3 (812) waits for git (813) to exit; git (813) waits to write to its stdout, \
         a pipe that only python3 (812) can read, and python3 (812) is not reading"
    );
}

#[test]
fn the_child_of_a_deadlock_is_in_it_as_well() {
    proven(
        &wait_then_read(),
        813,
        Class::WaitThenRead,
        Kind::Artificial,
        812,
    );
}

#[test]
fn a_shell_that_waits_for_the_deadlocked_hangs_with_them() {
    let mut s = wait_then_read();
    s.process(800, 1, "bash", wait_any())
        .fd(0, file("/dev/null"));
    s.edit(812).with(|p| p.ppid = Pid(800));
    let report = proven(&s, 800, Class::WaitThenRead, Kind::Artificial, 812);
    assert_eq!(report.members.iter().filter(|m| m.in_loop).count(), 2);
    assert_eq!(report.members.len(), 3);
}

#[test]
fn waiting_by_pidfd_is_waiting() {
    let mut s = wait_then_read();
    s.process(812, 1, "rustprog", poll(&[(4, POLLIN)]))
        .fd(3, reads(9))
        .fd(4, pidfd(813));
    proven(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
    s.process(
        812,
        1,
        "goprog",
        Wait::Child {
            children: ChildSet::Pidfd(4),
        },
    )
    .fd(3, reads(9))
    .fd(4, pidfd(813));
    proven(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
}

#[test]
fn waiting_in_a_pid_namespace_names_the_child_by_its_inner_number() {
    let mut s = wait_then_read();
    s.process(812, 1, "python3", wait4(4))
        .fd(3, reads(9))
        .with(|p| p.ns_pids = vec![812, 3]);
    s.edit(813).with(|p| p.ns_pids = vec![813, 4]);
    proven(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
}

#[test]
fn sigsuspend_of_a_shell_is_waiting_for_its_children() {
    let mut s = wait_then_read();
    s.process(
        812,
        1,
        "dash",
        sigsuspend(&[SignalSet::CHLD, SignalSet::INT]),
    )
    .fd(3, reads(9));
    s.edit(812).catches(&[SignalSet::CHLD, SignalSet::INT]);
    proven(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
}

#[test]
fn ruby_waits_by_a_signal_handler_an_eventfd_and_a_timer_that_is_disarmed() {
    let mut s = wait_then_read();
    s.scan.posix_timers = None;
    s.process(812, 1, "ruby", poll(&[(3, POLLIN)]))
        .thread(815, "waiter", futex())
        .fd(3, eventfd(40))
        .fd(5, reads(9))
        .catches(&[SignalSet::ALRM, SignalSet::CHLD, 26])
        .with(|p| p.timers = PosixTimers::Listed(vec![26]));
    proven(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
}

#[test]
fn java_is_probable_because_of_its_helpers_that_wait_with_timeouts() {
    let mut s = wait_then_read();
    s.process(812, 1, "java", join(816))
        .fd(7, reads(9))
        .thread(816, "java", futex())
        .thread(817, "VM Thread", futex_for(Timeout::After(1_000_000_000)))
        .thread(
            818,
            "VM Periodic Tas",
            futex_for(Timeout::After(50_000_000)),
        )
        .thread(819, "process reaper", wait4(813));
    let report = probable(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
    assert_eq!(report.assumptions.len(), 2);
    assert!(
        report.assumptions[0]
            .text
            .contains("helper of the Java virtual machine")
    );
}

#[test]
fn a_timed_thread_of_the_users_own_is_no_helper_of_java() {
    let mut s = wait_then_read();
    s.process(812, 1, "java", join(816))
        .fd(7, reads(9))
        .thread(816, "java", futex())
        .thread(817, "VM Thread", futex())
        .thread(
            818,
            "VM Periodic Tas",
            futex_for(Timeout::After(50_000_000)),
        )
        .thread(819, "process reaper", wait4(813))
        .thread(
            820,
            "pool-1-thread-1",
            futex_for(Timeout::After(600_000_000_000)),
        );
    assert!(!matches!(
        s.diagnose(812).verdict(),
        Verdict::Deadlocked { .. }
    ));
}

#[test]
fn a_helper_that_runs_in_the_last_look_does_not_hide_what_those_before_it_show() {
    let mut s = wait_then_read();
    s.edit(812).thread(817, "VM Thread", futex()).thread(
        818,
        "VM Periodic Tas",
        futex_for(Timeout::After(50_000_000)),
    );
    let mut looks = s.looks(2);
    s.process(812, 1, "java", wait4(813))
        .fd(3, reads(9))
        .thread(817, "VM Thread", futex())
        .thread(818, "VM Periodic Tas", Wait::Running);
    looks.extend(s.looks(1));
    let is_deadlocked = |looks: &[Snapshot]| {
        matches!(
            diagnose(looks, Pid(812)).verdict(),
            Verdict::Deadlocked { .. }
        )
    };
    assert!(!is_deadlocked(&looks));
    assert_eq!(looks_that_show_most(&looks, Pid(812)), 2);
    assert!(is_deadlocked(&looks[..2]));
    // Somebody of those in it has moved since.
    let child = looks[2].processes.iter_mut().find(|p| p.pid.0 == 813);
    child.unwrap().tasks[0].switches_voluntary = Some(4711);
    assert_eq!(looks_that_show_most(&looks, Pid(812)), 3);
}

#[test]
fn go_is_probable_because_of_its_monitor() {
    let mut s = wait_then_read();
    s.process(
        812,
        1,
        "goprog",
        Wait::Child {
            children: ChildSet::Pid(813),
        },
    )
    .fd(3, reads(9))
    .fd(4, epoll(&[(3, POLLIN | POLLOUT | POLLET, 9)]))
    .thread(814, "goprog", futex_for(Timeout::After(60_000_000_000)))
    .thread(815, "goprog", epoll_wait(4))
    .thread(816, "goprog", futex())
    .with(|p| p.go_program = GoProgram::Yes);
    probable(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
    s.edit(812).with(|p| p.go_program = GoProgram::NotLooked);
    assert!(!matches!(
        s.diagnose(812).verdict(),
        Verdict::Deadlocked { .. }
    ));
}

#[test]
fn reading_one_stream_while_the_other_fills() {
    let mut s = Scene::new();
    s.process(10, 1, "perl", read(3))
        .fd(3, reads(20))
        .fd(4, reads(21));
    s.process(11, 10, "tool", write(2))
        .fd(1, writes(20))
        .fd(2, writes(21));
    let report = proven(&s, 10, Class::SequentialRead, Kind::Artificial, 10);
    let held = &report.culprit.unwrap().holds[0];
    assert_eq!(held.fds.iter().copied().collect::<Vec<_>>(), [4]);
}

#[test]
fn streams_are_told_by_the_pipe_since_dash_moves_their_numbers() {
    let mut s = Scene::new();
    s.process(10, 1, "perl", read(3))
        .fd(3, reads(20))
        .fd(4, reads(21));
    s.process(11, 10, "dash", write(1))
        .fd(1, writes(21))
        .fd(2, writes(21))
        .fd(10, writes(20));
    let report = proven(&s, 10, Class::SequentialRead, Kind::Artificial, 10);
    assert!(
        report.headline.contains("its stdout and stderr"),
        "{}",
        report.headline
    );
}

#[test]
fn polling_one_stream_and_not_the_other() {
    let mut s = Scene::new();
    s.process(10, 1, "python3", poll(&[(3, POLLIN)]))
        .fd(3, reads(20))
        .fd(4, reads(21));
    s.process(11, 10, "server", write(2))
        .fd(1, writes(20))
        .fd(2, writes(21));
    proven(&s, 10, Class::UnreadStream, Kind::Artificial, 10);
}

#[test]
fn writing_all_input_before_reading_any_output() {
    let mut s = Scene::new();
    s.process(10, 1, "php", write(3))
        .fd(3, writes(20))
        .fd(4, reads(21));
    s.process(11, 10, "cat", write(1))
        .fd(0, reads(20))
        .fd(1, writes(21));
    proven(&s, 10, Class::WriteAllThenRead, Kind::Artificial, 10);
}

#[test]
fn a_feeder_thread_beside_the_wait_is_a_second_loop() {
    let mut s = Scene::new();
    s.process(10, 1, "tool", wait4(11))
        .thread(12, "feeder", write(3))
        .fd(3, writes(20))
        .fd(4, reads(21));
    s.process(11, 10, "cat", write(1))
        .fd(0, reads(20))
        .fd(1, writes(21));
    for asked in [10, 11] {
        let report = proven(&s, asked, Class::WaitThenRead, Kind::Artificial, 10);
        assert_eq!(report.related, [Class::WriteAllThenRead]);
        let culprit = report.culprit.unwrap().actor.task.tid;
        assert_eq!(culprit, Tid(10));
        let told = [
            "tool (10) waits for cat (11) to exit",
            "cat (11) waits to write to its stdout",
        ];
        assert!(
            told.iter().all(|t| report.headline.contains(t)),
            "{}",
            report.headline
        );
    }
}

#[test]
fn a_feeder_thread_that_main_joins_is_the_loop() {
    let mut s = Scene::new();
    s.process(10, 1, "tool", join(12))
        .thread(12, "feeder", write(3))
        .fd(3, writes(20))
        .fd(4, reads(21));
    s.process(11, 10, "cat", write(1))
        .fd(0, reads(20))
        .fd(1, writes(21));
    let report = proven(&s, 10, Class::WriteAllThenRead, Kind::Artificial, 10);
    assert_eq!(report.related, []);
}

#[test]
fn a_full_channel_is_told_before_a_shorter_loop_of_empty_ones() {
    let mut s = Scene::new();
    // 10 and 11 read from each other; 10's other thread waits for 12, which fills a pipe of it.
    s.process(10, 1, "server", read(3))
        .thread(13, "worker", wait4(12))
        .fd(3, reads(20))
        .fd(4, writes(21))
        .fd(5, reads(22));
    s.process(11, 10, "helper", read(0))
        .fd(0, reads(21))
        .fd(1, writes(20));
    s.process(12, 10, "tool", write(1)).fd(1, writes(22));
    for asked in [10, 11, 12] {
        let report = proven(&s, asked, Class::WaitThenRead, Kind::Artificial, 10);
        assert_eq!(report.related, [Class::CoprocessStandoff]);
        assert!(
            report.headline.contains("tool (12) waits to write"),
            "{}",
            report.headline
        );
    }
}

#[test]
fn node_that_paused_a_stream() {
    let mut s = Scene::new();
    s.process(10, 1, "node", epoll_wait(13))
        .fd(13, epoll(&[(14, POLLIN, 30), (17, POLLIN, 1)]))
        .fd(14, reads(30))
        .fd(15, writes(30))
        .fd(17, eventfd(5))
        .fd(18, socket(40, 41))
        .thread(12, "node", futex())
        .catches(&[SignalSet::CHLD]);
    s.process(11, 10, "child", write(1)).fd(1, socket(41, 40));
    let report = proven(&s, 10, Class::BackPressureForgotten, Kind::Artificial, 10);
    assert_eq!(report.related, [Class::SocketpairFull]);
}

#[test]
fn a_socket_pair_that_nobody_drains() {
    let mut s = Scene::new();
    s.process(10, 1, "parent", poll(&[(5, POLLIN)]))
        .fd(4, socket(40, 41))
        .fd(5, reads(20));
    s.process(11, 10, "child", write(1))
        .fd(1, socket(41, 40))
        .fd(2, writes(20));
    proven(&s, 10, Class::SocketpairFull, Kind::Artificial, 10);
}

#[test]
fn waiting_for_one_child_that_hangs_on_another() {
    let mut s = Scene::new();
    s.process(10, 1, "make", wait4(11)).fd(3, reads(20));
    s.process(11, 10, "first", read(0)).fd(0, reads(21));
    s.process(12, 10, "second", write(2))
        .fd(1, writes(21))
        .fd(2, writes(20));
    proven(&s, 10, Class::JoinOrder, Kind::Artificial, 10);
}

#[test]
fn a_diamond_joined_in_the_wrong_order() {
    let mut s = Scene::new();
    s.process(9, 1, "sh", wait_any());
    s.process(10, 9, "tee", write(3))
        .fd(1, writes(20))
        .fd(3, writes(21));
    s.process(11, 9, "sort", read(0))
        .fd(0, reads(20))
        .fd(1, writes(22));
    s.process(12, 9, "paste", read(3))
        .fd(3, reads(22))
        .fd(4, reads(21));
    proven(&s, 12, Class::Diamond, Kind::Artificial, 12);
}

#[test]
fn joining_a_process_whose_feeder_still_writes() {
    let mut s = Scene::new();
    s.process(10, 1, "python3", wait4(11))
        .fd(3, reads(20))
        .fd(4, writes(20));
    s.process(11, 10, "python3", join(12))
        .thread(12, "QueueFeederThre", write(4))
        .fd(3, reads(20))
        .fd(4, writes(20));
    proven(&s, 10, Class::QueueFeeder, Kind::Artificial, 10);
}

#[test]
fn a_terminal_whose_master_nobody_reads() {
    let mut s = Scene::new();
    s.process(10, 1, "expect", wait4(11)).fd(5, master(3));
    s.process(11, 10, "child", write(1))
        .fd(0, slave(3))
        .fd(1, slave(3))
        .session(11);
    proven(&s, 10, Class::PtyUnread, Kind::Artificial, 10);
}

#[test]
fn a_nested_epoll_set_is_followed() {
    let mut s = Scene::new();
    s.process(10, 1, "loop", epoll_wait(5))
        .fd(5, epoll(&[(6, POLLIN, 61)]))
        .fd(7, reads(20))
        .fd(8, reads(21))
        .with(|p| {
            let (object, access, mut id) = epoll(&[(7, POLLIN, 20)]);
            id.ino = 61;
            let pipeclog_waitgraph::descriptor::Table::Complete(t) = &mut p.table else {
                panic!()
            };
            t.push(pipeclog_waitgraph::descriptor::Descriptor {
                fd: 6,
                access,
                flags: 0,
                id: Some(id),
                object,
            });
            t.sort_by_key(|d| d.fd);
        });
    s.process(11, 10, "child", write(2))
        .fd(1, writes(20))
        .fd(2, writes(21));
    proven(&s, 10, Class::BackPressureForgotten, Kind::Artificial, 10);
}

#[test]
fn deadlocked_descendants_of_a_live_supervisor_are_reported_beside_it() {
    let mut s = wait_then_read();
    s.process(
        800,
        1,
        "supervisord",
        poll_for(&[], Timeout::After(1_000_000_000)),
    )
    .moving();
    s.edit(812).with(|p| p.ppid = Pid(800));
    let report = s.diagnose(800).report().clone();
    assert_eq!(report.verdict, VerdictName::Progressing);
    assert_eq!(report.beside.len(), 1);
    assert_eq!(report.beside[0].verdict, VerdictName::Deadlocked);
    assert_eq!(report.beside[0].target.task.pid, Pid(812));
}

#[test]
fn a_process_whose_leader_has_exited_lives_in_its_threads() {
    let mut s = wait_then_read();
    s.edit(813).thread(814, "writer", write(1)).with(|p| {
        p.tasks[0].state = State::Zombie;
        p.tasks[0].wait = Wait::Unknown;
    });
    let report = proven(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
    assert_eq!(report.members[1].actor.task.tid, Tid(814));
}

#[test]
fn a_vfork_parent_waits_for_its_child() {
    let mut s = Scene::new();
    s.process(10, 1, "parent", Wait::Vfork).fd(3, reads(20));
    s.process(11, 10, "parent", write(1))
        .fd(1, writes(20))
        .with(|p| p.memory = Some(Pid(10)));
    let report = s.diagnose(10).report().clone();
    assert_eq!(
        (report.verdict, report.confidence),
        (VerdictName::Deadlocked, Confidence::Proven)
    );
}

#[test]
fn a_stream_filled_by_the_child_of_a_shell_is_one_of_the_shells() {
    let mut s = Scene::new();
    s.process(10, 1, "python3", read(3))
        .fd(3, reads(20))
        .fd(4, reads(21));
    s.process(11, 10, "sh", wait_any())
        .fd(1, writes(20))
        .fd(2, writes(21));
    s.process(12, 11, "seq", write(1))
        .fd(1, writes(21))
        .fd(2, writes(21));
    proven(&s, 10, Class::SequentialRead, Kind::Artificial, 10);
}

#[test]
fn a_thousand_threads_on_locks_are_no_trouble() {
    let mut s = wait_then_read();
    for tid in 2000..3000 {
        s.edit(812).thread(tid, "worker", futex());
    }
    let report = proven(&s, 812, Class::WaitThenRead, Kind::Artificial, 812);
    assert_eq!(report.members.len(), 1002);
}
