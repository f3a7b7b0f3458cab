//! What is printed to stdout: with colour where the sink shows it, and with an answer to a sink that takes no more.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::os::fd::BorrowedFd;

use anstream::{AutoStream, ColorChoice};
use pipeclog_capture::closed_at_start;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// The exit code for output that could not be written, as timeout(1) has it for its own failures.
const FAILED: i32 = 125;

/// Prints. A reader that has enough ends the program quietly, as SIGPIPE would; any other failure ends it with a line on stderr.
pub(crate) fn write(text: Arguments<'_>) {
    let text = text.to_string();
    let text = match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
        ColorChoice::Auto | ColorChoice::Always | ColorChoice::AlwaysAnsi => text,
    };
    match Sink::stdout().write_all(text.as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            crate::complain(&format!("failed to write to stdout: {error}"));
            std::process::exit(FAILED);
        }
    }
}

/// Our stdout or stderr, unbuffered. Two faults that the standard library's have are not in it: what is written to a stream that was
/// closed at the start is an error, and a pipe that another process left non-blocking is waited for.
pub(crate) struct Sink {
    fd: BorrowedFd<'static>,
    was_closed: bool,
}

impl Sink {
    pub(crate) fn stdout() -> Self {
        Sink {
            fd: rustix::stdio::stdout(),
            was_closed: closed_at_start().contains(&1),
        }
    }

    pub(crate) fn stderr() -> Self {
        Sink {
            fd: rustix::stdio::stderr(),
            was_closed: closed_at_start().contains(&2),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.was_closed {
            return Err(io::Error::other("it is closed"));
        }
        loop {
            match rustix::io::write(self.fd, bytes) {
                Err(Errno::AGAIN) => {
                    let mut writable = [PollFd::new(&self.fd, PollFlags::OUT)];
                    match rustix::event::poll(&mut writable, None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                done => return Ok(done?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As std's, but without its panic.
macro_rules! println {
    ($($text:tt)*) => { $crate::out::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// As std's, but without its panic.
macro_rules! print {
    ($($text:tt)*) => { $crate::out::write(format_args!($($text)*)) };
}
