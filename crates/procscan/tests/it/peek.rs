//! Looks into channels: what they show, and that they leave everything as it was.

use std::collections::BTreeSet;

use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::snapshot::{Object, Peek, Peer, Snapshot, Wait};

use crate::shape::{Shape, process, task_that};

/// Looks into the channel behind the descriptor that a blocked task of the shape waits on, a hundred times; returns the last
/// look with what came of it.
fn peek(shape: &Shape, snapshot: &Snapshot, is_it: impl Fn(&Wait) -> bool) -> Snapshot {
    let target = process(snapshot, shape.pid());
    let task = task_that(target, &is_it);
    let (Wait::Write { fd, .. } | Wait::Read { fd, .. }) = task.wait else {
        unreachable!("{task:?}")
    };
    let channel = match target.table.get(fd).unwrap().object {
        Object::Pipe { inode } => Channel::Pipe { inode },
        Object::UnixSocket {
            inode,
            peer: Peer::Inode(peer),
            ..
        } => Channel::Socket { inode, peer },
        ref other => panic!("{other:?}"),
    };
    let mut scanner = Scanner::new("/proc").unwrap();
    let mut look = snapshot.clone();
    for _ in 0..100 {
        look.peeks.clear();
        scanner.peek(&mut look, &BTreeSet::from([channel.clone()]));
    }
    // Nobody was woken for it, and nothing was taken out.
    let after = scanner.scan(&Selection::Tree(vec![shape.pid()])).unwrap();
    let counts = |snapshot: &Snapshot| {
        let task = task_that(process(snapshot, shape.pid()), &is_it).clone();
        (task.switches_voluntary, task.switches_involuntary)
    };
    assert_eq!(counts(snapshot), counts(&after));
    look
}

fn is_write(wait: &Wait) -> bool {
    matches!(wait, Wait::Write { .. })
}

#[test]
fn a_full_pipe_shows_its_level_its_size_and_its_first_bytes() {
    let program = "import os; r,w=os.pipe(); os.write(w,b'first\\n'+b'x'*200000)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let snapshot = shape.waiting("write", is_write);
    let look = peek(&shape, &snapshot, is_write);
    let [
        Peek {
            unread_bytes: Some(unread),
            capacity_bytes: Some(capacity),
            head,
            ..
        },
    ] = look.peeks.as_slice()
    else {
        panic!("{:?} {:?}", look.peeks, look.gaps);
    };
    // A user over his share of pipe memory gets smaller ones, and they are full all the same.
    assert_eq!(unread, capacity);
    assert!(head.as_bytes().starts_with(b"first\nxxx"), "{head:?}");
}

#[test]
fn a_pipe_that_nobody_can_read_any_more_is_left_alone() {
    let program = "import os; r,w=os.pipe(); os.read(r,1)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let is_read = |wait: &Wait| matches!(wait, Wait::Read { call, .. } if call == "read");
    let is_pipe = |snapshot: &Snapshot| {
        let target = process(snapshot, shape.pid());
        target.tasks.iter().any(|task| match task.wait {
            Wait::Read { fd, .. } => {
                let pipe = target.table.get(fd).map(|d| &d.object);
                let ends = |object: &Object| {
                    let all = target.table.known().iter();
                    all.filter(|d| d.object == *object).count()
                };
                // What starts the program may read a pipe too, but has one end of it.
                pipe.is_some_and(|pipe| matches!(pipe, Object::Pipe { .. }) && ends(pipe) == 2)
            }
            _ => false,
        })
    };
    let mut snapshot = shape.scan_until("read", is_pipe);
    let look = peek(&shape, &snapshot, is_read);
    assert_eq!(look.peeks[0].unread_bytes, Some(0));
    assert!(look.peeks[0].head.is_empty());
    // Without a reading end in sight nothing is duplicated, the writing end least of all.
    let inode = look.peeks[0].inode;
    snapshot.processes.iter_mut().for_each(|process| {
        if let pipeclog_waitgraph::snapshot::Table::Complete(all) = &mut process.table {
            all.retain(|d| {
                !(matches!(d.object, Object::Pipe { inode: own } if own == inode)
                    && d.access.reads())
            });
        }
    });
    let gaps = snapshot.gaps.clone();
    let channels = BTreeSet::from([Channel::Pipe { inode }]);
    Scanner::new("/proc")
        .unwrap()
        .peek(&mut snapshot, &channels);
    assert_eq!((snapshot.peeks.len(), snapshot.gaps), (0, gaps));
}

#[test]
fn the_queue_of_a_socket_is_seen_from_the_side_that_does_not_read() {
    let program = "import socket; a,b=socket.socketpair(); a.sendall(b'hello'+b'y'*10000000)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let snapshot = shape.waiting("send", is_write);
    let look = peek(&shape, &snapshot, is_write);
    let full = look.peeks.iter().find(|peek| peek.unread_bytes > Some(0));
    let full = full.unwrap_or_else(|| panic!("{:?} {:?}", look.peeks, look.gaps));
    assert!(full.head.as_bytes().starts_with(b"helloyyy"), "{full:?}");
    assert_eq!(full.capacity_bytes, None);
}

#[test]
fn a_number_that_is_another_file_by_now_is_not_looked_into() {
    let program = "import os; r,w=os.pipe(); os.write(w,b'x'*200000)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let mut snapshot = shape.waiting("write", is_write);
    // As if the look had been at another pipe, under the same number.
    let other = 1;
    for process in &mut snapshot.processes {
        if let pipeclog_waitgraph::snapshot::Table::Complete(all) = &mut process.table {
            for descriptor in all {
                if let Object::Pipe { inode } = &mut descriptor.object {
                    *inode = other;
                }
            }
        }
    }
    let channels = BTreeSet::from([Channel::Pipe { inode: other }]);
    Scanner::new("/proc")
        .unwrap()
        .peek(&mut snapshot, &channels);
    assert!(snapshot.peeks.is_empty(), "{:?}", snapshot.peeks);
}
