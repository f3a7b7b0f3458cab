//! The same promises where the kernel has no clone3: before Linux 5.5, or under a filter as some
//! containers have it.

use std::time::Duration;

use nix::libc;
use pipeclog_capture::{Bound, Capture, Command, End, Strategy};
use rustix::io::Errno;

use crate::support::{KILL_ALL, with_failing};

const INSIDE: &str = "PIPECLOG_TEST_FALLBACK";

/// Whether this is not the run below, in which clone3 is missing.
pub(crate) fn has_clone3() -> bool {
    std::env::var_os(INSIDE).is_none()
}

/// Every test of this binary, once more, on std's spawn.
#[test]
fn std_spawns_under_the_same_tests_where_clone3_is_missing() {
    if !has_clone3() {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("our own");
        assert!(status.contains("\nSeccomp:\t2\n"), "the filter is in force");
        return;
    }
    let binary = std::env::current_exe().expect("this test's own file");
    let command = Command::new(binary)
        .args(["--test-threads=4"])
        .env(INSIDE, "1");
    let capture = Capture::new(
        Strategy::Poll,
        End::Drain,
        Bound::Timeout(Duration::from_secs(900)),
    );
    let captured = with_failing(&[libc::SYS_clone3], Errno::NOSYS, || {
        capture.kill(KILL_ALL).run(&command)
    });
    let captured = captured.expect("it starts");
    let text = captured.stdout.bytes.to_text_lossy();
    assert!(captured.status.success(), "{}\n{text}", captured.status);
    assert!(text.contains("test result: ok"), "{text}");
}
