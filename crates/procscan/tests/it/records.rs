//! A recording gives the snapshot that it was made from.

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Listing, Snapshot, Wait};

use crate::shape::Shape;

#[test]
fn a_recorded_tree_replays_to_the_same_snapshot() {
    let program = "import os,select,socket; r,w=os.pipe(); a,b=socket.socketpair(); e=select.epoll(); e.register(a,1); \
        p=select.poll(); p.register(r,1); p.register(e.fileno(),1); p.poll()";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    shape.waiting("poll", |w| matches!(w, Wait::Poll { .. }));
    let directory = tempfile::tempdir().unwrap();
    let selection = Selection::Tree(vec![shape.pid()]);
    let mut recorder = Scanner::recording("/proc", directory.path()).unwrap();
    let live = recorder.scan(&selection).unwrap();
    let mut replayer = Scanner::new(directory.path()).unwrap();
    let replayed = replayer.scan(&selection).unwrap();
    // The counters of the machine move while they are read, and were written down twice.
    assert_eq!(without_clock(replayed.clone()), without_clock(live));
    // Nothing moves in a recording, so its second look agrees with its first.
    let second = replayer.confirm(&selection, &replayed).unwrap();
    assert_eq!(without_clock(second), without_clock(replayed));
}

fn without_clock(mut snapshot: Snapshot) -> Snapshot {
    snapshot.scan.at_ms = 0;
    snapshot.scan.forks_before = None;
    snapshot.scan.forks_after = None;
    // Whether somebody else of the machine was born meanwhile.
    snapshot.scan.listing = Listing::Closed;
    snapshot
}
