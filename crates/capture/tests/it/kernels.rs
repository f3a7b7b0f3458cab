//! Older kernels and filters: each newer system call that is missing has another way, or a clear
//! refusal; and a shortage of processes has a name.

use nix::libc;
use pipeclog_capture::{Capture, End, ErrorKind, Status, Strategy};
use rustix::io::Errno;

use crate::failures::open_descriptors;
use crate::fallback::has_clone3;
use crate::support::{LONG, alone, assert_childless, safe, sh, until, with_failing};

/// What must come of a strategy without this call: the kind of the error, or none if it works.
fn without(call: i64, strategy: Strategy) -> Option<ErrorKind> {
    match (call, strategy) {
        (libc::SYS_memfd_create, Strategy::Memfd) => Some(ErrorKind::Unsupported),
        (libc::SYS_io_uring_setup, Strategy::IoUring) => Some(ErrorKind::Unsupported),
        // Only clone3 gives the pidfd along with the child.
        (libc::SYS_pidfd_open, _) if !has_clone3() => Some(ErrorKind::Unsupported),
        _ => None,
    }
}

#[test]
fn each_newer_call_that_is_missing_is_done_without_or_refused_by_name() {
    if !alone(
        "kernels::each_newer_call_that_is_missing_is_done_without_or_refused_by_name",
        "",
    ) {
        return;
    }
    for errno in [Errno::NOSYS, Errno::PERM] {
        for call in [
            libc::SYS_clone3,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_close_range,
            libc::SYS_memfd_create,
            libc::SYS_io_uring_setup,
            libc::SYS_epoll_pwait2,
            libc::SYS_faccessat2,
        ] {
            // glibc itself, which starts threads by it, takes no other answer of clone3's for a missing call.
            if call == libc::SYS_clone3 && errno != Errno::NOSYS {
                continue;
            }
            let before = open_descriptors();
            with_failing(&[call], errno, || {
                for strategy in safe() {
                    check(
                        strategy,
                        without(call, strategy),
                        &format!("{call} {errno:?}"),
                    );
                }
            });
            until("the descriptors are those of before", || {
                open_descriptors() == before
            });
        }
        with_failing(&[libc::SYS_clone3], Errno::NOSYS, || {
            with_failing(&[libc::SYS_pidfd_open], errno, || {
                for strategy in safe() {
                    check(
                        strategy,
                        Some(ErrorKind::Unsupported),
                        &format!("pidfd {errno:?}"),
                    );
                }
            });
        });
        assert_childless();
    }
}

fn check(strategy: Strategy, expected: Option<ErrorKind>, without: &str) {
    let capture = Capture::new(strategy, End::Drain, LONG).stdin("in");
    let result = capture.run(&sh("cat; exit 3"));
    match (result, expected) {
        (Ok(captured), None) => {
            assert_eq!(captured.status, Status::Exited(3), "{strategy} {without}");
            let told = matches!(strategy, Strategy::Discard | Strategy::Inherit)
                || captured.stdout.bytes == b"in";
            assert!(told, "{strategy} {without}: {captured:?}");
        }
        (Err(error), Some(kind)) => {
            assert_eq!(error.kind(), kind, "{strategy} {without}: {error:?}")
        }
        (result, expected) => panic!("{strategy} {without}: {result:?} rather than {expected:?}"),
    }
}

#[test]
fn a_shortage_of_processes_is_a_typed_error() {
    if !alone("kernels::a_shortage_of_processes_is_a_typed_error", "") {
        return;
    }
    let before = open_descriptors();
    let calls = [
        libc::SYS_clone3,
        libc::SYS_clone,
        libc::SYS_fork,
        libc::SYS_vfork,
    ];
    with_failing(&calls, Errno::AGAIN, || {
        for strategy in Strategy::ALL.into_iter().filter(|it| it.is_built()) {
            let capture = match strategy.is_hazard() {
                true => Capture::new(strategy, End::EndOfFile, pipeclog_capture::Bound::Unbounded),
                false => Capture::new(strategy, End::Drain, LONG),
            };
            let error = capture
                .run(&sh("exit 0"))
                .expect_err("there is no process to be had");
            assert_eq!(error.kind(), ErrorKind::Resources, "{strategy}: {error:?}");
        }
    });
    assert_eq!(open_descriptors(), before);
    assert_childless();
}
