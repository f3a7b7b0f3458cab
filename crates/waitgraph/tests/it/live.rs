//! What real programs (fixtures/live) have taught the engine.

use pipeclog_waitgraph::awaited::Assumption;
use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::descriptor::{Access, FileId, Object};
use pipeclog_waitgraph::report::{Assumed, Kind, VerdictName};
use pipeclog_waitgraph::wait::{SignalSet, Timeout, Wait};

use crate::deadlocks::{probable, proven};
use crate::scene::*;

/// mksh handles SIGALRM from its start, and waits for its children by sigsuspend.
fn mksh_before_a_full_pipe() -> Scene {
    let mut s = Scene::new();
    let handled = [SignalSet::ALRM, SignalSet::CHLD, SignalSet::INT];
    s.process(10, 1, "mksh", sigsuspend(&handled))
        .fd(3, reads(20))
        .catches(&handled);
    s.process(11, 10, "head", write(1)).fd(1, writes(20));
    s
}

#[test]
fn a_shell_that_always_handles_sigalrm_waits_for_its_children_all_the_same() {
    let s = mksh_before_a_full_pipe();
    proven(&s, 10, Class::WaitThenRead, Kind::Artificial, 10);
}

#[test]
fn while_an_alarm_is_set_somewhere_that_it_is_not_the_shells_is_an_assumption() {
    let mut s = mksh_before_a_full_pipe();
    s.scan.real_timers = Some(1);
    probable(&s, 10, Class::WaitThenRead, Kind::Artificial, 10);
}

#[test]
fn another_program_that_awaits_sigalrm_while_an_alarm_is_set_may_be_woken_by_it() {
    let mut s = mksh_before_a_full_pipe();
    s.scan.real_timers = Some(1);
    s.edit(10).with(|p| p.comm = "nap".into());
    let report = s.diagnose(10).report().clone();
    assert_ne!(report.verdict, VerdictName::Deadlocked);
}

#[test]
fn a_poll_of_one_stream_leaves_the_other_unread_although_its_program_handles_sigchld() {
    let mut s = Scene::new();
    s.process(10, 1, "ruby", poll(&[(5, POLLIN)]))
        .fd(5, reads(20))
        .fd(7, reads(21))
        .catches(&[SignalSet::CHLD]);
    s.process(11, 10, "make", write(2))
        .fd(1, writes(20))
        .fd(2, writes(21));
    proven(&s, 10, Class::UnreadStream, Kind::Artificial, 10);
}

#[test]
fn a_poll_for_room_alone_is_a_write_although_its_program_handles_sigchld() {
    let mut s = Scene::new();
    s.process(10, 1, "ruby", poll(&[(5, POLLOUT)]))
        .fd(5, writes(20))
        .fd(7, reads(21))
        .catches(&[SignalSet::CHLD]);
    s.process(11, 10, "cat", write(1))
        .fd(0, reads(20))
        .fd(1, writes(21));
    proven(&s, 10, Class::WriteAllThenRead, Kind::Artificial, 10);
}

#[test]
fn a_shell_that_holds_both_ends_of_its_coprocess_is_waited_for_and_not_its_own_writer() {
    let mut s = Scene::new();
    s.process(10, 1, "mksh", read(14))
        .fd(12, writes(20))
        .fd(13, writes(21))
        .fd(14, reads(21));
    s.process(11, 10, "sort", read(0))
        .fd(0, reads(20))
        .fd(1, writes(21));
    proven(&s, 10, Class::StdinNeverClosed, Kind::True, 10);
}

#[test]
fn a_reader_of_a_fifo_that_it_inherited_both_ways_is_its_own_writer() {
    let mut s = Scene::new();
    s.process(10, 1, "sh", wait4(11))
        .fd(3, fifo(30, Access::Both));
    s.process(11, 10, "cat", read(0))
        .fd(0, fifo(30, Access::Both))
        .fd(3, fifo(30, Access::Both));
    probable(&s, 10, Class::OwnWriteEnd, Kind::True, 11);
}

#[test]
fn an_event_loops_own_pipe_is_not_what_it_waits_for() {
    let mut s = Scene::new();
    s.process(10, 1, "node", epoll_wait(13))
        .fd(
            13,
            epoll(&[(11, POLLIN, 40), (21, POLLIN, 50), (22, POLLIN, 51)]),
        )
        .fd(11, reads(40))
        .fd(12, writes(40))
        .fd(21, reads(50))
        .fd(22, reads(51))
        .fd(23, writes(20));
    s.process(11, 10, "sort", read(0))
        .fd(0, reads(20))
        .fd(1, writes(50))
        .fd(2, writes(51));
    proven(&s, 10, Class::StdinNeverClosed, Kind::True, 10);
}

#[test]
fn the_thread_of_java_that_reaps_children_tells_no_story_where_another_does() {
    let mut s = Scene::new();
    s.process(10, 1, "java", join(13))
        .fd(5, reads(20))
        .fd(6, reads(21))
        .thread(12, "process reaper ", wait4(11))
        .thread(13, "java", futex())
        .thread(14, "pool-1-thread-1", read(5))
        .thread(15, "VM Thread", futex())
        .thread(16, "VM Periodic Tas", futex());
    s.process(11, 10, "sh", write(2))
        .fd(1, writes(20))
        .fd(2, writes(21));
    proven(&s, 10, Class::SequentialRead, Kind::Artificial, 10);
}

#[test]
fn a_ring_does_not_wait_on_dev_null_at_whatever_number() {
    let null = Object::Device {
        path: "/dev/null".into(),
        major: 1,
        minor: 3,
    };
    let mut s = Scene::new();
    let completion = Wait::IoUring {
        fd: 4,
        timeout: Timeout::Never,
    };
    s.process(10, 1, "server", completion)
        .fd(3, reads(20))
        .fd(4, ring())
        .fd(6, writes(21))
        .fd(10, (null, Access::Both, FileId { dev: 5, ino: 4 }));
    s.process(11, 10, "cat", read(0))
        .fd(0, reads(21))
        .fd(1, writes(20));
    let report = s.diagnose(10).report().clone();
    assert_eq!(
        report.verdict,
        VerdictName::Deadlocked,
        "{}",
        report.headline
    );
}

#[test]
fn a_pipe_by_which_threads_wake_each_other_is_nobodys_own_write_end() {
    let mut s = Scene::new();
    s.process(10, 1, "tclsh", futex())
        .fd(4, reads(20))
        .fd(5, writes(20))
        .thread(12, "tclsh", poll(&[(4, POLLIN)]));
    let report = s.diagnose(10).report().clone();
    assert_eq!(
        report.verdict,
        VerdictName::Deadlocked,
        "{}",
        report.headline
    );
    assert_eq!(report.class, None, "{}", report.headline);
}

/// A server whose first thread waits for others, while another waits for a child that reads what the server writes.
pub(crate) fn server(handled: &[u32]) -> Scene {
    let mut s = Scene::new();
    s.process(10, 1, "python3", futex())
        .fd(4, writes(20))
        .thread(12, "reaper", wait4(11))
        .catches(handled);
    s.process(11, 10, "cat", read(0)).fd(0, reads(20));
    s
}

#[test]
fn a_first_thread_on_a_lock_may_wait_for_a_signal_that_its_program_handles_on_purpose() {
    let usual = server(&[SignalSet::INT]);
    proven(&usual, 10, Class::StdinNeverClosed, Kind::True, 10);
    // Programs that catch whatever could end them catch SIGVTALRM too, and mean nothing by it.
    let by_course = server(&[SignalSet::INT, SignalSet::TERM, 26]);
    proven(&by_course, 10, Class::StdinNeverClosed, Kind::True, 10);
    let on_purpose = server(&[SignalSet::INT, SignalSet::TERM]);
    let report = probable(&on_purpose, 10, Class::StdinNeverClosed, Kind::True, 10);
    let assumed =
        |a: &Assumed| matches!(a.assumption, Assumption::NoSignalAwaited { pid } if pid.0 == 10);
    assert!(report.assumptions.iter().any(assumed), "{report:?}");
}
