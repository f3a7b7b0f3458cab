//! The signals that the supervisor takes instead of dying of them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use pipeclog_procscan::parse::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Those that ask a program to end, as timeout(1) takes them, and those that a program may use as it likes.
const PASSED_ON: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// `si_code` of a signal that the kernel raised, a terminal's among them (sigaction(2)).
const FROM_KERNEL: i32 = 0x80;

/// Signals that wait to be read.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    /// Those that were not blocked before.
    added: SigSet,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// This process was stopped, and goes on.
    Continued,
    /// Somebody sent it here alone: the command does not have it yet.
    Sent(Signal),
    /// The terminal sent it to the whole group: the command has it already.
    ToAll(Signal),
}

impl Signals {
    /// Blocks them in this thread, and in those it starts. What the caller had ignored (nohup) stays ignored.
    pub(crate) fn block(also: Signal) -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        let ignored = std::fs::read("/proc/self/status")
            .ok()
            .and_then(|text| Status::parse(&text).ok())
            .map_or(0, |status| status.ignored);
        let mut set = SigSet::empty();
        let wanted = PASSED_ON.into_iter().chain([also, Signal::SIGCONT]);
        for signal in wanted.filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0) {
            set.add(signal);
        }
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut added = SigSet::empty();
        for signal in set.iter().filter(|signal| !before.contains(*signal)) {
            added.add(signal);
        }
        Ok(Self { fd, added })
    }

    /// Those that the command must not have blocked.
    pub(crate) fn added(&self) -> &SigSet {
        &self.added
    }

    /// Whether any waits to be read.
    pub(crate) fn have_come(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.fd.as_fd(), PollFlags::IN)];
        // What cannot be asked is taken to have come: then it is asked again.
        poll(&mut fds, Some(&Timespec::default())) != Ok(0)
    }

    /// What has come, oldest first as far as the kernel keeps an order.
    pub(crate) fn read(&self) -> Vec<Came> {
        let mut came = Vec::new();
        while let Ok(Some(info)) = self.fd.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            came.extend(match Signal::try_from(number) {
                Ok(Signal::SIGCONT) => Some(Came::Continued),
                Ok(signal) if info.ssi_code == FROM_KERNEL => Some(Came::ToAll(signal)),
                Ok(signal) => Some(Came::Sent(signal)),
                Err(_) => None,
            });
        }
        came
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
