//! The specimens: each hangs exactly where its documentation says, and nothing saves it.

use std::time::Duration;

use pipeclog_capture::{Bound, Capture, End, ErrorKind, Limit, LimitPolicy, Status, Strategy};

use crate::support::{Process, sh, until};

/// Where to, with stdout left open when that is stderr, and how much: this passes, and one byte
/// more hangs.
const BOUNDARIES: [(Strategy, &str, usize); 4] = [
    (Strategy::WaitThenRead, "", 65_536),
    (Strategy::PollExitThenRead, "", 65_536),
    (Strategy::StdoutThenStderr, "3>&1 >&2", 65_536),
    (Strategy::BiggerPipeThenWait, "", 1_048_576),
];

fn hazard(strategy: Strategy) -> Capture {
    Capture::new(strategy, End::EndOfFile, Bound::Unbounded)
}

#[test]
fn a_hazard_passes_with_exactly_what_a_pipe_holds() {
    for (strategy, to, size) in BOUNDARIES {
        let captured = hazard(strategy)
            .run(&sh(&format!("head -c {size} /dev/zero {to}")))
            .expect("it runs");
        assert_eq!(captured.status, Status::Exited(0), "{strategy}");
        assert_eq!(
            captured.stdout.seen + captured.stderr.seen,
            size as u64,
            "{strategy}"
        );
    }
}

#[test]
fn a_hazard_hangs_with_one_byte_more() {
    for (strategy, to, size) in BOUNDARIES {
        // One write of all: the boundary of a pipe depends on the size of the writes.
        let script = format!(
            "exec dd if=/dev/zero bs={} count=1 status=none {to}",
            size + 1
        );
        check_hang(hazard(strategy), strategy, &script);
    }
}

#[test]
fn writing_all_of_stdin_first_hangs_when_the_answer_fills_its_pipe() {
    let strategy = Strategy::WriteStdinThenRead;
    let captured = hazard(strategy)
        .stdin(vec![b'x'; 65_536])
        .run(&sh("cat"))
        .expect("it runs");
    assert_eq!(captured.stdout.seen, 65_536);
    check_hang(
        hazard(strategy).stdin(vec![b'x'; 1 << 20]),
        strategy,
        "exec cat",
    );
}

/// The child blocks in write(2) on its stdout (which may be stderr's pipe) while the strategy, on a
/// thread of its own, does not come back. The child is in no other's care, so that its death is
/// what frees the thread.
fn check_hang(capture: Capture, strategy: Strategy, script: &str) {
    const WRITE: i64 = if cfg!(target_arch = "x86_64") { 1 } else { 64 };
    let told = tempfile::NamedTempFile::new().expect("a file");
    let command = sh(&format!("echo $$ > {}; {script}", told.path().display()));
    let hung = std::thread::spawn(move || capture.run(&command));
    let mut child = Process(0);
    until(&format!("{strategy}: the child tells its pid"), || {
        let text = std::fs::read_to_string(told.path()).unwrap_or_default();
        child = Process(
            text.strip_suffix('\n')
                .and_then(|pid| pid.parse().ok())
                .unwrap_or(0),
        );
        child.0 != 0
    });
    until(&format!("{strategy}: the child blocks in write"), || {
        child.blocked_in() == Some((WRITE, 1)) && child.state() == Some('S')
    });
    assert!(!hung.is_finished(), "{strategy} came back");
    child.kill();
    let captured = hung.join().expect("no panic").expect("no error");
    assert_eq!(captured.status, Status::Signaled(9), "{strategy}");
}

#[test]
fn a_hazard_takes_none_of_the_options_that_would_save_it() {
    let bound = Bound::Timeout(Duration::from_secs(1));
    let limit = Limit {
        bytes: 1,
        policy: LimitPolicy::Head,
    };
    for strategy in Strategy::ALL.into_iter().filter(|it| it.is_hazard()) {
        let options = [
            Capture::new(strategy, End::EndOfFile, bound),
            Capture::new(strategy, End::Drain, Bound::Unbounded),
            Capture::new(strategy, End::EndOfFile, Bound::Unbounded).limit(limit),
        ];
        for capture in options {
            let error = capture.run(&sh("exit 0")).expect_err("it is refused");
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{strategy}");
        }
        let error = hazard(strategy)
            .start(&sh("exit 0"))
            .expect_err("it is refused");
        assert_eq!(
            error.to_string(),
            format!("the strategy {strategy} cannot be waited for in pieces")
        );
    }
}
