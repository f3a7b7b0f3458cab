//! Signals, by safe means: what SIGPIPE does, which signals are ignored, and death by a signal.

use nix::sys::signal::{self, SigSet};
use pipeclog_scenario::script::{BrokenPipe, Script, Signal};

/// Makes the dispositions those that the script asks for.
pub(crate) fn set_up(script: &Script) -> nix::Result<()> {
    match script.broken_pipe {
        BrokenPipe::Die => sigpipe::reset(),
        // Rust's start has set SIG_IGN, and /proc/PID/status shows it, as it does for Python.
        BrokenPipe::Exit | BrokenPipe::GoOn => {}
    }
    if script.ignore.is_empty() {
        return Ok(());
    }
    let mut ignored = SigSet::empty();
    for signal in &script.ignore {
        ignored.add(number(*signal));
    }
    // Setting SIG_IGN would be unsafe: a blocked signal stays pending for ever, and wakes nothing.
    ignored.thread_block()
}

/// Kills this process by a signal; returns only if the signal is ignored since before the start, as under nohup(1).
pub(crate) fn die(signal: Signal) -> nix::Result<()> {
    // Without a core dump, whatever core_pattern says: RLIMIT_CORE does not bind those that are piped (core(5)).
    nix::sys::prctl::set_dumpable(false)?;
    let mut set = SigSet::empty();
    set.add(number(signal));
    set.thread_unblock()?;
    // Twice: Rust's start catches SIGSEGV to tell a stack overflow, and its handler gives back the default first.
    signal::raise(number(signal))?;
    signal::raise(number(signal))
}

/// Stops this process until somebody continues it.
pub(crate) fn stop() -> nix::Result<()> {
    signal::raise(signal::Signal::SIGSTOP)
}

fn number(signal: Signal) -> signal::Signal {
    match signal {
        Signal::Hup => signal::Signal::SIGHUP,
        Signal::Int => signal::Signal::SIGINT,
        Signal::Quit => signal::Signal::SIGQUIT,
        Signal::Abrt => signal::Signal::SIGABRT,
        Signal::Kill => signal::Signal::SIGKILL,
        Signal::Segv => signal::Signal::SIGSEGV,
        Signal::Pipe => signal::Signal::SIGPIPE,
        Signal::Alrm => signal::Signal::SIGALRM,
        Signal::Term => signal::Signal::SIGTERM,
        Signal::Usr1 => signal::Signal::SIGUSR1,
        Signal::Usr2 => signal::Signal::SIGUSR2,
    }
}
