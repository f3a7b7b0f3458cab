//! What single strategies promise beside, and their names.

use pipeclog_capture::{
    Background, Capture, Command, End, ErrorKind, KillTarget, LimitPolicy, Strategy, Streams,
};

use crate::support::{LONG, capturing, run, sh};

#[test]
fn names_round_trip_and_a_wrong_one_lists_the_choices() {
    for strategy in Strategy::ALL {
        assert_eq!(strategy.name().parse(), Ok(strategy));
        assert_eq!(strategy.to_string(), strategy.name());
    }
    for policy in LimitPolicy::ALL {
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    for target in KillTarget::ALL {
        assert_eq!(target.name().parse(), Ok(target));
    }
    for background in Background::ALL {
        assert_eq!(background.name().parse(), Ok(background));
    }
    let error = "polll"
        .parse::<Strategy>()
        .expect_err("no such strategy")
        .to_string();
    assert!(
        error.starts_with("no strategy is named \"polll\"; choose one of wait_then_read, "),
        "{error}"
    );
}

#[test]
fn the_recommended_strategy_is_safe_and_separates_the_streams() {
    let strategy = Strategy::recommended();
    assert_eq!(strategy, Strategy::Poll);
    assert!(!strategy.is_hazard());
    assert_eq!(strategy.streams(), Streams::Separate);
}

#[test]
fn a_strategy_left_out_of_the_build_names_its_feature() {
    for strategy in Strategy::ALL {
        assert_eq!(
            strategy.is_built(),
            strategy.feature().is_none_or(built_with),
            "{strategy}"
        );
        if !strategy.is_built() {
            let error = Capture::new(strategy, End::Drain, LONG)
                .run(&sh("exit 0"))
                .expect_err("left out");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(
                error
                    .to_string()
                    .contains(strategy.feature().expect("it has one")),
                "{error}"
            );
        }
    }
}

fn built_with(feature: &str) -> bool {
    match feature {
        "tokio" => cfg!(feature = "tokio"),
        "io_uring" => cfg!(feature = "io_uring"),
        other => panic!("an unknown feature: {other}"),
    }
}

#[test]
fn a_temporary_file_loses_to_a_reopening_script_what_a_memory_file_keeps() {
    let script = "echo first; (: > /dev/stdout) 2>&-; echo last";
    for strategy in capturing() {
        let text = run(strategy, End::EndOfFile, script).stdout.bytes;
        match strategy {
            Strategy::TempFile => assert_eq!(text, b"last\n", "{strategy}"),
            _ => assert_eq!(text, b"first\nlast\n", "{strategy}"),
        }
    }
}

#[test]
fn a_memory_file_cannot_be_truncated_by_its_writer() {
    let script = "echo kept; truncate -s 0 /proc/self/fd/1; echo more";
    let captured = run(Strategy::Memfd, End::EndOfFile, script);
    assert_eq!(captured.stdout.bytes, b"kept\nmore\n");
    assert!(
        captured
            .stderr
            .bytes
            .to_text_lossy()
            .contains("not permitted"),
        "{:?}",
        captured.stderr
    );
}

#[test]
fn merged_streams_come_in_the_order_of_the_writes() {
    for strategy in capturing().filter(|it| it.streams() == Streams::Merged) {
        let captured = run(
            strategy,
            End::EndOfFile,
            "for i in 1 2 3; do echo out$i; echo err$i >&2; done",
        );
        assert_eq!(
            captured.stdout.bytes, b"out1\nerr1\nout2\nerr2\nout3\nerr3\n",
            "{strategy}"
        );
    }
}

#[test]
fn only_a_pty_is_a_terminal_and_it_is_the_controlling_one() {
    for strategy in capturing() {
        let is_terminal = run(
            strategy,
            End::EndOfFile,
            "test -t 1 && test -t 2 && exec 2>&- && : > /dev/tty",
        );
        assert_eq!(
            is_terminal.status.success(),
            strategy == Strategy::Pty,
            "{strategy}"
        );
    }
}

#[test]
fn a_pty_child_leads_a_session_of_its_own() {
    let captured = run(
        Strategy::Pty,
        End::EndOfFile,
        "echo $$; cut -d' ' -f6 /proc/$$/stat",
    );
    let text = captured.stdout.bytes.to_text_lossy().into_owned();
    let (pid, session) = text.trim().split_once('\n').expect("two lines");
    assert_eq!(pid, session);
}

#[cfg(feature = "tokio")]
#[test]
fn tokios_strategy_works_within_another_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let captured = run(Strategy::Tokio, End::EndOfFile, "head -c 100000 /dev/zero");
        assert_eq!(captured.stdout.bytes.len(), 100_000);
    });
}

#[test]
fn the_same_capture_and_command_run_again_and_again() {
    let (capture, command) = (
        Capture::recommended(LONG).stdin("again"),
        Command::new("cat"),
    );
    for _ in 0..3 {
        assert_eq!(
            capture.run(&command).expect("it runs").stdout.bytes,
            b"again"
        );
    }
}

/// An error goes through `?` into any error type, and a capture may move to another thread.
#[test]
fn what_is_handed_out_can_cross_threads() {
    fn crosses<T: Send + 'static>() {}
    fn is_shared<T: Send + Sync + 'static>() {}
    crosses::<pipeclog_capture::Running>();
    crosses::<pipeclog_capture::Waited>();
    is_shared::<pipeclog_capture::Error>();
    is_shared::<pipeclog_capture::Captured>();
    is_shared::<Capture>();
}
