//! The signals that the supervisor takes instead of dying of them.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal as Named, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use pipeclog_procscan::parse::Status;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::tree::Tree;

/// Those that ask a program to end, as timeout(1) takes them, and those that a program may use as it likes.
const PASSED_ON: [Named; 6] = [
    Named::SIGHUP,
    Named::SIGINT,
    Named::SIGQUIT,
    Named::SIGTERM,
    Named::SIGUSR1,
    Named::SIGUSR2,
];

/// Those by which a terminal stops a job.
pub(crate) const STOPS: [Named; 3] = [Named::SIGTSTP, Named::SIGTTIN, Named::SIGTTOU];

/// `si_code` of a signal that the kernel raised, a terminal's among them (sigaction(2)).
const FROM_KERNEL: i32 = 0x80;

/// Signals that wait to be read.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: SignalFd,
    /// Those that were not blocked before.
    added: SigSet,
    real_time: Option<RealTime>,
}

/// A real-time signal, of which no set of nix's can be made: a handler writes a byte for each that has come.
#[derive(Debug)]
struct RealTime {
    signal: Signal,
    came: PipeReader,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// This process was stopped, and goes on.
    Continued,
    /// Somebody sent it here alone: the command does not have it yet.
    Sent(Signal),
    /// The terminal sent it to the whole group: the command has it already.
    ToAll,
}

impl Signals {
    /// Blocks them in this thread, and in those it starts. What the caller had ignored (nohup) stays ignored.
    pub(crate) fn block(also: Signal) -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        let ignored = std::fs::read("/proc/self/status")
            .ok()
            .and_then(|text| Status::parse(&text).ok())
            .map_or(0, |status| status.ignored);
        let is_ignored = |number: i32| ignored >> (number - 1) & 1 == 1;
        let named = Named::try_from(also.as_raw()).ok();
        let mut set = SigSet::empty();
        let wanted = PASSED_ON.into_iter().chain(named).chain([Named::SIGCONT]);
        for signal in wanted.filter(|signal| !is_ignored(*signal as i32)) {
            set.add(signal);
        }
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut added = SigSet::empty();
        for signal in set.iter().filter(|signal| !before.contains(*signal)) {
            added.add(signal);
        }
        let is_real_time = named.is_none() && !is_ignored(also.as_raw());
        let real_time = is_real_time.then(|| RealTime::handle(also)).transpose()?;
        Ok(Self {
            fd,
            added,
            real_time,
        })
    }

    /// Those that the command must not have blocked.
    pub(crate) fn added(&self) -> &SigSet {
        &self.added
    }

    /// Readable when any waits to be read.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let real_time = self.real_time.as_ref();
        std::iter::once(self.fd.as_fd()).chain(real_time.map(|it| it.came.as_fd()))
    }

    /// Whether any waits to be read.
    pub(crate) fn have_come(&self) -> bool {
        let mut fds: Vec<PollFd<'_>> = self
            .descriptors()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        // What cannot be asked is taken to have come: then it is asked again.
        poll(&mut fds, Some(&Timespec::default())) != Ok(0)
    }

    /// What has come, oldest first as far as the kernel keeps an order.
    pub(crate) fn read(&mut self) -> Vec<Came> {
        let mut came = Vec::new();
        while let Ok(Some(info)) = self.fd.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            came.extend(match Signal::from_named_raw(number) {
                Some(Signal::CONT) => Some(Came::Continued),
                Some(_) if info.ssi_code == FROM_KERNEL => Some(Came::ToAll),
                Some(signal) => Some(Came::Sent(signal)),
                None => None,
            });
        }
        came.extend(self.real_time.iter_mut().flat_map(RealTime::read));
        came
    }
}

/// Keeps the stops of a terminal from this thread, and from whom it starts meanwhile. Whoever is stopped between fork and exec keeps the one
/// who started him in vfork(2), where no stop reaches that one: a shell would not see that its job has stopped.
#[derive(Debug)]
pub(crate) struct StopsHeld {
    fd: SignalFd,
    /// Those that were not blocked before, and that whoever is started must not have blocked.
    pub(crate) added: SigSet,
}

impl StopsHeld {
    pub(crate) fn hold() -> io::Result<Self> {
        let before = SigSet::thread_get_mask()?;
        let mut added = SigSet::empty();
        for stop in STOPS.into_iter().filter(|stop| !before.contains(*stop)) {
            added.add(stop);
        }
        added.thread_block()?;
        let fd = SignalFd::with_flags(&added, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, added })
    }

    /// Lets them come. One of the terminal's that came before `started` was there has not reached it, and now does; one that came after is
    /// the same there, since a signal that waits does so once. One that somebody sent here alone is not for `started`: whoever lets this process go on
    /// would leave that one stopped.
    pub(crate) fn let_come(self, started: &Tree) -> io::Result<()> {
        let mut came = Vec::new();
        while let Ok(Some(info)) = self.fd.read_signal() {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            let Ok(stop) = Named::try_from(number) else {
                continue;
            };
            if info.ssi_code == FROM_KERNEL {
                // It has just been started, or has ended and is not reaped: the number is its own.
                let _ = kill(started.leader(), stop);
            }
            came.push(stop);
        }
        self.added.thread_unblock()?;
        for stop in came {
            raise(stop)?;
        }
        Ok(())
    }
}

impl RealTime {
    fn handle(signal: Signal) -> io::Result<Self> {
        let (came, write_end) = io::pipe()?;
        rustix::io::ioctl_fionbio(&came, true)?;
        signal_hook::low_level::pipe::register(signal.as_raw(), write_end)?;
        Ok(Self { signal, came })
    }

    fn read(&mut self) -> Vec<Came> {
        let mut bytes = [0; 64];
        // None has come where the pipe is empty (EAGAIN); more than these wait for the next time.
        let came = self.came.read(&mut bytes).unwrap_or(0);
        vec![Came::Sent(self.signal); came]
    }
}
