//! Prints the snapshot of a process's family as JSON: `cargo run -p pipeclog-procscan --example scan -- 812`, or of
//! every suspect of the machine without an argument.
#![expect(clippy::print_stdout, reason = "printing is all that it does")]

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::Pid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pids = std::env::args().skip(1).map(|arg| arg.parse().map(Pid));
    let pids = pids.collect::<Result<Vec<_>, _>>()?;
    let selection = if pids.is_empty() {
        Selection::Machine
    } else {
        Selection::Tree(pids)
    };
    let [first, second] = Scanner::new("/proc")?.scan_twice(&selection)?;
    println!("{}", serde_json::to_string_pretty(&[first, second])?);
    Ok(())
}
