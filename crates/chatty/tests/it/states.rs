//! How it ends, stops, ignores and waits for ever.

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use pipeclog_scenario::verify::Source;

use crate::child::{Chatty, assert_complete, flags, script};

fn pid(chatty: &Chatty) -> Pid {
    Pid::from_raw(i32::try_from(chatty.pid()).unwrap())
}

#[test]
fn every_signal_that_a_script_can_name_kills() {
    for signal in pipeclog_scenario::script::Signal::ALL {
        let done = flags(&["--stdout", "3", "--signal", signal.name()]).finish();
        let killed = done
            .signal()
            .map(|number| Signal::try_from(number).unwrap().as_str());
        assert_eq!(killed, Some(format!("SIG{}", signal.name()).as_str()));
        assert_eq!(done.stdout.len(), 3);
    }
}

#[test]
fn ignored_signal_does_not_end_it_and_another_does() {
    let end = |ignore: &str| {
        let mut chatty = flags(&[
            "--ignore", ignore, "--prompt", "!", "--stdin", "never", "--exit", "4",
        ]);
        chatty.stdout(1);
        kill(pid(&chatty), Signal::SIGTERM).unwrap();
        let done = chatty.finish();
        (done.code(), done.signal())
    };
    assert_eq!(end("TERM"), (Some(4), None));
    assert_eq!(end("INT"), (None, Some(libc::SIGTERM)));
}

#[test]
fn death_by_a_signal_that_the_script_ignores_is_a_death() {
    let done = flags(&["--ignore", "TERM", "--signal", "TERM"]).finish();
    assert_eq!(done.signal(), Some(libc::SIGTERM));
}

#[test]
fn stopped_child_goes_on_when_it_is_continued() {
    let chatty = script(r#"{"ops": [{"op": "stop"}, {"op": "exit", "code": 5}]}"#);
    let pid = pid(&chatty);
    let stopped = WaitStatus::Stopped(pid, Signal::SIGSTOP);
    assert_eq!(waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap(), stopped);
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(chatty.finish().code(), Some(5));
}

/// Waits until the process is blocked in this system call; the watchdog of the child bounds it.
fn await_syscall(pid: u32, number: libc::c_long) {
    let prefix = format!("{number} ");
    while !std::fs::read_to_string(format!("/proc/{pid}/syscall"))
        .unwrap()
        .starts_with(&prefix)
    {
        std::thread::yield_now();
    }
}

#[test]
fn park_waits_in_a_futex_and_accept_in_accept() {
    let accept = if cfg!(target_arch = "s390x") {
        libc::SYS_socket
    } else {
        libc::SYS_accept4
    };
    for (op, number) in [("park", libc::SYS_futex), ("accept", accept)] {
        let mut chatty = script(&format!(r#"{{"ops": [{{"op": "{op}"}}]}}"#));
        await_syscall(chatty.pid(), number);
        chatty.child.kill().unwrap();
        assert_eq!(chatty.finish().signal(), Some(libc::SIGKILL));
    }
}

#[test]
fn feeder_thread_writes_while_the_main_thread_waits_in_a_futex() {
    let json = r#"{"ops": [{"op": "thread", "ops": [{"op": "write", "stdout": "1M"}]},
        {"op": "write", "stdout": 10}]}"#;
    let mut chatty = script(json);
    await_syscall(chatty.pid(), libc::SYS_futex);
    let mut bytes = chatty.stdout(1);
    let done = chatty.finish();
    bytes.extend(done.stdout);
    assert_complete(json, Source::Stdout, &bytes);
}

#[test]
fn fifo_is_opened_used_and_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let json = format!(
        r#"{{"ops": [{{"op": "fifo", "path": {path:?}, "access": "write", "then": {{"write": 3}}}},
            {{"op": "stdin", "do": "never"}}]}}"#
    );
    let chatty = script(&json);
    let mut reader = std::fs::File::open(&path).unwrap();
    let mut bytes = [1; 3];
    std::io::Read::read_exact(&mut reader, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 3]);
    assert_eq!(chatty.finish().code(), Some(0));
    // The end of file comes with the end of the child, and not before.
    assert_eq!(std::io::Read::read(&mut reader, &mut bytes).unwrap(), 0);
}

#[test]
fn token_of_a_jobserver_is_taken_and_none_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let fifo = |then: &str| {
        format!(r#"{{"op": "fifo", "path": {path:?}, "access": "read_write", "then": {{{then}}}}}"#)
    };
    let take = fifo(r#""read": 1"#);
    let json = format!(
        r#"{{"ops": [{}, {take}, {{"op": "prompt", "text": "!"}}, {take}]}}"#,
        fifo(r#""write": 1"#)
    );
    let mut chatty = script(&json);
    chatty.stdout(1);
    await_syscall(chatty.pid(), libc::SYS_read);
    chatty.child.kill().unwrap();
    assert_eq!(chatty.finish().signal(), Some(libc::SIGKILL));
}
