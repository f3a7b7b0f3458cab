//! What a worker that gives no answer is doing, told by whoever waits for it.

use pipeclog_procscan::{ScanError, Scanner, Selection};
use pipeclog_waitgraph::diagnose;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot};

/// What each process of the tree under `root` waits for, in words.
pub(crate) fn told(root: u32) -> String {
    let looks = match looks(Pid(root)) {
        Ok(looks) => looks,
        Err(error) => return format!("nothing can be said of it: {error}"),
    };
    let [_, last] = &looks;
    let tree = last.processes.iter().filter(|process| {
        let line = std::iter::successors(Some(*process), |one| last.process(one.ppid));
        // No line of descent is longer than there are processes, however torn the look may be.
        line.take(last.processes.len())
            .any(|one| one.pid == Pid(root))
    });
    let told: Vec<String> = tree
        .map(|process| diagnose(&looks, process.pid).report().headline.clone())
        .collect();
    told.join("; ")
}

fn looks(root: Pid) -> Result<[Snapshot; 2], ScanError> {
    let selection = Selection::Tree(vec![root]);
    let mut scanner = Scanner::new("/proc")?;
    let look = scanner.scan(&selection)?;
    let confirmed = scanner.confirm(&selection, &look)?;
    Ok([look, confirmed])
}
