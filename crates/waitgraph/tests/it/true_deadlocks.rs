//! Deadlocks with every channel empty, and those that are probable at best.

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::descriptor::{Access, FileId};
use pipeclog_waitgraph::report::{Confidence, Kind, VerdictName};
use pipeclog_waitgraph::snapshot::{FileLock, Pid};
use pipeclog_waitgraph::wait::{FifoMode, LockKind, Timeout, Wait};

use crate::deadlocks::{probable, proven};
use crate::scene::*;

#[test]
fn a_reader_that_holds_its_own_write_end() {
    let mut s = Scene::new();
    s.process(10, 1, "python2", read(5)).fd(5, reads(21));
    s.process(11, 10, "sort", read(0))
        .fd(0, reads(20))
        .fd(4, writes(20))
        .fd(1, writes(21));
    let report = proven(&s, 10, Class::OwnWriteEnd, Kind::True, 11);
    assert!(
        report.headline.contains("only it itself can write"),
        "{}",
        report.headline
    );
    proven(&s, 11, Class::OwnWriteEnd, Kind::True, 11);
}

#[test]
fn who_hangs_on_a_true_deadlock_by_a_full_pipe_does_not_make_it_artificial() {
    let mut s = Scene::new();
    s.process(10, 1, "logger", write(1)).fd(1, writes(22));
    s.process(11, 10, "erl", wait4(12))
        .fd(3, reads(22))
        .fd(4, writes(20));
    s.process(12, 11, "cat", read(0)).fd(0, reads(20));
    for pid in [10, 11, 12] {
        let report = s.diagnose(pid).report().clone();
        assert_eq!(report.verdict, VerdictName::Deadlocked, "{pid}");
        assert_eq!(
            report.deadlock,
            Some(Kind::True),
            "{pid}: {}",
            report.headline
        );
    }
}

#[test]
fn stdin_that_is_never_closed() {
    let mut s = Scene::new();
    s.process(10, 1, "erl", wait4(11)).fd(4, writes(20));
    s.process(11, 10, "cat", read(0)).fd(0, reads(20));
    let report = proven(&s, 10, Class::StdinNeverClosed, Kind::True, 10);
    assert!(
        report
            .headline
            .ends_with("and erl (10) neither writes nor closes it"),
        "{}",
        report.headline
    );
}

#[test]
fn a_filter_that_answers_only_at_the_end_of_an_input_that_stays_open() {
    let mut s = Scene::new();
    s.process(10, 1, "tclsh", read(5))
        .fd(4, writes(20))
        .fd(5, reads(21));
    s.process(11, 10, "sort", read(0))
        .fd(0, reads(20))
        .fd(1, writes(21));
    proven(&s, 10, Class::StdinNeverClosed, Kind::True, 10);
}

#[test]
fn both_read_and_a_buffer_holds_the_answer() {
    let mut s = Scene::new();
    s.process(10, 1, "expect", read(5))
        .fd(4, writes(20))
        .fd(5, reads(21));
    s.process(11, 10, "awk", read(0))
        .fd(0, reads(20))
        .fd(1, writes(21));
    proven(&s, 10, Class::StdioBufferStandoff, Kind::True, 11);
}

#[test]
fn both_read_by_protocol() {
    let mut s = Scene::new();
    s.process(10, 1, "perl", read(5))
        .fd(4, writes(20))
        .fd(5, reads(21));
    s.process(11, 10, "git", read(0))
        .fd(0, reads(20))
        .fd(1, writes(21));
    proven(&s, 10, Class::CoprocessStandoff, Kind::True, 10);
}

/// Threads of a parent that wait for its eventfds, and one that reads what a child, who waits as well, never says.
fn standoff_beside_eventfds() -> Scene {
    let mut s = Scene::new();
    s.process(10, 1, "runner", poll(&[(4, POLLIN)]))
        .thread(12, "waker", read(5))
        .thread(13, "reader", read(6))
        .fd(4, eventfd(2))
        .fd(5, eventfd(3))
        .fd(6, fifo(71, Access::Read))
        .fd(7, fifo(72, Access::Write));
    s.process(11, 10, "git", read(0))
        .fd(0, fifo(72, Access::Read))
        .fd(1, fifo(71, Access::Write));
    s
}

#[test]
fn a_standoff_between_processes_is_told_before_eventfds_within_one() {
    let inherited = |mut s: Scene| {
        s.edit(11).fd(4, eventfd(2)).fd(5, eventfd(3));
        s
    };
    for s in [
        standoff_beside_eventfds(),
        inherited(standoff_beside_eventfds()),
    ] {
        for asked in [10, 11] {
            let report = probable(&s, asked, Class::CoprocessStandoff, Kind::True, 10);
            assert!(
                report
                    .headline
                    .contains("thread reader (13) of runner (10) waits to read from"),
                "{}",
                report.headline
            );
            assert!(!report.headline.contains("eventfd"), "{}", report.headline);
        }
    }
}

#[test]
fn eventfds_are_told_where_there_is_nothing_else() {
    let mut s = Scene::new();
    s.process(10, 1, "runner", poll(&[(4, POLLIN)]))
        .thread(12, "waker", read(5))
        .fd(4, eventfd(2))
        .fd(5, eventfd(3));
    let report = s.diagnose(10).report().clone();
    assert_eq!(report.verdict, VerdictName::Deadlocked);
    assert!(report.headline.contains("eventfd 2"), "{}", report.headline);
}

#[test]
fn a_write_end_leaked_into_a_sibling_that_waits_for_its_own_input() {
    let mut s = Scene::new();
    s.process(10, 1, "ghc", wait4(11)).fd(4, writes(22));
    s.process(11, 10, "sort", read(0)).fd(0, reads(20));
    s.process(12, 10, "cat", read(0))
        .fd(0, reads(22))
        .fd(5, writes(20));
    proven(&s, 10, Class::LeakedToSibling, Kind::True, 10);
}

#[test]
fn a_lock_that_was_held_while_another_thread_forked() {
    let mut s = Scene::new();
    s.process(10, 1, "python3", read(5)).fd(5, reads(20));
    s.process(11, 10, "python3", futex()).fd(6, writes(20));
    proven(&s, 10, Class::ForkLock, Kind::True, 10);
}

#[test]
fn jobserver_tokens_that_everybody_waits_for() {
    let mut s = Scene::new();
    s.process(10, 1, "make", wait_any())
        .fd(3, reads(20))
        .fd(4, writes(20));
    s.process(11, 10, "make", read(3))
        .fd(3, reads(20))
        .fd(4, writes(20));
    proven(&s, 10, Class::JobserverTokens, Kind::True, 11);
}

#[test]
fn two_fifos_opened_crosswise_are_probable() {
    let mut s = Scene::new();
    s.process(9, 1, "sh", wait_any());
    s.process(10, 9, "left", opens(71, FifoMode::Read));
    s.process(11, 9, "right", opens(72, FifoMode::Read));
    probable(&s, 9, Class::FifoOpenOrder, Kind::True, 10);
}

#[test]
fn a_spawned_child_that_opens_a_fifo_its_own_parent_would_open() {
    let mut s = Scene::new();
    s.process(10, 1, "parent", Wait::Vfork);
    s.process(11, 10, "parent", opens(71, FifoMode::Write))
        .with(|p| p.memory = Some(Pid(10)));
    probable(&s, 10, Class::FifoOpenOrder, Kind::True, 11);
}

#[test]
fn a_fifo_between_members_carries_the_assumption_that_nobody_else_opens_it() {
    let mut s = Scene::new();
    s.process(10, 1, "sh", wait4(11))
        .fd(3, fifo(71, Access::Read));
    s.process(11, 10, "tool", write(1))
        .fd(1, fifo(71, Access::Write));
    let report = probable(&s, 10, Class::WaitThenRead, Kind::Artificial, 10);
    assert!(report.assumptions[0].text.contains("/tmp/fifo71"));
}

#[test]
fn a_lock_in_the_loop_is_probable_since_it_may_have_been_passed_on() {
    let mut s = Scene::new();
    s.process(10, 1, "sh", wait4(11)).fd(9, file("/var/lock"));
    s.process(11, 10, "flock", flock(9))
        .fd(9, file("/var/lock"));
    s.locks.push(FileLock {
        kind: LockKind::Flock,
        file: FileId { dev: 13, ino: 500 },
        holder: Some(Pid(10)),
        waiters: vec![Pid(11)],
    });
    let report = s.diagnose(10).report().clone();
    assert_eq!(
        (report.verdict, report.confidence),
        (VerdictName::Deadlocked, Confidence::Probable)
    );
}

#[test]
fn a_lock_outlives_the_process_that_took_it() {
    // exec 9>file; flock 9; flock file true
    let mut s = Scene::new();
    s.process(10, 1, "sh", wait4(12)).fd(9, file("/var/lock"));
    s.process(12, 10, "flock", flock(3))
        .fd(3, file("/var/lock"))
        .fd(9, file("/var/lock"));
    s.locks.push(FileLock {
        kind: LockKind::Flock,
        file: FileId { dev: 13, ino: 500 },
        holder: Some(Pid(11)),
        waiters: vec![Pid(12)],
    });
    let report = s.diagnose(10).report().clone();
    assert_eq!(
        (report.verdict, report.confidence),
        (VerdictName::Deadlocked, Confidence::Probable)
    );
    s.process(13, 1, "other", sleep_ms(100))
        .fd(4, file("/var/lock"));
    assert_eq!(s.diagnose(10).report().verdict, VerdictName::Waiting);
}

#[test]
fn an_io_uring_is_probable_at_best() {
    let mut s = Scene::new();
    s.process(10, 1, "parent", wait4(11)).fd(3, reads(20));
    s.process(
        11,
        10,
        "uring",
        Wait::IoUring {
            fd: 5,
            timeout: Timeout::Never,
        },
    )
    .fd(1, writes(20))
    .fd(5, ring());
    let report = s.diagnose(10).report().clone();
    assert_eq!(
        (report.verdict, report.confidence),
        (VerdictName::Deadlocked, Confidence::Probable)
    );
    assert_eq!(report.deadlock, Some(Kind::Undetermined));
}
