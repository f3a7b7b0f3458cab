//! What goes wrong once in many times, or only at one size, or with one way to be started.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use pipeclog_capture::{
    Bound, Capture, Command, End, ErrorKind, Input, Kill, KillTarget, Limit, LimitPolicy, Status,
    Stopped, Strategy, StreamEnd, Streams, Waited,
};
use proptest::prelude::*;

use crate::support::{
    KILL_ALL, LONG, Process, alone, assert_childless, capturing, cases, draining, run, run_with,
    safe, sh, until,
};

/// These strategies in turn, so many in all, numbered.
fn repeated(strategies: impl Iterator<Item = Strategy>, usual: usize) -> Vec<(usize, Strategy)> {
    let strategies: Vec<Strategy> = strategies.collect();
    let endless = strategies.iter().copied().cycle();
    endless.take(cases(usual)).enumerate().collect()
}

#[test]
fn a_child_that_does_not_read_its_stdin_is_no_error_however_often() {
    let input: Input = vec![b'x'; 300_000].into();
    for (_, strategy) in repeated(safe(), 100) {
        let capture = Capture::new(strategy, End::Drain, LONG).stdin(input.clone());
        let captured = run_with(capture, strategy, "exec <&-; exit 5");
        assert_eq!(captured.status, Status::Exited(5), "{strategy}");
    }
}

#[test]
fn a_grandchild_that_sleeps_keeps_nobody_however_often() {
    // A pty is hung up when its leader exits: nobody holds it then.
    let strategies = draining().filter(|it| *it != Strategy::Pty);
    let ends = [End::Drain, End::Grace(Duration::from_millis(1))];
    for (index, strategy) in repeated(strategies, 40) {
        let captured = run(strategy, ends[index % 2], "sleep 600 & echo $!");
        let holder = Process::told_in(&captured.stdout.bytes);
        assert!(holder.is_alive(), "{strategy}: harmed");
        holder.kill();
        let expected = [StreamEnd::LeaderExitedDrained, StreamEnd::GraceExpired][index % 2];
        assert_eq!(captured.stdout.end, expected, "{strategy}");
    }
}

#[test]
fn who_ignores_sigterm_dies_after_the_grace_however_often() {
    for (index, strategy) in repeated(capturing(), 40) {
        let kill = Kill {
            target: KillTarget::ALL[index % 3],
            term_grace: Duration::from_millis(2),
        };
        // Its end of file is what it waits for: this test's end, should it not be killed.
        let (read, write) = std::io::pipe().expect("a pipe");
        let capture = Capture::new(
            strategy,
            End::Drain,
            Bound::Timeout(Duration::from_millis(20)),
        )
        .kill(kill)
        .stdin(File::from(OwnedFd::from(read)));
        let captured = capture
            .run(&sh("trap '' TERM; read line"))
            .expect("no error");
        drop(write);
        assert_eq!(
            captured.stopped,
            Some(Stopped::Deadline),
            "{strategy} {kill:?}"
        );
        // 15 where the deadline came before the trap.
        assert!(
            matches!(captured.status, Status::Signaled(9 | 15)),
            "{strategy} {kill:?}: {}",
            captured.status
        );
    }
}

#[test]
fn a_writer_that_truncates_its_memory_file_harms_nobody_however_often() {
    for _ in 0..cases(50) {
        let script = "head -c 100000 /dev/zero; truncate -s 0 /proc/self/fd/1 2>&-; truncate -s 10 /proc/self/fd/1 2>&-; echo end";
        let captured = run(Strategy::Memfd, End::Drain, script);
        assert_eq!(captured.stdout.bytes.len(), 100_004);
        assert!(captured.stdout.bytes.ends_with(b"\0end\n"));
    }
}

#[test]
fn three_levels_of_escape_are_killed_with_the_tree_however_often() {
    // Each leaves the group and the session; their parents live, so that the walk finds them.
    let script = "setsid sh -c 'setsid sh -c \"setsid sh -c \\\"echo \\\\\\$\\\\\\$; exec sleep 600\\\" & wait\" & wait' & wait";
    for (_, strategy) in repeated(draining(), 20) {
        let mut running = Capture::new(strategy, End::Drain, Bound::Unbounded)
            .kill(KILL_ALL)
            .start(&sh(script))
            .expect("it starts");
        while !running.stdout_so_far().expect("readable").ends_with(b"\n") {
            running = match running
                .wait(Bound::Timeout(Duration::from_millis(1)))
                .expect("no error")
            {
                Waited::DeadlinePassed(running) => running,
                Waited::Finished(captured) => panic!("{strategy}: {captured:?}"),
            };
        }
        let captured = running.kill().expect("no error");
        let deepest = Process::told_in(&captured.stdout.bytes);
        until(&format!("{strategy}: the deepest dies"), || {
            !deepest.is_alive()
        });
    }
}

/// What the documentation of [`KillTarget::Tree`] says that it cannot do.
#[test]
fn who_left_the_session_and_lost_its_parent_escapes_the_tree() {
    let capture = Capture::new(Strategy::Poll, End::Drain, Bound::Unbounded).kill(KILL_ALL);
    // In between stands a shell that exits at once, so that the escaped has another parent.
    let script = "setsid sh -c 'sleep 600 >&- 2>&- & echo $!' ; exec sleep 600";
    let mut running = capture.start(&sh(script)).expect("it starts");
    let escaped = loop {
        let so_far = running.stdout_so_far().expect("readable");
        // The leader goes on to that only when it has reaped the shell in between.
        let leader = format!("/proc/{}/comm", running.pid());
        if so_far.ends_with(b"\n") && std::fs::read(leader).is_ok_and(|name| name == b"sleep\n") {
            break Process::told_in(&so_far);
        }
        running = match running
            .wait(Bound::Timeout(Duration::from_millis(1)))
            .expect("no error")
        {
            Waited::DeadlinePassed(running) => running,
            Waited::Finished(captured) => panic!("{captured:?}"),
        };
    };
    running.kill().expect("no error");
    assert!(escaped.is_alive(), "then the documentation has to say more");
    escaped.kill();
}

#[test]
fn a_flood_against_a_limit_that_ends_the_child_is_bounded_in_memory() {
    if !alone(
        "faults::a_flood_against_a_limit_that_ends_the_child_is_bounded_in_memory",
        "",
    ) {
        return;
    }
    for strategy in capturing() {
        for policy in [LimitPolicy::Kill, LimitPolicy::Error] {
            let before = crate::limits::peak_kib();
            let capture = Capture::new(strategy, End::EndOfFile, LONG)
                .kill(KILL_ALL)
                .limit(Limit {
                    bytes: 1 << 20,
                    policy,
                });
            let captured = match capture.run(&sh("exec yes")) {
                Ok(captured) => captured,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Limit, "{strategy}");
                    error.into_partial().expect("it had started")
                }
            };
            assert!(
                captured.stdout.bytes == b"y\n".repeat(1 << 19),
                "{strategy} {policy:?}"
            );
            assert_eq!(captured.stdout.kept, 1 << 20, "{strategy} {policy:?}");
            let grown = crate::limits::peak_kib() - before;
            assert!(
                grown <= 8 * 1024,
                "{strategy} {policy:?}: {grown} KiB for a limit of 1024"
            );
        }
    }
}

#[test]
fn a_full_file_system_is_the_childs_error_or_a_typed_one_of_ours() {
    // A mount namespace of its own, so that the mount ends with it.
    let folder = tempfile::tempdir().expect("a directory");
    let mount = format!(
        "mount -t tmpfs -o size=64k none '{0}' && TMPDIR='{0}'",
        folder.path().display()
    );
    let probe = sh(&format!("exec unshare -m sh -c \"{mount}\""));
    let probed = Capture::recommended(LONG).run(&probe).expect("sh runs");
    if !probed.status.success() {
        println!(
            "skipped: no tmpfs may be mounted here: {}",
            probed.stderr.bytes.to_text_lossy()
        );
        return;
    }
    let prefix = format!(
        "export TMPDIR='{0}'; exec unshare -m sh -c 'mount -t tmpfs -o size=64k none \"$TMPDIR\" && exec \"$@\"'",
        folder.path().display()
    );
    if !alone(
        "faults::a_full_file_system_is_the_childs_error_or_a_typed_one_of_ours",
        &prefix,
    ) {
        return;
    }
    let script = "head -c 100000 /dev/zero || exit 9";
    let captured = run(Strategy::TempFile, End::Drain, script);
    assert_eq!(captured.status, Status::Exited(9), "the child is told");
    assert_eq!(
        captured.stdout.seen, 65_536,
        "what was written until then comes back"
    );
    assert!(captured.stderr.bytes.is_empty() || captured.stderr.seen < 4096);
    for strategy in draining() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).limit(Limit {
            bytes: 1000,
            policy: LimitPolicy::Spill,
        });
        let error = capture
            .run(&sh("head -c 1000000 /dev/zero"))
            .expect_err("no room");
        assert_eq!(error.kind(), ErrorKind::Io, "{strategy}");
        assert_eq!(
            error.to_string(),
            "failed to write the spill file (it has 65536 bytes)",
            "{strategy}"
        );
        let partial = error.partial().expect("it had started");
        assert_eq!(
            (partial.stdout.bytes.len(), partial.stdout.kept),
            (1000, 66_536),
            "{strategy}"
        );
    }
    // Memory files are not there.
    let captured = run(Strategy::Memfd, End::Drain, script);
    assert_eq!(captured.stdout.seen, 100_000);
    assert_childless();
}

#[test]
fn one_line_of_100_mib_comes_whole() {
    const SIZE: usize = 100 << 20;
    // One for each kind of source: pipe, socket, terminal, file.
    for strategy in [
        Strategy::Poll,
        Strategy::Socketpair,
        Strategy::Pty,
        Strategy::Memfd,
    ] {
        let captured = run(strategy, End::Drain, &format!("head -c {SIZE} /dev/zero"));
        assert_eq!(captured.stdout.seen, SIZE as u64, "{strategy}");
        assert!(
            captured.stdout.bytes.iter().all(|byte| *byte == 0),
            "{strategy}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(100) as u32))]

    /// Bytes in, bytes out, whatever they are: as stdin and output, and as an argument.
    #[test]
    fn any_bytes_come_through_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..200), which in any::<prop::sample::Index>()) {
        let strategies: Vec<Strategy> = capturing().collect();
        let strategy = *which.get(&strategies);
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin(bytes.clone());
        let argument: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        let argument = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&argument);
        let captured = capture.run(&sh("cat; printf %s \"$1\" >&2").arg("sh").arg(argument)).expect("it runs");
        let argument = std::os::unix::ffi::OsStrExt::as_bytes(argument);
        if strategy.streams() == Streams::Separate {
            prop_assert!(captured.stdout.bytes == bytes, "{}", strategy);
            prop_assert!(captured.stderr.bytes == argument, "{}", strategy);
        } else {
            prop_assert!(captured.stdout.bytes == [&bytes[..], argument].concat(), "{}", strategy);
        }
    }
}

/// 0, 1 and 2 in any order, and any of them closed; what the child inherits it finds in its place.
#[test]
fn any_order_of_0_1_and_2_and_any_of_them_closed_works() {
    if !alone(
        "faults::any_order_of_0_1_and_2_and_any_of_them_closed_works",
        "",
    ) {
        return;
    }
    let usual = [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]
    .map(|fd| fd.try_clone_to_owned().expect("a descriptor"));
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        for closed in 0..8 {
            let mut files: Vec<File> = (0..3)
                .map(|_| tempfile::tempfile().expect("a file"))
                .collect();
            files[order.iter().position(|it| *it == 0).expect("one is stdin")]
                .write_all(b"typed")
                .expect("writable");
            for file in &mut files {
                file.rewind().expect("seekable");
            }
            // The file at place i becomes descriptor order[i].
            for (file, number) in files.iter().zip(order) {
                put(file, number);
            }
            for number in (0..3).filter(|number| closed & (1 << number) != 0) {
                nix::unistd::close(number).expect("open");
            }
            let checked = std::panic::catch_unwind(|| check_inherited(closed));
            for (fd, number) in usual.iter().zip(0..) {
                put(fd, number);
            }
            assert!(
                checked.is_ok(),
                "the order {order:?} with the set {closed:#b} closed"
            );
            let mut texts = files.iter_mut().map(|file| {
                let mut text = String::new();
                file.rewind().expect("seekable");
                file.read_to_string(&mut text).expect("text");
                text
            });
            for number in order {
                let text = texts.next().expect("three");
                let expected = match (number, closed & (1 << number) != 0) {
                    (0, _) => "typed",
                    (_, true) => "",
                    (1, false) => "out\n",
                    (_, false) => "err\n",
                };
                assert_eq!(
                    text, expected,
                    "descriptor {number} of {order:?} with {closed:#b} closed"
                );
            }
        }
    }
}

fn put(fd: impl AsFd, number: i32) {
    match number {
        0 => nix::unistd::dup2_stdin(fd).expect("a descriptor"),
        1 => nix::unistd::dup2_stdout(fd).expect("a descriptor"),
        _ => nix::unistd::dup2_stderr(fd).expect("a descriptor"),
    }
}

fn check_inherited(closed: i32) {
    for strategy in capturing() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stdin("in");
        let captured = capture
            .run(&sh("cat; echo out; echo err >&2"))
            .expect("it runs");
        assert!(
            captured.stdout.bytes.starts_with(b"inout\n"),
            "{strategy}: {captured:?}"
        );
        assert_eq!(
            captured.stdout.seen + captured.stderr.seen,
            10,
            "{strategy}"
        );
    }
    let capture = Capture::new(Strategy::Poll, End::EndOfFile, LONG).stdin(Input::Inherit);
    let captured = capture.run(&sh("cat 2>&-; exit 0")).expect("it runs");
    let typed: &[u8] = if closed & 1 == 0 { b"typed" } else { b"" };
    assert_eq!(captured.stdout.bytes, typed, "{closed:#b}");
    let capture = Capture::new(Strategy::Inherit, End::EndOfFile, LONG);
    let captured = capture
        .run(&sh("(echo out) 2>/dev/null; echo err >&2; exit 7"))
        .expect("it runs");
    assert_eq!(captured.status, Status::Exited(7), "{closed:#b}");
}

#[test]
fn no_descriptor_leaks_to_a_sibling_however_they_race() {
    if !alone(
        "faults::no_descriptor_leaks_to_a_sibling_however_they_race",
        "",
    ) {
        return;
    }
    let expected = crate::process::inherited();
    let each = cases(400).div_ceil(8);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let expected = &expected;
            scope.spawn(move || {
                let strategies: Vec<Strategy> = capturing().collect();
                for round in 0..each {
                    let strategy = strategies[(worker + round) % strategies.len()];
                    let capture = Capture::new(strategy, End::Drain, LONG).stdin("in");
                    let command = Command::new("ls").arg("/proc/self/fd");
                    let captured = capture.run(&command).expect("it runs");
                    let text = captured.stdout.bytes.to_text_lossy().into_owned();
                    // ls has one of its own.
                    assert_eq!(
                        text.split_whitespace().count(),
                        expected.len() + 1,
                        "{strategy}: {text}"
                    );
                }
            });
        }
    });
    assert_childless();
}
