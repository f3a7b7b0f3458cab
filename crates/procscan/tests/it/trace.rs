//! What a scan does to the machine, as strace sees it: nothing.

use std::process::Command;

use pipeclog_waitgraph::snapshot::Wait;

use crate::shape::{Shape, is_installed};

/// The environment variable that makes this test binary run one scan and nothing else.
const SCAN_ONLY: &str = "PROCSCAN_TEST_SCAN";

#[test]
fn a_scan_neither_traces_nor_signals_nor_opens_what_targets_have_open() {
    if let Some(pid) = std::env::var_os(SCAN_ONLY) {
        let pid = pid.to_str().unwrap().parse().unwrap();
        let selection =
            pipeclog_procscan::Selection::Tree(vec![pipeclog_waitgraph::snapshot::Pid(pid)]);
        pipeclog_procscan::Scanner::new("/proc")
            .unwrap()
            .scan_twice(&selection)
            .unwrap();
        return;
    }
    if !is_installed("strace") {
        println!("skipped: strace is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = format!(
        "import os,threading; os.mkfifo({0:?}); threading.Thread(target=lambda: os.open({0:?},0)).start(); \
         r,w=os.pipe(); os.write(w,b'x'*200000)",
        directory.path().join("fifo")
    );
    let Some(shape) = Shape::python(&program) else {
        return;
    };
    shape.waiting("write", |w| matches!(w, Wait::Write { .. }));
    shape.waiting("fifo", |w| matches!(w, Wait::FifoOpen { .. }));
    let log = directory.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=all", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "trace::a_scan_neither_traces_nor_signals_nor_opens_what_targets_have_open",
        ])
        .env(SCAN_ONLY, shape.pid().to_string())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let trace = std::fs::read_to_string(&log).unwrap();
    assert!(
        trace.contains("/proc") && trace.contains("syscall"),
        "the scan is not in the trace"
    );
    for line in trace.lines() {
        let call = line
            .split_once(' ')
            .map_or("", |(_, rest)| rest.trim_start());
        let opens = call.starts_with("open");
        let forbidden = ["ptrace(", "kill(", "tkill(", "tgkill(", "pidfd_send_signal(", "pidfd_getfd("]
            .iter()
            .any(|name| call.starts_with(name))
            || call.contains("F_SETFL")
            || call.contains("F_SETPIPE_SZ")
            // The descriptors of others: their directory is listed, and nothing in it is opened. A FIFO's path is
            // looked up by O_PATH, which opens nothing.
            || (opens && call.contains("fifo") && !call.contains("O_PATH"))
            || (opens && is_in_descriptor_directory(call));
        assert!(!forbidden, "{line}");
    }
}

/// Whether an open names something like `fd/3`, or a number relative to a directory (which only fdinfo would be).
fn is_in_descriptor_directory(call: &str) -> bool {
    let path = call.split('"').nth(1).unwrap_or_default();
    let mut parts = path.rsplit('/');
    let is_number = parts.next().is_some_and(|last| last.parse::<u32>().is_ok());
    is_number && matches!(parts.next(), Some("fd") | None)
}
