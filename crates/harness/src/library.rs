//! Our strategies and the capture library's, mapped by exhaustive matches: one added on either side does not compile
//! until the other has it.

use pipeclog_capture as capture;
use pipeclog_scenario::strategy::Strategy;

/// The library's strategy of that name.
#[must_use]
pub const fn of_library(strategy: Strategy) -> capture::Strategy {
    match strategy {
        Strategy::WaitThenRead => capture::Strategy::WaitThenRead,
        Strategy::PollExitThenRead => capture::Strategy::PollExitThenRead,
        Strategy::StdoutThenStderr => capture::Strategy::StdoutThenStderr,
        Strategy::WriteStdinThenRead => capture::Strategy::WriteStdinThenRead,
        Strategy::BiggerPipeThenWait => capture::Strategy::BiggerPipeThenWait,
        Strategy::Threads => capture::Strategy::Threads,
        Strategy::Poll => capture::Strategy::Poll,
        Strategy::Epoll => capture::Strategy::Epoll,
        Strategy::TempFile => capture::Strategy::TempFile,
        Strategy::Memfd => capture::Strategy::Memfd,
        Strategy::Merged => capture::Strategy::Merged,
        Strategy::Pty => capture::Strategy::Pty,
        Strategy::Socketpair => capture::Strategy::Socketpair,
        Strategy::Discard => capture::Strategy::Discard,
        Strategy::Inherit => capture::Strategy::Inherit,
        Strategy::Tokio => capture::Strategy::Tokio,
        Strategy::IoUring => capture::Strategy::IoUring,
    }
}

/// Our name for a strategy of the library.
#[must_use]
pub const fn of_suite(strategy: capture::Strategy) -> Strategy {
    match strategy {
        capture::Strategy::WaitThenRead => Strategy::WaitThenRead,
        capture::Strategy::PollExitThenRead => Strategy::PollExitThenRead,
        capture::Strategy::StdoutThenStderr => Strategy::StdoutThenStderr,
        capture::Strategy::WriteStdinThenRead => Strategy::WriteStdinThenRead,
        capture::Strategy::BiggerPipeThenWait => Strategy::BiggerPipeThenWait,
        capture::Strategy::Threads => Strategy::Threads,
        capture::Strategy::Poll => Strategy::Poll,
        capture::Strategy::Epoll => Strategy::Epoll,
        capture::Strategy::TempFile => Strategy::TempFile,
        capture::Strategy::Memfd => Strategy::Memfd,
        capture::Strategy::Merged => Strategy::Merged,
        capture::Strategy::Pty => Strategy::Pty,
        capture::Strategy::Socketpair => Strategy::Socketpair,
        capture::Strategy::Discard => Strategy::Discard,
        capture::Strategy::Inherit => Strategy::Inherit,
        capture::Strategy::Tokio => Strategy::Tokio,
        capture::Strategy::IoUring => Strategy::IoUring,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_are_the_librarys() {
        for strategy in Strategy::ALL {
            let theirs = of_library(strategy);
            assert_eq!(theirs.name(), strategy.name());
            assert_eq!(of_suite(theirs), strategy);
            assert_eq!(
                theirs.kind() == capture::StrategyKind::Hazard,
                strategy.kind() == pipeclog_scenario::strategy::Kind::Hazard
            );
        }
    }
}
