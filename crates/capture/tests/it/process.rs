//! What belongs to the process: descriptors, signals, children. Each in a process of its own.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use pipeclog_capture::{
    Bound, Capture, Command, End, Limit, LimitPolicy, Status, Strategy, Streams,
};

use crate::failures::open_descriptors;
use crate::support::{
    KILL_ALL, LONG, alone, assert_childless, capturing, cases, run, safe, sh, until,
};

#[test]
fn no_descriptor_and_no_zombie_is_left_by_any_way_out() {
    if !alone(
        "process::no_descriptor_and_no_zombie_is_left_by_any_way_out",
        "",
    ) {
        return;
    }
    let before = open_descriptors();
    let short = Bound::Timeout(Duration::from_millis(1));
    let limit = Limit {
        bytes: 10,
        policy: LimitPolicy::Error,
    };
    for strategy in safe() {
        for _ in 0..cases(20) {
            run(strategy, End::Drain, "echo x; exit 1");
            let _ = Capture::new(strategy, End::Drain, LONG).run(&Command::new("/no/such/program"));
            let _ = Capture::new(strategy, End::Drain, short)
                .kill(KILL_ALL)
                .run(&sh("sleep 600"));
            let _ = Capture::new(strategy, End::Drain, LONG)
                .limit(limit)
                .run(&sh("echo more than ten bytes"));
            drop(
                Capture::new(strategy, End::Drain, LONG)
                    .stdin("x")
                    .start(&sh("exec sleep 600")),
            );
        }
        assert_childless();
        // A killed grandchild may still be dying, and is drained for until then.
        until(
            &format!("{strategy}: the descriptors are those of before"),
            || open_descriptors() == before,
        );
    }
}

#[test]
fn any_of_0_1_and_2_may_be_closed_in_the_caller() {
    if !alone("process::any_of_0_1_and_2_may_be_closed_in_the_caller", "") {
        return;
    }
    for closed in 0..8 {
        let kept: Vec<_> = (0..3)
            .filter(|number| closed & (1 << number) != 0)
            .map(|number| (number, nix::unistd::dup(stdio(number)).expect("open")))
            .collect();
        for (number, _) in &kept {
            nix::unistd::close(*number).expect("open");
        }
        let result = std::panic::catch_unwind(check_with_some_closed);
        for (number, copy) in kept {
            match number {
                0 => nix::unistd::dup2_stdin(copy).expect("open"),
                1 => nix::unistd::dup2_stdout(copy).expect("open"),
                _ => nix::unistd::dup2_stderr(copy).expect("open"),
            }
        }
        assert!(
            result.is_ok(),
            "with the set {closed:#b} of 0, 1 and 2 closed"
        );
    }
}

fn stdio(number: i32) -> BorrowedFd<'static> {
    match number {
        0 => rustix::stdio::stdin(),
        1 => rustix::stdio::stdout(),
        _ => rustix::stdio::stderr(),
    }
}

fn check_with_some_closed() {
    for strategy in capturing() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin("in");
        let captured = capture
            .run(&sh("cat; echo out; echo err >&2"))
            .expect("it runs");
        assert_eq!(captured.status, Status::Exited(0), "{strategy}");
        if strategy.streams() == Streams::Separate {
            assert_eq!(captured.stdout.bytes, b"inout\n", "{strategy}");
            assert_eq!(captured.stderr.bytes, b"err\n", "{strategy}");
        } else {
            assert_eq!(captured.stdout.bytes, b"inout\nerr\n", "{strategy}");
        }
    }
    for strategy in Strategy::ALL.into_iter().filter(|it| it.is_hazard()) {
        let capture = Capture::new(strategy, End::EndOfFile, Bound::Unbounded).stdin("in");
        let captured = capture
            .run(&sh("cat; echo out; echo err >&2"))
            .expect("it runs");
        assert_eq!(captured.stdout.bytes, b"inout\n", "{strategy}");
        assert_eq!(captured.stderr.bytes, b"err\n", "{strategy}");
    }
}

#[test]
fn a_child_sees_0_1_and_2_only_and_they_block() {
    if !alone("process::a_child_sees_0_1_and_2_only_and_they_block", "") {
        return;
    }
    // What this process was itself given inheritable, its children inherit; we add nothing to that.
    let expected = inherited();
    // ls has one of its own. The flags are octal: 4000 is O_NONBLOCK.
    let script = "echo $(ls /proc/self/fd); grep -h flags /proc/self/fdinfo/[012]";
    for strategy in capturing() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin("in");
        let captured = capture.run(&sh(script)).expect("it runs");
        let text = captured.stdout.bytes.to_text_lossy().into_owned();
        let (numbers, flags) = text.split_once('\n').expect("more than a line");
        let seen: BTreeSet<i32> = numbers
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert!(seen.is_superset(&expected), "{strategy}: {seen:?}");
        assert_eq!(
            seen.len(),
            expected.len() + 1,
            "{strategy}: {seen:?} rather than {expected:?}"
        );
        for flags in flags
            .lines()
            .filter_map(|line| line.strip_prefix("flags:\t"))
        {
            let flags = u32::from_str_radix(flags, 8).expect("octal");
            assert_eq!(
                flags & 0o4000,
                0,
                "{strategy}: a descriptor of the child does not block\n{text}"
            );
        }
    }
}

/// What a child of ours is to see: 0, 1 and 2, and what is not ours to close.
pub(crate) fn inherited() -> BTreeSet<i32> {
    (0..3).chain(inheritable()).collect()
}

/// The descriptors of this process that are not close-on-exec (proc_pid_fdinfo(5)).
fn inheritable() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc/self/fdinfo").expect("readable");
    entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let text = std::fs::read_to_string(&path).ok()?;
        let flags = text
            .lines()
            .find_map(|line| line.strip_prefix("flags:\t"))?;
        let inheritable = u32::from_str_radix(flags, 8).ok()? & 0o2_000_000 == 0;
        path.file_name()?
            .to_str()?
            .parse()
            .ok()
            .filter(|_| inheritable)
    })
}

#[test]
fn a_child_starts_with_no_signal_blocked_and_sigpipe_at_its_default() {
    if !alone(
        "process::a_child_starts_with_no_signal_blocked_and_sigpipe_at_its_default",
        "",
    ) {
        return;
    }
    SigSet::all().thread_block().expect("allowed");
    for strategy in capturing() {
        let captured = Capture::new(strategy, End::EndOfFile, LONG)
            .run(&Command::new("grep").args(["-E", "^Sig(Blk|Ign)", "/proc/self/status"]))
            .expect("it runs");
        let text = captured.stdout.bytes.to_text_lossy().into_owned();
        let mask = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .expect("it is there");
            u64::from_str_radix(line.trim(), 16).expect("hexadecimal")
        };
        assert_eq!(mask("SigBlk:"), 0, "{strategy}: {text}");
        assert_eq!(
            mask("SigIgn:") & (1 << (Signal::SIGPIPE as u64 - 1)),
            0,
            "{strategy}: {text}"
        );
    }
}

#[test]
fn the_callers_signal_mask_is_left_as_it_was() {
    let before = SigSet::thread_get_mask().expect("readable");
    for strategy in capturing() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin(vec![0; 100_000]);
        capture.run(&sh("exit 0")).expect("it runs");
        assert_eq!(
            SigSet::thread_get_mask().expect("readable"),
            before,
            "{strategy}"
        );
    }
}

/// With SIGCHLD ignored the kernel reaps by itself. Since Linux 6.15 the pidfd still has the
/// status; before, it is lost, and said to be, rather than guessed.
#[test]
fn an_ignored_sigchld_costs_at_most_the_status() {
    if !alone(
        "process::an_ignored_sigchld_costs_at_most_the_status",
        "trap '' CHLD;",
    ) {
        return;
    }
    for strategy in capturing() {
        let captured = run(strategy, End::EndOfFile, "echo x; exit 3");
        assert_eq!(captured.stdout.bytes, b"x\n", "{strategy}");
        assert!(
            matches!(captured.status, Status::Exited(3) | Status::Lost),
            "{strategy}: {}",
            captured.status
        );
        let command = Command::new("/no/such/program");
        Capture::new(strategy, End::Drain, LONG)
            .run(&command)
            .expect_err("there is none");
    }
}

#[test]
fn a_panic_in_the_caller_leaves_no_child() {
    if !alone("process::a_panic_in_the_caller_leaves_no_child", "") {
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..cases(20) {
        let panicked = std::panic::catch_unwind(|| {
            let _running = Capture::new(Strategy::Poll, End::Drain, LONG)
                .start(&sh("exec sleep 600"))
                .expect("it starts");
            panic!("the caller's own");
        });
        assert!(panicked.is_err());
    }
    let _ = std::panic::take_hook();
    assert_childless();
}

#[test]
fn many_at_once_keep_their_bytes_apart() {
    std::thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || {
                for round in 0..25 {
                    let strategy = capturing()
                        .nth((worker + round) % capturing().count())
                        .expect("in range");
                    let captured =
                        run(strategy, End::Drain, &format!("echo {worker} {round}; cat"));
                    assert_eq!(
                        captured.stdout.bytes,
                        format!("{worker} {round}\n"),
                        "{strategy}"
                    );
                }
            });
        }
    });
}
