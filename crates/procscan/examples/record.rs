//! Writes down what a scan of a process's family reads, so that it can be replayed:
//! `cargo run -p pipeclog-procscan --example record -- 812 DIRECTORY`.

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::Pid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(pid), Some(into)) = (args.next(), args.next()) else {
        return Err("usage: record PID DIRECTORY".into());
    };
    let selection = Selection::Tree(vec![Pid(pid.parse()?)]);
    Scanner::recording("/proc", into)?.scan(&selection)?;
    Ok(())
}
