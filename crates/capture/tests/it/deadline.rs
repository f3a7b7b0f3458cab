//! Deadlines: partial output comes back, a capture goes on after one, and what is killed.

use std::time::{Duration, Instant};

use pipeclog_capture::{
    Bound, Capture, End, Kill, KillTarget, Status, Stopped, Strategy, StreamEnd, Streams, Waited,
};

use crate::support::{KILL_ALL, LONG, Process, capturing, draining, run_with, safe, sh, until};

const SOON: Bound = Bound::Timeout(Duration::from_millis(40));

/// Waits in pieces until stdout is as wanted, so that a deadline can be set when the child has come
/// that far.
fn until_stdout(
    capture: Capture,
    script: &str,
    wanted: impl Fn(&[u8]) -> bool,
) -> pipeclog_capture::Running {
    let mut running = capture.start(&sh(script)).expect("it starts");
    let bound = Instant::now() + Duration::from_secs(30);
    loop {
        running = match running
            .wait(Bound::Timeout(Duration::from_millis(1)))
            .expect("no error")
        {
            Waited::DeadlinePassed(running) => running,
            Waited::Finished(captured) => panic!("it ended: {captured:?}"),
        };
        if wanted(&running.stdout_so_far().expect("readable")) {
            return running;
        }
        assert!(
            Instant::now() < bound,
            "{script} does not write what was expected"
        );
    }
}

#[test]
fn a_passed_deadline_ends_the_child_under_every_safe_strategy() {
    for strategy in safe() {
        for end in [
            End::EndOfFile,
            End::Drain,
            End::Grace(Duration::from_secs(60)),
        ] {
            let capture = Capture::new(strategy, end, SOON).kill(KILL_ALL);
            let captured = capture.run(&sh("sleep 600; echo never")).expect("no error");
            assert_eq!(
                captured.stopped,
                Some(Stopped::Deadline),
                "{strategy} {end:?}"
            );
            assert_eq!(captured.status, Status::Signaled(9), "{strategy} {end:?}");
            if strategy.streams() != Streams::None {
                assert_eq!(
                    captured.stdout.end,
                    StreamEnd::Deadline,
                    "{strategy} {end:?}"
                );
            }
        }
    }
}

#[test]
fn a_deadline_keeps_what_was_written_until_then() {
    for strategy in capturing() {
        let capture = Capture::new(strategy, End::Drain, Bound::Unbounded).kill(KILL_ALL);
        let script = "head -c 100000 /dev/zero; sleep 600";
        let captured = until_stdout(capture, script, |so_far| so_far.len() == 100_000)
            .kill()
            .expect("no error");
        assert!(
            captured.stdout.bytes == vec![0; 100_000],
            "{strategy}: {:?}",
            captured.stdout
        );
        assert_eq!(captured.stdout.end, StreamEnd::Stopped, "{strategy}");
        assert_eq!(captured.stopped, Some(Stopped::Caller), "{strategy}");
    }
}

#[test]
fn a_capture_goes_on_after_a_deadline_and_hands_out_every_byte() {
    // Four pieces of 64 KiB, each after a line of stdin that is not there at once.
    for strategy in capturing() {
        let (read, write) = std::io::pipe().expect("a pipe");
        let stdin = std::fs::File::from(std::os::fd::OwnedFd::from(read));
        let script = "for i in 1 2 3 4; do head -c 65536 /dev/zero; read line; done";
        let capture = Capture::new(strategy, End::Drain, Bound::Unbounded).stdin(stdin);
        let mut running = until_stdout(capture, script, |so_far| so_far.len() == 65_536);
        for piece in 2..=4 {
            std::io::Write::write_all(&mut &write, b"\n").expect("writable");
            let bound = Instant::now() + Duration::from_secs(30);
            while running.stdout_so_far().expect("readable").len() < piece * 65_536 {
                assert!(
                    Instant::now() < bound,
                    "{strategy}: piece {piece} does not come"
                );
                running = match running
                    .wait(Bound::Timeout(Duration::from_millis(1)))
                    .expect("no error")
                {
                    Waited::DeadlinePassed(running) => running,
                    Waited::Finished(_) => panic!("{strategy} ended early"),
                };
            }
        }
        std::io::Write::write_all(&mut &write, b"\n").expect("writable");
        let Waited::Finished(captured) = running.wait(LONG).expect("no error") else {
            panic!("{strategy} hung")
        };
        assert!(
            captured.stdout.bytes == vec![0; 262_144],
            "{strategy}: {:?}",
            captured.stdout
        );
        assert_eq!(
            (captured.status, captured.stopped),
            (Status::Exited(0), None),
            "{strategy}"
        );
    }
}

#[test]
fn a_deadline_in_the_middle_of_stdin_loses_none_of_it() {
    for strategy in capturing() {
        let input = vec![b'i'; 2 << 20];
        let mut running = Capture::new(strategy, End::EndOfFile, Bound::Unbounded)
            .stdin(input.clone())
            .start(&sh("cat"))
            .expect("ok");
        let captured = loop {
            running = match running
                .wait(Bound::Timeout(Duration::from_micros(50)))
                .expect("no error")
            {
                Waited::DeadlinePassed(running) => running,
                Waited::Finished(captured) => break captured,
            }
        };
        assert!(
            captured.stdout.bytes == input,
            "{strategy}: {:?}",
            captured.stdout
        );
    }
}

#[test]
fn sigterm_comes_first_and_last_words_are_read() {
    let kill = Kill {
        target: KillTarget::Leader,
        term_grace: Duration::from_secs(60),
    };
    for strategy in capturing() {
        let capture = Capture::new(strategy, End::Drain, Bound::Unbounded).kill(kill);
        let script = "trap 'echo last; exit 9' TERM; echo first; while :; do :; done";
        let captured = until_stdout(capture, script, |so_far| so_far == b"first\n")
            .kill()
            .expect("no error");
        assert_eq!(captured.stdout.bytes, b"first\nlast\n", "{strategy}");
        assert_eq!(captured.status, Status::Exited(9), "{strategy}");
    }
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
    for target in KillTarget::ALL {
        let kill = Kill {
            target,
            term_grace: Duration::from_millis(30),
        };
        for strategy in capturing() {
            let capture = Capture::new(strategy, End::Drain, Bound::Unbounded).kill(kill);
            let script = "trap '' TERM; echo ready; while :; do :; done";
            let captured = until_stdout(capture, script, |so_far| so_far == b"ready\n")
                .kill()
                .expect("no error");
            assert_eq!(
                captured.status,
                Status::Signaled(9),
                "{strategy} {target:?}"
            );
        }
    }
}

#[test]
fn a_stopped_child_is_ended_as_well() {
    let kill = Kill {
        target: KillTarget::Leader,
        term_grace: Duration::from_secs(60),
    };
    let capture = Capture::new(Strategy::Poll, End::Drain, Bound::Unbounded).kill(kill);
    let running = capture
        .start(&sh("kill -STOP $$; exit 0"))
        .expect("it starts");
    let child = Process(running.pid() as i32);
    until("the child stops itself", || child.state() == Some('T'));
    assert_eq!(
        running.kill().expect("no error").status,
        Status::Signaled(15)
    );
}

/// The leader tells who is who: a child of its own, and one that has left the group, whose parent
/// lives.
const FAMILY: &str = "sleep 600 & echo $!; setsid sh -c 'echo $$; exec sleep 600' & wait";

fn two_pids(text: &[u8]) -> Option<(Process, Process)> {
    let mut lines = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    Some((
        Process::told_in(lines.next()?),
        Process::told_in(lines.next()?),
    ))
}

#[test]
fn each_tier_of_killing_reaches_as_far_as_it_says() {
    for (target, child_dies, escaped_dies) in [
        (KillTarget::Leader, false, false),
        (KillTarget::Group, true, false),
        (KillTarget::Tree, true, true),
    ] {
        for term_grace in [Duration::ZERO, Duration::from_millis(20)] {
            let kill = Kill { target, term_grace };
            let capture = Capture::new(Strategy::Poll, End::Drain, Bound::Unbounded).kill(kill);
            let running = until_stdout(capture, FAMILY, |so_far| two_pids(so_far).is_some());
            let captured = running.kill().expect("no error");
            let (child, escaped) = two_pids(&captured.stdout.bytes).expect("both told");
            for (process, dies, who) in [
                (child, child_dies, "the child"),
                (escaped, escaped_dies, "the escaped"),
            ] {
                if dies {
                    until(&format!("{target:?} kills {who}"), || !process.is_alive());
                } else {
                    assert!(process.is_alive(), "{target:?} killed {who}");
                }
                process.kill();
            }
        }
    }
}

#[test]
fn a_tree_is_killed_whose_trunk_dies_of_sigterm_and_whose_branches_do_not() {
    let kill = Kill {
        target: KillTarget::Tree,
        term_grace: Duration::from_millis(20),
    };
    for strategy in draining() {
        let capture = Capture::new(strategy, End::Drain, Bound::Unbounded).kill(kill);
        // Out of the group and the session, and soon without a parent.
        let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$; while :; do :; done' & wait";
        let running = until_stdout(capture, script, |so_far| so_far.ends_with(b"\n"));
        let captured = running.kill().expect("no error");
        let branch = Process::told_in(&captured.stdout.bytes);
        assert_eq!(captured.status, Status::Signaled(15), "{strategy}");
        until(&format!("{strategy}: the branch dies"), || {
            !branch.is_alive()
        });
    }
}

#[test]
fn a_kill_of_the_leader_alone_does_not_wait_for_who_holds_the_stream() {
    // A grace period that would fail the test's bound, had it to pass.
    let kill = Kill {
        target: KillTarget::Leader,
        term_grace: Duration::from_secs(3600),
    };
    for strategy in draining() {
        let capture = Capture::new(strategy, End::EndOfFile, Bound::Unbounded).kill(kill);
        let script = "trap '' HUP; sleep 600 & echo $!; wait";
        let running = until_stdout(capture, script, |so_far| so_far.ends_with(b"\n"));
        let captured = running.kill().expect("no error");
        Process::told_in(&captured.stdout.bytes).kill();
        assert_eq!(captured.status, Status::Signaled(15), "{strategy}");
    }
}

#[test]
fn a_tree_is_killed_although_it_forks_all_the_time() {
    let capture = Capture::new(Strategy::Poll, End::Drain, Bound::Unbounded).kill(KILL_ALL);
    // Each generation leaves the group and the session, and its parent waits for it.
    let script = "echo up; f() { setsid sh -c 'sleep 600; :' & if [ $1 -gt 0 ]; then (f $(($1 - 1))); fi; wait; }; f 6";
    let marked = capture.run_marked(script);
    assert_eq!(marked, 0, "descendants are left");
}

trait RunMarked {
    fn run_marked(self, script: &str) -> usize;
}

impl RunMarked for Capture {
    /// Runs until the script says so, kills, and counts who is left with the script's mark in its
    /// environment.
    fn run_marked(self, script: &str) -> usize {
        let mark = format!("PIPECLOG_TEST_MARK={}", std::process::id());
        let running = until_stdout(self, &format!("export {mark}; {script}"), |so_far| {
            so_far == b"up\n"
        });
        running.kill().expect("no error");
        let mut left = usize::MAX;
        until("the tree is gone", || {
            left = marked_processes(&mark);
            left == 0
        });
        left
    }
}

fn marked_processes(mark: &str) -> usize {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return 0;
    };
    let environments =
        entries.filter_map(|entry| std::fs::read(entry.ok()?.path().join("environ")).ok());
    environments
        .filter(|text| {
            text.split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes())
        })
        .count()
}

#[test]
fn dropping_a_started_capture_kills_and_reaps() {
    for strategy in draining() {
        let running = Capture::new(strategy, End::Drain, LONG)
            .start(&sh("exec sleep 600"))
            .expect("it starts");
        let child = Process(running.pid() as i32);
        drop(running);
        let gone = std::fs::read_to_string(format!("/proc/{}/stat", child.0)).is_err();
        assert!(gone, "{strategy}: not even a zombie is left");
    }
}

#[test]
fn a_deadline_is_kept_while_a_descendant_holds_the_pipe() {
    // A pty is hung up when its leader exits: nobody holds it then.
    for strategy in draining().filter(|it| *it != Strategy::Pty) {
        // Long enough for the leader to end by itself, which only trying tells.
        let ended = (4..16).any(|power| {
            let bound = Bound::Timeout(Duration::from_millis(1 << power));
            let (read, mut write) = std::io::pipe().expect("a pipe");
            let stdin = std::fs::File::from(std::os::fd::OwnedFd::from(read));
            let capture = Capture::new(strategy, End::EndOfFile, bound).stdin(stdin);
            // The descendant lives for as long as its stdin is open here.
            let captured = capture
                .run(&sh("exec 3<&0; cat <&3 & exit 0"))
                .expect("no error");
            drop(capture);
            if captured.status != Status::Exited(0) {
                return false;
            }
            let ended = (captured.stopped, captured.stdout.end);
            assert_eq!(
                ended,
                (Some(Stopped::Deadline), StreamEnd::Deadline),
                "{strategy}"
            );
            let alive = std::io::Write::write_all(&mut write, b"x");
            assert!(
                alive.is_ok(),
                "{strategy}: only the leader was to be killed"
            );
            true
        });
        assert!(ended, "{strategy}: the leader never ends");
    }
}

#[test]
fn a_bound_that_is_not_reached_changes_nothing() {
    for strategy in safe() {
        let captured = run_with(Capture::new(strategy, End::Drain, LONG), strategy, "exit 2");
        assert_eq!(
            (captured.status, captured.stopped),
            (Status::Exited(2), None),
            "{strategy}"
        );
    }
}
