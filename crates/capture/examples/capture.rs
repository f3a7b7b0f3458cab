//! A strategy from the command line, for a look by hand or under strace:
//! `cargo run --example capture -- poll sh -c 'echo hello'`.

use std::io::{self, Write};
use std::process::ExitCode;

use pipeclog_capture::{Bound, Capture, Command, End, Strategy};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let name = args
        .next()
        .ok_or("usage: capture STRATEGY PROGRAM [ARGUMENT...]")?;
    let strategy: Strategy = name.to_string_lossy().parse()?;
    let command = Command::new(args.next().ok_or("which program?")?).args(args);

    let captured = Capture::new(strategy, End::EndOfFile, Bound::Unbounded).run(&command)?;

    io::stdout().write_all(&captured.stdout.bytes)?;
    io::stderr().write_all(&captured.stderr.bytes)?;
    let code = captured
        .status
        .shell_code()
        .and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
