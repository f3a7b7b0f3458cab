//! A capture that is ended from outside: by another thread, or by a signal that the process gets.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use pipeclog_capture::{
    Bound, Capture, CaughtSignals, Command, End, ErrorKind, Kill, KillTarget, Running, Status,
    Stopped, Stopper, Strategy, StreamEnd, Waited,
};

use crate::support::{LONG, Process, alone, assert_childless, capturing, draining, safe, sh};

fn finished(running: Running) -> pipeclog_capture::Captured {
    match running.wait(LONG).expect("no error") {
        Waited::Finished(captured) => captured,
        Waited::DeadlinePassed(_) => panic!("it was not stopped"),
    }
}

/// Waits in pieces until stdout begins as wanted.
fn until_told(mut running: Running, wanted: &[u8]) -> Running {
    let bound = Instant::now() + Duration::from_secs(30);
    while !running
        .stdout_so_far()
        .expect("readable")
        .starts_with(wanted)
    {
        assert!(Instant::now() < bound, "the child does not tell");
        running = match running
            .wait(Bound::Timeout(Duration::from_millis(1)))
            .expect("no error")
        {
            Waited::DeadlinePassed(running) => running,
            Waited::Finished(captured) => panic!("it ended: {captured:?}"),
        };
    }
    running
}

#[test]
fn a_stopper_passes_its_signal_on_and_keeps_what_was_written() {
    for strategy in capturing() {
        let stopper = Stopper::new().expect("descriptors");
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stopped_by(&stopper);
        let script = "trap 'echo last words; exit 7' INT; echo ready; while :; do :; done";
        let running = until_told(capture.start(&sh(script)).expect("it starts"), b"ready\n");
        let stopping = std::thread::spawn(move || stopper.stop(Signal::SIGINT as i32));
        let captured = finished(running);
        stopping.join().expect("no panic");
        assert_eq!(captured.stdout.bytes, b"ready\nlast words\n", "{strategy}");
        assert_eq!(captured.status, Status::Exited(7), "{strategy}");
        assert_eq!(captured.stopped, Some(Stopped::Signal(2)), "{strategy}");
        assert_eq!(captured.stdout.end, StreamEnd::Stopped, "{strategy}");
    }
}

#[test]
fn a_second_call_kills_who_does_not_heed_the_first() {
    for strategy in capturing() {
        let stopper = Stopper::new().expect("descriptors");
        // A grace period that would fail the test's bound, had it to pass.
        let kill = Kill {
            target: KillTarget::Leader,
            term_grace: Duration::from_secs(3600),
        };
        let capture = Capture::new(strategy, End::EndOfFile, LONG)
            .kill(kill)
            .stopped_by(&stopper);
        let script = "trap 'echo not yet' TERM; echo ready; while :; do :; done";
        let running = until_told(capture.start(&sh(script)).expect("it starts"), b"ready\n");
        stopper.stop(Signal::SIGTERM as i32);
        let running = until_told(running, b"ready\nnot yet\n");
        stopper.stop(Signal::SIGTERM as i32);
        let captured = finished(running);
        assert_eq!(captured.status, Status::Signaled(9), "{strategy}");
        assert_eq!(captured.stopped, Some(Stopped::Signal(15)), "{strategy}");
    }
}

#[test]
fn a_descendant_that_holds_the_pipe_does_not_keep_a_stopped_capture() {
    for strategy in draining().filter(|it| *it != Strategy::Pty) {
        let stopper = Stopper::new().expect("descriptors");
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stopped_by(&stopper);
        let running = capture
            .start(&sh("sleep 600 & echo $!; exit 0"))
            .expect("it starts");
        let leader = Process(running.pid() as i32);
        let mut running = running;
        while leader.is_alive() {
            running = match running
                .wait(Bound::Timeout(Duration::from_millis(1)))
                .expect("no error")
            {
                Waited::DeadlinePassed(running) => running,
                Waited::Finished(captured) => panic!("{strategy} did not wait: {captured:?}"),
            };
        }
        stopper.stop(Signal::SIGTERM as i32);
        let captured = finished(running);
        let holder = Process::told_in(&captured.stdout.bytes);
        assert!(
            holder.is_alive(),
            "{strategy}: only the leader was to be ended"
        );
        holder.kill();
        assert_eq!(captured.status, Status::Exited(0), "{strategy}");
        assert_eq!(captured.stopped, Some(Stopped::Signal(15)), "{strategy}");
    }
}

#[test]
fn a_stopper_that_was_used_ends_what_is_started_later_and_a_hazard_takes_none() {
    let stopper = Stopper::new().expect("descriptors");
    assert_eq!(stopper.signal(), None);
    stopper.stop(9999);
    assert_eq!(stopper.signal(), Some(15), "a number that no signal has");
    for strategy in safe() {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stopped_by(&stopper);
        let captured = capture
            .run(&Command::new("sleep").arg("600"))
            .expect("it starts");
        assert_eq!(captured.status, Status::Signaled(15), "{strategy}");
    }
    for strategy in Strategy::ALL.into_iter().filter(|it| it.is_hazard()) {
        let capture = Capture::new(strategy, End::EndOfFile, Bound::Unbounded).stopped_by(&stopper);
        let error = capture.run(&sh("exit 0")).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{strategy}");
    }
}

#[test]
fn a_caught_signal_ends_the_capture_and_not_the_caller() {
    if !alone(
        "stopper::a_caught_signal_ends_the_capture_and_not_the_caller",
        "trap '' HUP;",
    ) {
        return;
    }
    let before = Stopper::new().expect("descriptors").signal();
    assert_eq!(before, None);
    let caught = CaughtSignals::new().expect("allowed");
    raise(Signal::SIGHUP).expect("allowed");
    assert_eq!(
        caught.stopper().signal(),
        None,
        "an ignored signal stays ignored"
    );
    for (strategy, first) in capturing().zip([true].into_iter().chain(std::iter::repeat(false))) {
        let capture = Capture::new(strategy, End::EndOfFile, LONG).stopped_by(caught.stopper());
        // The child signals this process, which passes it on.
        let script = if first {
            "echo out; kill -INT $PPID; exec sleep 600"
        } else {
            "exec sleep 600"
        };
        let captured = capture.run(&sh(script)).expect("no error");
        assert_eq!(captured.status, Status::Signaled(2), "{strategy}");
        assert_eq!(captured.stopped, Some(Stopped::Signal(2)), "{strategy}");
        assert!(b"out\n".starts_with(&captured.stdout.bytes), "{strategy}");
    }
    assert_childless();
    drop(caught);
    // As before: it would end this process now, so a child is asked what it inherits.
    let captured = Capture::new(Strategy::Poll, End::Drain, LONG)
        .run(&sh("kill -INT $$; echo lived"))
        .expect("no error");
    assert_eq!(captured.status, Status::Signaled(2));
}
