//! Times scans of a process's family.
#![expect(clippy::print_stdout, reason = "printing is all that it does")]
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::Pid;
use std::time::Instant;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pids = std::env::args().skip(1).map(|arg| arg.parse().map(Pid));
    let pids = pids.collect::<Result<Vec<_>, _>>()?;
    let selection = if pids.is_empty() {
        Selection::Machine
    } else {
        Selection::Tree(pids)
    };
    let mut s = Scanner::new("/proc")?;
    let mut a = vec![];
    let mut b = vec![];
    let mut n = 0;
    for _ in 0..200 {
        let t = Instant::now();
        let first = s.scan(&selection)?;
        a.push(t.elapsed());
        n = first.processes.len();
        let t = Instant::now();
        s.confirm(&first)?;
        b.push(t.elapsed());
    }
    a.sort();
    b.sort();
    println!(
        "{n} processes; scan median {:?} min {:?}; confirm median {:?} min {:?}",
        a[100], a[0], b[100], b[0]
    );
    Ok(())
}
