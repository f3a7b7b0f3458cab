//! What is printed to stdout: with colour where the sink shows it, and with an answer to a sink that takes no more.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _};

/// The exit code for output that could not be written, as timeout(1) has it for its own failures.
const FAILED: i32 = 125;

/// Prints. A reader that has enough ends the program quietly, as SIGPIPE would; any other failure ends it with a line on stderr.
pub(crate) fn write(text: Arguments<'_>) {
    let mut stdout = anstream::stdout();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            crate::complain(&format!("failed to write to stdout: {error}"));
            std::process::exit(FAILED);
        }
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
