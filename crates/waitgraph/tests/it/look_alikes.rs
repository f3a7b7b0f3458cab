//! Look-alikes: each would be a deadlock but for one fact, and none may be called one.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::descriptor::{Access, Armed, Object, Peer, SocketTimeouts};
use pipeclog_waitgraph::diagnose::diagnose;
use pipeclog_waitgraph::report::{Report, VerdictName};
use pipeclog_waitgraph::snapshot::{Freezer, GoProgram, Pid, PosixTimers, State};
use pipeclog_waitgraph::wait::{FifoMode, SignalSet, Timeout, Wait};

use crate::deadlocks::wait_then_read;
use crate::scene::*;

#[track_caller]
pub(crate) fn expect(
    scene: &Scene,
    pid: u32,
    verdict: VerdictName,
    class: Option<Class>,
) -> Report {
    let report = scene.diagnose(pid).report().clone();
    assert_eq!(report.verdict, verdict, "{}", report.headline);
    assert_eq!(report.class, class, "{}", report.headline);
    assert_eq!(report.certificate, None);
    report
}

#[test]
fn a_child_that_runs() {
    let mut s = wait_then_read();
    s.process(813, 812, "git", Wait::Running).fd(1, writes(9));
    let report = expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
    assert_eq!(
        report.headline,
        "waiting: python3 (812) waits for git (813) to exit; git (813) runs"
    );
}

#[test]
fn a_child_that_ran_between_the_looks() {
    let mut s = wait_then_read();
    s.edit(813).moving();
    expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_child_that_waits_for_the_network() {
    let mut s = wait_then_read();
    s.process(813, 812, "curl", read(5))
        .fd(1, writes(9))
        .fd(5, network());
    expect(&s, 812, VerdictName::Waiting, Some(Class::WaitingOutside));
}

#[test]
fn a_cycle_with_another_reader_outside_it() {
    let mut s = wait_then_read();
    s.process(900, 1, "monitor", sleep_ms(50)).fd(7, reads(9));
    expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_thread_of_the_parent_that_may_read_later() {
    let mut s = wait_then_read();
    s.edit(812).thread(815, "reader", sleep_ms(100));
    expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_wait_with_a_timeout() {
    let mut s = wait_then_read();
    s.process(
        812,
        1,
        "python3",
        poll_for(&[(4, POLLIN)], Timeout::After(5_000_000_000)),
    )
    .fd(3, reads(9))
    .fd(4, pidfd(813));
    let report = expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
    assert!(
        report.headline.contains("timeout of 5000 ms"),
        "{}",
        report.headline
    );
    s.process(812, 1, "python3", poll_for(&[(4, POLLIN)], Timeout::Unread))
        .fd(3, reads(9))
        .fd(4, pidfd(813));
    expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_zero_timeout_is_a_timeout() {
    let mut s = wait_then_read();
    s.process(
        812,
        1,
        "python3",
        poll_for(&[(4, POLLIN)], Timeout::After(0)),
    )
    .fd(3, reads(9))
    .fd(4, pidfd(813));
    expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn timers_wherever_they_hide() {
    let with_timerfd = |armed| {
        let mut s = wait_then_read();
        s.process(812, 1, "loop", epoll_wait(5))
            .fd(3, reads(9))
            .fd(4, timerfd(armed))
            .fd(5, epoll(&[(4, POLLIN, 1)]))
            .catches(&[SignalSet::CHLD]);
        s
    };
    expect(
        &with_timerfd(Armed::Armed),
        812,
        VerdictName::Waiting,
        Some(Class::SlowChild),
    );
    expect(
        &with_timerfd(Armed::Unknown),
        812,
        VerdictName::Waiting,
        Some(Class::SlowChild),
    );
    assert_eq!(
        with_timerfd(Armed::Disarmed).diagnose(812).report().verdict,
        VerdictName::Deadlocked
    );
}

#[test]
fn a_posix_timer_that_may_be_armed() {
    let mut s = wait_then_read();
    s.edit(813)
        .with(|p| p.timers = PosixTimers::Listed(vec![14]));
    s.scan.posix_timers = Some(1);
    expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
    s.scan.posix_timers = Some(0);
    assert_eq!(s.diagnose(812).report().verdict, VerdictName::Deadlocked);
}

#[test]
fn an_alarm_that_may_be_set() {
    let mut s = wait_then_read();
    s.edit(812).catches(&[SignalSet::ALRM]);
    for alarms in [Some(1), None] {
        s.scan.real_timers = alarms;
        expect(&s, 812, VerdictName::Waiting, Some(Class::SlowChild));
    }
    s.scan.real_timers = Some(0);
    assert_eq!(s.diagnose(812).report().verdict, VerdictName::Deadlocked);
}

#[test]
fn a_socket_with_a_timeout() {
    let mut s = Scene::new();
    let with = |timeouts| {
        let (
            Object::UnixSocket {
                inode,
                peer,
                socket,
                fds_in_flight,
                ..
            },
            access,
            id,
        ) = socket(41, 40)
        else {
            panic!()
        };
        (
            Object::UnixSocket {
                inode,
                peer,
                socket,
                fds_in_flight,
                timeouts,
            },
            access,
            id,
        )
    };
    s.process(10, 1, "parent", wait4(11)).fd(4, socket(40, 41));
    s.process(11, 10, "child", write(1))
        .fd(1, with(SocketTimeouts::Set));
    expect(&s, 10, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_stopped_reader() {
    let mut s = wait_then_read();
    s.edit(812).state(State::Stopped);
    let report = expect(&s, 813, VerdictName::Stopped, Some(Class::StoppedReader));
    assert!(report.culprit.unwrap().why.contains("kill -CONT 812"));
}

#[test]
fn a_reader_in_a_frozen_container() {
    let mut s = wait_then_read();
    s.edit(812).with(|p| p.freezer = Freezer::Frozen);
    expect(&s, 813, VerdictName::Stopped, Some(Class::StoppedReader));
    s.edit(812).with(|p| {
        p.freezer = Freezer::Unknown;
        p.tasks[0].wchan = Some("get_signal".into());
    });
    expect(&s, 813, VerdictName::Stopped, Some(Class::StoppedReader));
}

#[test]
fn a_traced_child_names_its_tracer() {
    let mut s = wait_then_read();
    s.process(700, 1, "gdb", read(0)).fd(0, slave(1));
    s.edit(813)
        .state(State::Traced)
        .with(|p| p.tracer = Some(Pid(700)));
    let report = expect(&s, 812, VerdictName::Stopped, Some(Class::StoppedReader));
    assert!(report.culprit.unwrap().why.contains("gdb (700)"));
}

#[test]
fn a_signal_from_outside() {
    for set in [&[SignalSet::TERM][..], &[SignalSet::CHLD, 10], &[]] {
        let mut s = wait_then_read();
        s.process(813, 812, "daemon", sigsuspend(set))
            .fd(1, writes(9))
            .catches(set);
        expect(&s, 812, VerdictName::Waiting, Some(Class::WaitingOutside));
    }
}

#[test]
fn an_exit_that_was_missed() {
    let mut s = Scene::new();
    s.process(10, 1, "dash", sigsuspend(&[SignalSet::CHLD]))
        .catches(&[SignalSet::CHLD]);
    s.process(11, 10, "true", Wait::Unknown)
        .state(State::Zombie);
    expect(&s, 10, VerdictName::Waiting, Some(Class::MissedExit));
}

#[test]
fn a_child_that_has_exited_is_about_to_be_reaped() {
    let mut s = wait_then_read();
    s.edit(813).state(State::Zombie);
    expect(&s, 812, VerdictName::Progressing, None);
}

#[test]
fn an_event_or_a_self_pipe_that_a_signal_handler_sets() {
    for wait in [futex(), poll(&[(3, POLLIN)]), read(3)] {
        let mut s = Scene::new();
        s.process(10, 1, "python3", wait4(11));
        s.process(11, 10, "service", wait)
            .fd(3, reads(20))
            .fd(4, writes(20))
            .catches(&[SignalSet::TERM]);
        expect(&s, 10, VerdictName::Waiting, Some(Class::WaitingOutside));
    }
}

/// A runtime that catches SIGTERM for every program shows less: whoever sleeps there on locks and eventfds alone may wait for it,
/// whoever sleeps on a pipe of his own does not.
#[test]
fn a_latch_of_a_runtime_that_a_signal_handler_releases() {
    let below_a_launcher = |own: fn(&mut Scene)| {
        let mut s = Scene::new();
        s.process(9, 1, "sh", wait4(10));
        own(&mut s);
        s.edit(10).catches(&[SignalSet::TERM, 26]);
        s
    };
    let java = below_a_launcher(|s| {
        s.process(10, 9, "java", futex())
            .thread(11, "VM Thread", futex_for(Timeout::After(1_000_000_000)))
            .thread(12, "VM Periodic Tas", futex_for(Timeout::After(50_000_000)));
    });
    let ruby = below_a_launcher(|s| {
        s.process(10, 9, "ruby", poll(&[(3, POLLIN)]))
            .fd(3, eventfd(1));
    });
    let go = below_a_launcher(|s| {
        s.process(10, 9, "server", futex())
            .thread(11, "server", futex_for(Timeout::After(60_000_000_000)))
            .thread(12, "server", futex())
            .with(|p| p.go_program = GoProgram::Yes);
    });
    for scene in [&java, &ruby, &go] {
        for pid in [9, 10] {
            expect(
                scene,
                pid,
                VerdictName::Waiting,
                Some(Class::WaitingOutside),
            );
        }
    }
    let mut own_pipe = ruby;
    own_pipe
        .process(10, 9, "ruby", poll(&[(3, POLLIN)]))
        .fd(3, reads(20))
        .fd(4, writes(20))
        .catches(&[SignalSet::TERM, 26]);
    let report = own_pipe.diagnose(9).report().clone();
    assert_eq!(report.class, Some(Class::OwnWriteEnd));
    assert_eq!(report.verdict, VerdictName::Deadlocked);
}

/// Two threads that hold each other's lock, or a pool that has nothing to do.
#[test]
fn threads_that_all_wait_for_locks_of_their_process_are_no_deadlock_and_not_well_either() {
    let mut s = Scene::new();
    s.process(10, 1, "python3", futex())
        .thread(11, "first", futex())
        .thread(12, "second", futex())
        .catches(&[SignalSet::INT]);
    expect(&s, 10, VerdictName::Unproven, None);
    s.edit(10)
        .thread(13, "timer", futex_for(Timeout::After(1_000_000_000)));
    assert_eq!(s.diagnose(10).report().verdict, VerdictName::Waiting);
}

#[test]
fn an_idle_thread_pool() {
    let mut s = Scene::new();
    s.process(10, 1, "pool", futex())
        .thread(11, "worker", futex())
        .thread(12, "worker", futex());
    assert_ne!(s.diagnose(10).report().verdict, VerdictName::Deadlocked);
}

#[test]
fn a_lone_opener_of_a_fifo() {
    let mut s = Scene::new();
    s.process(9, 1, "sh", wait_any());
    s.process(10, 9, "cat", opens(71, FifoMode::Read));
    expect(&s, 9, VerdictName::Waiting, Some(Class::WaitingOutside));
    // Two that wait at the same FIFO for the same partner are no cross.
    s.process(11, 9, "cat", opens(71, FifoMode::Read));
    expect(&s, 9, VerdictName::Waiting, Some(Class::WaitingOutside));
}

#[test]
fn an_epoll_set_with_a_socket_of_the_network() {
    let mut s = wait_then_read();
    s.process(812, 1, "node", epoll_wait(13))
        .fd(3, reads(9))
        .fd(13, epoll(&[(14, POLLIN, 77)]))
        .fd(14, network())
        .catches(&[SignalSet::CHLD]);
    expect(&s, 812, VerdictName::Waiting, Some(Class::WaitingOutside));
}

#[test]
fn a_listening_socket_waits_for_anybody() {
    let mut s = wait_then_read();
    let (
        Object::UnixSocket {
            inode,
            socket,
            fds_in_flight,
            timeouts,
            ..
        },
        access,
        id,
    ) = socket(41, 40)
    else {
        panic!()
    };
    let listening = (
        Object::UnixSocket {
            inode,
            peer: Peer::Listening,
            socket,
            fds_in_flight,
            timeouts,
        },
        access,
        id,
    );
    s.process(813, 812, "server", poll(&[(3, POLLIN)]))
        .fd(1, writes(9))
        .fd(3, listening);
    expect(&s, 812, VerdictName::Waiting, Some(Class::WaitingOutside));
}

#[test]
fn a_terminal_with_a_person_before_it() {
    let mut s = wait_then_read();
    s.process(813, 812, "vi", read(0))
        .fd(0, slave(1))
        .fd(1, writes(9));
    expect(&s, 812, VerdictName::Waiting, Some(Class::WaitingOutside));
    // The terminal emulator in sight does not change that: it waits for the display.
    s.process(700, 1, "xterm", poll(&[(4, POLLIN), (5, POLLIN)]))
        .fd(4, master(1))
        .fd(5, network());
    expect(&s, 812, VerdictName::Waiting, Some(Class::WaitingOutside));
}

#[test]
fn a_healthy_pipeline_that_waits_for_its_source() {
    let mut s = Scene::new();
    s.process(9, 1, "sh", wait_any());
    s.process(10, 9, "tail", poll(&[(4, POLLIN)]))
        .fd(1, writes(20))
        .fd(
            4,
            (
                Object::FileEvents,
                Access::Read,
                pipeclog_waitgraph::descriptor::FileId { dev: 1, ino: 1 },
            ),
        );
    s.process(11, 9, "grep", read(0))
        .fd(0, reads(20))
        .fd(1, writes(21));
    s.process(12, 9, "cat", read(0)).fd(0, reads(21));
    for pid in [9, 10, 11, 12] {
        expect(&s, pid, VerdictName::Waiting, Some(Class::WaitingOutside));
    }
}

#[test]
fn back_pressure_from_a_slow_consumer() {
    let mut s = Scene::new();
    s.process(9, 1, "sh", wait_any());
    s.process(10, 9, "seq", write(1)).fd(1, writes(20));
    s.process(11, 9, "slow", sleep_ms(100))
        .fd(0, reads(20))
        .moving();
    expect(&s, 10, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_consumer_seen_reading_once_is_no_stall() {
    let mut s = Scene::new();
    s.process(10, 1, "loop", sleep_ms(10))
        .fd(3, reads(20))
        .moving();
    s.process(11, 10, "tool", write(1)).fd(1, writes(20));
    let mut looks = s.looks(4);
    looks[1].processes[0].tasks[0].wait = read(3);
    assert_ne!(
        diagnose(&looks, Pid(11)).report().verdict,
        VerdictName::Stalled
    );
}

#[test]
fn a_process_inside_the_kernel() {
    let mut s = wait_then_read();
    s.process(813, 812, "dd", write(1))
        .fd(1, writes(9))
        .state(State::Disk);
    expect(&s, 812, VerdictName::Waiting, Some(Class::KernelHeld));
}

#[test]
fn a_worker_that_its_parent_still_feeds_holds_the_end_on_purpose() {
    let mut s = Scene::new();
    s.process(2, 1, "bash", wait_any());
    s.process(10, 2, "python3", read(3)).fd(3, reads(20));
    s.process(11, 10, "python3", sleep_ms(1000))
        .fd(6, writes(20));
    expect(&s, 10, VerdictName::Waiting, Some(Class::SlowChild));
    s.process(11, 10, "tool", sleep_ms(1000)).fd(1, writes(20));
    expect(&s, 10, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_sibling_in_a_pipeline_is_no_leak() {
    let mut s = Scene::new();
    s.process(9, 1, "sh", wait_any());
    s.process(11, 9, "cat", read(0)).fd(0, reads(20));
    s.process(12, 9, "sleep", sleep_ms(600_000))
        .fd(1, writes(20));
    expect(&s, 11, VerdictName::Waiting, Some(Class::SlowChild));
}

#[test]
fn a_process_that_moves() {
    let mut s = Scene::new();
    s.process(10, 1, "busy", Wait::Running).moving();
    expect(&s, 10, VerdictName::Progressing, None);
}

#[test]
fn a_signalfd_for_children_alone_is_inside_and_for_more_is_outside() {
    for (mask, verdict) in [
        (&[SignalSet::CHLD][..], VerdictName::Deadlocked),
        (&[SignalSet::CHLD, 10], VerdictName::Waiting),
    ] {
        let mut s = wait_then_read();
        s.process(812, 1, "init", poll(&[(5, POLLIN)]))
            .fd(3, reads(9))
            .fd(5, signalfd(mask));
        assert_eq!(s.diagnose(812).report().verdict, verdict);
    }
}
