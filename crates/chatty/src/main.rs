//! The chatty child as a program of its own; `pipeclog chatty` is the same one.

use std::process::ExitCode;

fn main() -> ExitCode {
    pipeclog_chatty::main(&[], std::env::args_os())
}
