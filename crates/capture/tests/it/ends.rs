//! What ends a capture after the leader's exit, and what becomes of who still writes.

use std::time::Duration;

use pipeclog_capture::{Background, Bound, Capture, End, Strategy, StreamEnd, Waited};

use crate::support::{LONG, Process, draining, run, run_with, sh, until};

/// A grandchild that holds both streams, tells its pid first, and would sleep for long.
const HOLDER: &str = "trap '' HUP; sleep 600 & echo $!";

/// A pty is hung up when its leader exits: nobody holds it then.
fn held() -> impl Iterator<Item = Strategy> {
    draining().filter(|it| *it != Strategy::Pty)
}

#[test]
fn a_drain_ends_at_the_leaders_exit_although_a_descendant_holds_the_pipe() {
    for strategy in held() {
        let captured = run(
            strategy,
            End::Drain,
            &format!("{HOLDER}; head -c 300000 /dev/zero"),
        );
        let holder = Process::told_in(&captured.stdout.bytes);
        assert!(holder.is_alive(), "{strategy}: harmed");
        holder.kill();
        assert_eq!(
            captured.stdout.end,
            StreamEnd::LeaderExitedDrained,
            "{strategy}"
        );
        let told = holder.0.to_string().len() + 1;
        assert_eq!(captured.stdout.bytes.len(), told + 300_000, "{strategy}");
    }
}

#[test]
fn waiting_for_the_end_of_file_waits_for_the_descendant() {
    for strategy in held() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG);
        let mut running = capture
            .start(&sh(&format!("{HOLDER}; echo more")))
            .expect("it starts");
        // The leader has exited once its whole output is here and it is a zombie.
        let leader = Process(running.pid() as i32);
        loop {
            running = match running
                .wait(Bound::Timeout(Duration::from_millis(1)))
                .expect("no error")
            {
                Waited::DeadlinePassed(running) => running,
                Waited::Finished(captured) => panic!("{strategy} did not wait: {captured:?}"),
            };
            let so_far = running.stdout_so_far().expect("readable");
            if so_far.ends_with(b"more\n") && !leader.is_alive() {
                Process::told_in(&so_far).kill();
                break;
            }
        }
        match running.wait(LONG).expect("no error") {
            Waited::Finished(captured) => {
                assert_eq!(captured.stdout.end, StreamEnd::EndOfFile, "{strategy}")
            }
            Waited::DeadlinePassed(_) => panic!("{strategy} hung"),
        }
    }
}

#[test]
fn a_grace_period_catches_what_a_descendant_writes_soon_and_then_ends() {
    for strategy in held() {
        let end = End::Grace(Duration::from_secs(60));
        let captured = run(strategy, end, "(read line; echo late) <&0 2>&- & exit 0");
        // The descendant wrote and closed within the period, so it is the end of file that ended
        // it.
        assert_eq!(captured.stdout.bytes, b"late\n", "{strategy}");
        assert_eq!(captured.stdout.end, StreamEnd::EndOfFile, "{strategy}");

        let captured = run(strategy, End::Grace(Duration::from_millis(20)), HOLDER);
        Process::told_in(&captured.stdout.bytes).kill();
        assert_eq!(captured.stdout.end, StreamEnd::GraceExpired, "{strategy}");
    }
}

#[test]
fn an_endless_background_writer_does_not_keep_a_drain_from_ending() {
    for strategy in held() {
        let told = tempfile::NamedTempFile::new().expect("a file");
        // The leader exits once its descendant is the endless writer.
        let script = format!(
            "yes & echo $! > {}; while ! grep -q yes /proc/$!/comm; do :; done",
            told.path().display()
        );
        let captured = run(strategy, End::Drain, &script);
        let writer = Process::told_in(&std::fs::read(told.path()).expect("readable"));
        assert!(writer.is_alive(), "{strategy}: harmed");
        writer.kill();
        assert_eq!(
            captured.stdout.end,
            StreamEnd::LeaderExitedDrained,
            "{strategy}"
        );
    }
}

/// Writes far more than a pipe holds, after the capture has ended, and tells how that went in a
/// file.
fn writer_that_tells(file: &std::path::Path) -> String {
    format!(
        "echo $$; (while [ -d /proc/$$ ] && ! grep -q ') Z' /proc/$$/stat; do :; done; \
         head -c 1000000 /dev/zero; echo $? > {file}) 2>/dev/null & exit 0",
        file = file.display()
    )
}

#[test]
fn a_background_writer_is_drained_on_for() {
    for strategy in held() {
        let told = tempfile::NamedTempFile::new().expect("a file");
        run(strategy, End::Drain, &writer_that_tells(told.path()));
        let mut text = String::new();
        until(&format!("{strategy}: the background writer ends"), || {
            text = std::fs::read_to_string(told.path()).unwrap_or_default();
            text.ends_with('\n')
        });
        assert_eq!(text, "0\n", "{strategy}: head did not write all");
    }
}

#[test]
fn an_abandoned_background_writer_meets_a_broken_pipe() {
    // What it has written is unread when our end is closed.
    let in_mid_stream = |file: &std::path::Path| {
        let file = file.display();
        format!("(head -c 4G /dev/zero; echo $? > {file}) 2>/dev/null & sleep 0.01")
    };
    let writers = held().flat_map(|it| [(it, true), (it, false)]);
    for (strategy, is_in_mid_stream) in writers {
        let told = tempfile::NamedTempFile::new().expect("a file");
        let capture = Capture::new(strategy, End::Drain, LONG).background(Background::Abandon);
        let writer = match is_in_mid_stream {
            true => in_mid_stream(told.path()),
            false => writer_that_tells(told.path()),
        };
        run_with(capture, strategy, &writer);
        let mut text = String::new();
        until(&format!("{strategy}: the background writer ends"), || {
            text = std::fs::read_to_string(told.path()).unwrap_or_default();
            text.ends_with('\n')
        });
        // 128 + SIGPIPE; or what head(1) says of an error.
        let wanted: &[&str] = match strategy {
            Strategy::Socketpair => &["141\n", "1\n"],
            _ => &["141\n"],
        };
        assert!(wanted.contains(&text.as_str()), "{strategy}: {text:?}");
    }
}

#[test]
fn a_file_strategy_never_waits_for_a_descendant() {
    for strategy in [Strategy::TempFile, Strategy::Memfd] {
        for end in [End::EndOfFile, End::Drain] {
            let captured = run(strategy, end, HOLDER);
            let holder = Process::told_in(&captured.stdout.bytes);
            assert!(holder.is_alive(), "{strategy}: harmed");
            holder.kill();
            assert_eq!(
                captured.stdout.end,
                StreamEnd::LeaderExitedDrained,
                "{strategy}"
            );
        }
    }
}

#[test]
fn a_child_that_closes_its_streams_and_lives_on_is_waited_for() {
    for strategy in draining() {
        let captured = run(
            strategy,
            End::EndOfFile,
            "echo x; exec >&- 2>&-; sleep 0.05; exit 7",
        );
        assert_eq!(
            captured.status,
            pipeclog_capture::Status::Exited(7),
            "{strategy}"
        );
        assert_eq!(captured.stdout.bytes, b"x\n", "{strategy}");
    }
}
