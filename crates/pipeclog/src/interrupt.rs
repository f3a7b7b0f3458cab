//! Ctrl-C and its like, for the commands that run trials: they end their workers and wait for them, leave the terminal as it
//! was, and then die of the signal, as their caller expects. A second signal kills at once.
//!
//! Signal handlers are the process's own and last as long as it does; so does what stands here.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use pipeclog_procscan::parse::Status;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// What the handlers have told.
#[derive(Debug)]
struct Armed {
    /// The signal's number; zero until one has come.
    signal: Arc<AtomicUsize>,
    /// Readable once one has come.
    told: UnixStream,
    /// Whether a signal kills at once.
    at_once: Arc<AtomicBool>,
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// A signal asked for the end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted by signal {signal}")]
pub(crate) struct Interrupted {
    signal: usize,
}

/// From now on a signal is told instead of died of. Returns what becomes readable then.
pub(crate) fn arm() -> io::Result<UnixStream> {
    if let Some(armed) = ARMED.get() {
        return armed.told.try_clone();
    }
    let (told, tell) = UnixStream::pair()?;
    let signal = Arc::new(AtomicUsize::new(0));
    let at_once = Arc::new(AtomicBool::new(false));
    for number in [SIGHUP, SIGINT, SIGTERM] {
        if is_ignored(number) {
            continue;
        }
        // In this order: the first signal finds the condition unmet, and meets it.
        flag::register_conditional_default(number, Arc::clone(&at_once))?;
        flag::register(number, Arc::clone(&at_once))?;
        flag::register_usize(
            number,
            Arc::clone(&signal),
            usize::try_from(number).unwrap_or_default(),
        )?;
        low_level::pipe::register(number, tell.try_clone()?)?;
    }
    let armed = ARMED.get_or_init(|| Armed {
        signal,
        told,
        at_once,
    });
    armed.told.try_clone()
}

/// From now on a signal kills at once, as it does by default: nothing waits for workers.
pub(crate) fn at_once() {
    if let Some(armed) = ARMED.get() {
        armed.at_once.store(true, Ordering::SeqCst);
    }
}

/// Fails once a signal has come.
pub(crate) fn check() -> Result<(), Interrupted> {
    let signal = ARMED
        .get()
        .map_or(0, |armed| armed.signal.load(Ordering::SeqCst));
    match signal {
        0 => Ok(()),
        signal => Err(Interrupted { signal }),
    }
}

impl Interrupted {
    /// Ends this process by the signal, so that a shell sees 128 and its number, and stops its script at a Ctrl-C.
    pub(crate) fn die(self) -> ! {
        let number = i32::try_from(self.signal).unwrap_or(SIGTERM);
        // The first process of a pid namespace dies of no signal of its own (pid_namespaces(7)).
        if std::process::id() == 1 {
            std::process::exit(128 + number);
        }
        // Refused for signals that there are not, and these are three that there are.
        let _ = low_level::emulate_default_handler(number);
        std::process::exit(128 + number)
    }
}

/// What the caller had ignored (nohup(1), a shell's background) stays ignored.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read("/proc/self/status");
    let ignored = status
        .ok()
        .and_then(|text| Status::parse(&text).ok())
        .map_or(0, |status| status.ignored);
    ignored >> (signal - 1) & 1 == 1
}
