//! The same promises where the kernel has no clone3: before Linux 5.5, or under a filter as some
//! containers have it.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::libc;
use pipeclog_capture::{Bound, Capture, Command, End, Strategy};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::support::KILL_ALL;

/// Runs it on a thread, and so in children, for which there is no clone3.
fn without_clone3<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let architecture = std::env::consts::ARCH.try_into().expect("seccomp knows it");
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let refuse = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture);
    let program: BpfProgram = filter.expect("valid").try_into().expect("short");
    std::thread::scope(|scope| {
        let filtered = scope.spawn(move || {
            seccompiler::apply_filter(&program).expect("a filter may be set by anybody");
            work()
        });
        filtered.join().expect("no panic")
    })
}

/// Every test of this binary, once more, on std's spawn.
#[test]
fn std_spawns_under_the_same_tests_where_clone3_is_missing() {
    const INSIDE: &str = "PIPECLOG_TEST_FALLBACK";
    if std::env::var_os(INSIDE).is_some() {
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
    let captured = without_clone3(|| capture.kill(KILL_ALL).run(&command));
    let captured = captured.expect("it starts");
    let text = captured.stdout.bytes.to_text_lossy();
    assert!(captured.status.success(), "{}\n{text}", captured.status);
    assert!(text.contains("test result: ok"), "{text}");
}
