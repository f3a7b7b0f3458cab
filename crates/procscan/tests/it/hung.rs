//! Targets that hang whoever reads them.

use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Facet, GapKind, Object, Snapshot, Wait};

use crate::shape::{Shape, is_installed, process};

/// The scan's own bounds add up to a second or two; a hang is for ever.
const BOUND: Duration = Duration::from_secs(60);

/// Scans of a target that is there to hang them.
const RUNS: usize = 100;

#[test]
fn a_target_on_a_dead_file_system_hangs_nobody_and_what_was_left_out_is_named() {
    let directory = tempfile::tempdir().unwrap();
    if !is_installed("python3") || !nix::unistd::geteuid().is_root() {
        println!("skipped: it takes python3, and root to mount");
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/hung_target.py");
    let mut command = Command::new("python3");
    let mut shape = Shape::spawn(command.arg(script).arg(directory.path()));
    let snapshot = loop {
        if shape.exit_code() == Some(77) {
            println!("skipped: no mount of FUSE is permitted here");
            return;
        }
        let snapshot = scan_bounded(&shape);
        if has_left_out(&snapshot, &shape) {
            break snapshot;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    for _ in 0..RUNS {
        assert!(has_left_out(&scan_bounded(&shape), &shape));
    }
    let target = process(&snapshot, shape.pid());
    assert!(target.cmdline.is_empty());
    let unread = |wait: &Wait| matches!(wait, Wait::Poll { set: None, .. });
    assert!(target.tasks.iter().any(|task| unread(&task.wait)));
    // The open file is told to be one, though its server would not say so.
    let prefix = directory.path().to_str().unwrap().as_bytes();
    let on_it = |object: &Object| matches!(object, Object::File { path } if path.as_bytes().starts_with(prefix));
    assert!(
        target.table.known().iter().any(|d| on_it(&d.object)),
        "{:?}",
        target.table
    );
}

/// A scan on a thread of its own. If it hangs, the panic ends the target and its server, and that frees the thread.
fn scan_bounded(shape: &Shape) -> Snapshot {
    let (reply, answer) = channel();
    let selection = Selection::Tree(vec![shape.pid()]);
    std::thread::spawn(move || {
        let _ = reply.send(Scanner::new("/proc").unwrap().scan(&selection));
    });
    let Ok(scanned) = answer.recv_timeout(BOUND) else {
        panic!("the scan hangs");
    };
    scanned.unwrap()
}

/// Whether its memory was left alone, as the one thing that would have hung.
fn has_left_out(snapshot: &Snapshot, shape: &Shape) -> bool {
    let mut of_target = snapshot
        .gaps
        .iter()
        .filter(|gap| gap.pid == Some(shape.pid()));
    of_target.any(|gap| gap.kind == GapKind::NotLooked && gap.facet == Facet::Memory)
}
