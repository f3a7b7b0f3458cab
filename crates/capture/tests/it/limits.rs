//! Limits: memory is bounded, what is kept is exact, and seen counts all.

use std::os::unix::fs::FileExt;

use pipeclog_capture::{
    Capture, End, ErrorKind, Limit, LimitPolicy, Status, Stopped, Strategy, StreamEnd,
};

use crate::support::{KILL_ALL, LONG, alone, assert_childless, capturing, draining, run_with, sh};

const LIMIT: usize = 100_000;

/// The text that `seq` gives, of more than twice the limit.
const TEXT: &str = "seq 1 40000";

fn text() -> Vec<u8> {
    (1..=40_000)
        .flat_map(|number| format!("{number}\n").into_bytes())
        .collect()
}

fn limited(strategy: Strategy, policy: LimitPolicy) -> Capture {
    Capture::new(strategy, End::EndOfFile, LONG)
        .limit(Limit {
            bytes: LIMIT,
            policy,
        })
        .kill(KILL_ALL)
}

#[test]
fn exactly_the_limit_passes_untouched_under_every_policy() {
    for strategy in capturing() {
        for policy in LimitPolicy::ALL {
            let captured = run_with(
                limited(strategy, policy),
                strategy,
                &format!("head -c {LIMIT} /dev/zero"),
            );
            assert!(
                captured.stdout.bytes == vec![0; LIMIT],
                "{strategy} {policy:?}"
            );
            assert_eq!(
                (captured.status, captured.stopped),
                (Status::Exited(0), None),
                "{strategy} {policy:?}"
            );
            assert_eq!(captured.stdout.seen, LIMIT as u64, "{strategy} {policy:?}");
            assert!(captured.stdout.spilled.is_none(), "{strategy} {policy:?}");
        }
    }
}

#[test]
fn head_and_tail_keep_their_ends_and_count_all() {
    let text = text();
    for strategy in capturing() {
        for (policy, kept) in [
            (LimitPolicy::Head, &text[..LIMIT]),
            (LimitPolicy::Tail, &text[text.len() - LIMIT..]),
        ] {
            let captured = run_with(limited(strategy, policy), strategy, TEXT);
            assert!(captured.stdout.bytes == kept, "{strategy} {policy:?}");
            assert_eq!(
                captured.stdout.seen,
                text.len() as u64,
                "{strategy} {policy:?}"
            );
            assert_eq!(captured.stdout.kept, LIMIT as u64, "{strategy} {policy:?}");
            assert_eq!(captured.status, Status::Exited(0), "{strategy} {policy:?}");
        }
    }
}

#[test]
fn a_spill_has_the_rest() {
    let text = text();
    for strategy in capturing() {
        let captured = run_with(limited(strategy, LimitPolicy::Spill), strategy, TEXT);
        let spilled = captured.stdout.spilled.expect("it spilled");
        let mut rest = vec![0; usize::try_from(spilled.len).expect("small")];
        spilled
            .file
            .read_exact_at(&mut rest, spilled.start)
            .expect("readable");
        assert!(captured.stdout.bytes == text[..LIMIT], "{strategy}");
        assert!(rest == text[LIMIT..], "{strategy}");
        assert_eq!(
            (captured.stdout.seen, captured.stdout.kept),
            (text.len() as u64, text.len() as u64)
        );
    }
}

#[test]
fn a_limit_that_kills_ends_an_endless_child_and_keeps_the_head() {
    for strategy in capturing() {
        let captured = run_with(limited(strategy, LimitPolicy::Kill), strategy, "exec yes");
        assert_eq!(
            (captured.status, captured.stopped),
            (Status::Signaled(9), Some(Stopped::Limit)),
            "{strategy}"
        );
        assert_eq!(captured.stdout.end, StreamEnd::LimitReached, "{strategy}");
        assert!(
            captured.stdout.bytes == b"y\n".repeat(LIMIT / 2),
            "{strategy}"
        );
        assert!(captured.stdout.seen > LIMIT as u64, "{strategy}");
    }
}

#[test]
fn one_byte_more_passes_the_limit_even_if_the_child_has_ended_by_then() {
    for strategy in capturing() {
        for end in [End::EndOfFile, End::Drain] {
            let limit = |policy| Limit {
                bytes: LIMIT,
                policy,
            };
            let script = format!("head -c {} /dev/zero", LIMIT + 1);
            let capture = Capture::new(strategy, end, LONG).limit(limit(LimitPolicy::Kill));
            let captured = run_with(capture.clone(), strategy, &script);
            assert_eq!(captured.stopped, Some(Stopped::Limit), "{strategy} {end:?}");
            assert_eq!(
                captured.stdout.end,
                StreamEnd::LimitReached,
                "{strategy} {end:?}"
            );
            assert_eq!(captured.stdout.bytes.len(), LIMIT, "{strategy} {end:?}");
            let capture = capture.limit(limit(LimitPolicy::Error));
            let error = capture.run(&sh(&script)).expect_err("one more");
            assert_eq!(error.kind(), ErrorKind::Limit, "{strategy} {end:?}");
        }
    }
}

#[test]
fn a_limit_that_is_an_error_says_which_stream_and_carries_what_was_kept() {
    for strategy in capturing().filter(|it| it.streams() == pipeclog_capture::Streams::Separate) {
        let error = limited(strategy, LimitPolicy::Error)
            .run(&sh("exec yes >&2"))
            .expect_err("it is endless");
        assert_eq!(error.kind(), ErrorKind::Limit, "{strategy}");
        assert!(
            error
                .to_string()
                .starts_with("stderr passed its limit of 100000 bytes"),
            "{strategy}: {error}"
        );
        let partial = error.into_partial().expect("it had started");
        assert!(
            partial.stderr.bytes == b"y\n".repeat(LIMIT / 2),
            "{strategy}"
        );
        assert_eq!(partial.status, Status::Signaled(9), "{strategy}");
    }
}

#[test]
fn a_limit_of_nothing_keeps_nothing_and_counts() {
    for strategy in capturing() {
        for policy in [LimitPolicy::Head, LimitPolicy::Tail] {
            let capture = limited(strategy, policy).limit(Limit { bytes: 0, policy });
            let captured = run_with(capture, strategy, "printf abc");
            assert_eq!(
                (captured.stdout.bytes.len(), captured.stdout.seen),
                (0, 3),
                "{strategy} {policy:?}"
            );
        }
    }
}

#[test]
fn memory_is_bounded_by_the_limit_whatever_the_child_writes() {
    if !alone(
        "limits::memory_is_bounded_by_the_limit_whatever_the_child_writes",
        "",
    ) {
        return;
    }
    const WRITTEN: u64 = 64 << 20;
    for strategy in draining() {
        for policy in [LimitPolicy::Head, LimitPolicy::Tail, LimitPolicy::Spill] {
            let before = peak_kib();
            let capture = limited(strategy, policy).limit(Limit {
                bytes: 1 << 20,
                policy,
            });
            let captured = run_with(capture, strategy, &format!("head -c {WRITTEN} /dev/zero"));
            assert_eq!(captured.stdout.seen, WRITTEN, "{strategy} {policy:?}");
            let grown = peak_kib() - before;
            assert!(
                grown <= 8 * 1024,
                "{strategy} {policy:?}: {grown} KiB for a limit of 1024"
            );
        }
    }
}

/// The most memory this process has had (`VmHWM`, proc_pid_status(5)).
pub(crate) fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("it is there");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

#[test]
fn a_spill_that_the_file_system_refuses_is_a_typed_error_and_kills_nobody_here() {
    // RLIMIT_FSIZE raises SIGXFSZ, which is at its default here, and would kill this process.
    if !alone(
        "limits::a_spill_that_the_file_system_refuses_is_a_typed_error_and_kills_nobody_here",
        "ulimit -f 200;",
    ) {
        return;
    }
    for strategy in draining() {
        let error = limited(strategy, LimitPolicy::Spill)
            .run(&sh("exec yes"))
            .expect_err("the file is full");
        assert_eq!(error.kind(), ErrorKind::Io, "{strategy}: {error:?}");
        assert_eq!(
            error.to_string(),
            "failed to write the spill file (it has 102400 bytes)",
            "{strategy}"
        );
        let partial = error.partial().expect("it had started");
        assert!(
            partial.stdout.bytes == b"y\n".repeat(LIMIT / 2),
            "{strategy}"
        );
        assert_eq!(partial.stdout.kept, LIMIT as u64 + 102_400, "{strategy}");
        assert_eq!(partial.stopped, Some(Stopped::Failure), "{strategy}");
    }
    assert_childless();
}

#[test]
fn a_full_file_is_the_childs_own_error() {
    if !alone(
        "limits::a_full_file_is_the_childs_own_error",
        "ulimit -f 200;",
    ) {
        return;
    }
    for strategy in [Strategy::TempFile, Strategy::Memfd] {
        let capture = Capture::new(strategy, End::EndOfFile, LONG);
        let captured = run_with(
            capture,
            strategy,
            "trap '' XFSZ; exec head -c 200000 /dev/zero",
        );
        assert_eq!(captured.status, Status::Exited(1), "{strategy}");
        assert!(
            captured.stdout.bytes == vec![0; 102_400],
            "{strategy}: {:?}",
            captured.stdout
        );
        assert!(
            captured
                .stderr
                .bytes
                .to_text_lossy()
                .contains("File too large"),
            "{strategy}"
        );
    }
}
