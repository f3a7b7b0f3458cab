//! Ending a capture from outside of it: by another thread, or by a signal that this process gets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigAction, Signal};
use rustix::event::EventfdFlags;

use crate::flow::Token;
use crate::{Error, engine, sys};

/// Ends the captures that were told of it ([`crate::Capture::stopped_by`]), from any thread.
///
/// ```
/// use pipeclog_capture::{Bound, Capture, Command, Status, Stopped, Stopper};
///
/// let stopper = Stopper::new()?;
/// let other = stopper.clone();
/// let capture = Capture::recommended(Bound::Unbounded).stopped_by(&stopper);
/// let thread = std::thread::spawn(move || other.stop(15));
/// let captured = capture.run(&Command::new("sleep").arg("600"))?;
/// assert_eq!(captured.status, Status::Signaled(15));
/// assert_eq!(captured.stopped, Some(Stopped::Signal(15)));
/// # thread.join().expect("no panic");
/// # Ok::<(), pipeclog_capture::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Readable for ever after the first call, and after the second one. Eventfds, since an engine
    /// waits for descriptors, and since nobody else can make them readable: a deadlock of the
    /// child's can still be proven while we wait.
    bells: [OwnedFd; 2],
    /// The signal of the first call; 0 before.
    signal: AtomicI32,
    by_terminal: AtomicBool,
}

/// Where a signal came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Process,
    /// The kernel, which sends what is typed at a terminal, and its hangup, to a whole process
    /// group.
    Terminal,
}

impl Stopper {
    /// A stopper that nobody has used yet.
    pub fn new() -> Result<Self, Error> {
        let bell = || {
            rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|errno| Error::system("make an eventfd", errno))
        };
        Ok(Stopper(Arc::new(Shared {
            bells: [bell()?, bell()?],
            signal: AtomicI32::new(0),
            by_terminal: AtomicBool::new(false),
        })))
    }

    /// Ends the captures, those under way and later ones: the child gets `signal` where
    /// [`crate::Kill`] would send SIGTERM, then what it writes is read until it has exited. SIGKILL
    /// follows when the term grace of [`crate::Kill`] has passed, or 10 seconds if that is zero, or
    /// at the second call. A number that no signal has counts as SIGTERM.
    pub fn stop(&self, signal: i32) {
        self.stop_for(signal, Sender::Process);
    }

    /// The signal of the first call, if there has been one.
    pub fn signal(&self) -> Option<i32> {
        Some(self.0.signal.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }

    /// Sound in a signal handler: atomics, and write(2) without libc's errno.
    pub(crate) fn stop_for(&self, signal: i32, sender: Sender) {
        let signal = Signal::try_from(signal).unwrap_or(Signal::SIGTERM) as i32;
        let first = self
            .0
            .signal
            .compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if first && sender == Sender::Terminal {
            self.0.by_terminal.store(true, Ordering::Release);
        }
        let [soft, hard] = &self.0.bells;
        engine::ring(if first { soft } else { hard });
    }
}

/// SIGHUP, SIGINT and SIGTERM that this process gets go to a [`Stopper`] for as long as this lives.
/// A signal that is ignored stays ignored (nohup). Afterwards they are handled as before.
///
/// A Ctrl-C at a terminal goes to the whole process group: a child in ours is not sent it twice.
///
/// There is one such stopper in a process, and signals that came stay known to it: what is started
/// later ends at once.
#[derive(Debug)]
pub struct CaughtSignals {
    stopper: Stopper,
    before: Vec<(Signal, SigAction)>,
}

static OF_SIGNALS: OnceLock<Stopper> = OnceLock::new();

impl CaughtSignals {
    /// Begins to catch them.
    pub fn new() -> Result<Self, Error> {
        let stopper = match OF_SIGNALS.get() {
            Some(stopper) => stopper.clone(),
            None => {
                let made = Stopper::new()?;
                OF_SIGNALS.get_or_init(|| made).clone()
            }
        };
        let mut caught = CaughtSignals {
            stopper,
            before: Vec::new(),
        };
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
            if let Some(before) = sys::catch(signal)
                .map_err(|errno| Error::system(format!("catch {signal}"), errno))?
            {
                caught.before.push((signal, before));
            }
        }
        Ok(caught)
    }

    /// What the signals go to.
    pub fn stopper(&self) -> &Stopper {
        &self.stopper
    }
}

impl Drop for CaughtSignals {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            sys::handle_as(*signal, before);
        }
    }
}

/// What the handler does.
pub(crate) fn caught(signal: i32, sender: Sender) {
    if let Some(stopper) = OF_SIGNALS.get() {
        stopper.stop_for(signal, sender);
    }
}

/// What a capture knows of its stopper.
#[derive(Default)]
pub(crate) struct Stopping {
    stopper: Option<Stopper>,
    noticed: Noticed,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Noticed {
    #[default]
    Nothing,
    First,
    Second,
}

/// What a stopper asks of a capture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Stop { signal: i32, sender: Sender },
    StopNow,
}

impl Stopping {
    pub(crate) fn by(stopper: Option<Stopper>) -> Self {
        Stopping {
            stopper,
            noticed: Noticed::Nothing,
        }
    }

    /// What to wait for next.
    pub(crate) fn bell(&self) -> Option<(Token, BorrowedFd<'_>)> {
        let [soft, hard] = &self.stopper.as_ref()?.0.bells;
        match self.noticed {
            Noticed::Nothing => Some((Token::Stop, soft.as_fd())),
            Noticed::First => Some((Token::StopNow, hard.as_fd())),
            Noticed::Second => None,
        }
    }

    /// The bell of this token, whether it rang or not.
    pub(crate) fn bell_of(&self, token: Token) -> Option<BorrowedFd<'_>> {
        let [soft, hard] = &self.stopper.as_ref()?.0.bells;
        match token {
            Token::Stop => Some(soft.as_fd()),
            Token::StopNow => Some(hard.as_fd()),
            Token::Stdin | Token::Stdout | Token::Stderr | Token::Exit => None,
        }
    }

    /// A bell was seen readable.
    pub(crate) fn note(&mut self, token: Token) {
        match token {
            Token::Stop if self.noticed == Noticed::Nothing => self.noticed = Noticed::First,
            Token::StopNow => self.noticed = Noticed::Second,
            _ => {}
        }
    }

    pub(crate) fn asked(&self) -> Option<Asked> {
        match self.noticed {
            Noticed::Nothing => None,
            Noticed::First => {
                let stopper = self.stopper.as_ref()?;
                let sender = if stopper.0.by_terminal.load(Ordering::Acquire) {
                    Sender::Terminal
                } else {
                    Sender::Process
                };
                Some(Asked::Stop {
                    signal: stopper.signal()?,
                    sender,
                })
            }
            Noticed::Second => Some(Asked::StopNow),
        }
    }
}
