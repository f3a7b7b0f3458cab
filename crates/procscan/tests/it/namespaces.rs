//! Processes in namespaces of their own, and rings.

use std::process::Command;

use pipeclog_waitgraph::snapshot::{ChildSet, Object, Peer, Snapshot, Timeout, Wait};

use crate::shape::{Shape, is_installed, process, task_that};

/// A Python program under unshare(1); `None`, said aloud, where that is not possible.
fn unshared(arguments: &[&str], program: &str) -> Option<Shape> {
    if !nix::unistd::geteuid().is_root() || !is_installed("unshare") || !is_installed("python3") {
        println!("skipped: it takes root, unshare and python3");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(arguments).args(["python3", "-c", program]);
    Some(Shape::spawn_as(&mut command, ""))
}

#[test]
fn socket_peers_are_found_in_another_network_namespace() {
    let program = "import socket; a,b=socket.socketpair(); a.recv(1)";
    let Some(shape) = unshared(&["--net"], program) else {
        return;
    };
    let is_read = |w: &Wait| matches!(w, Wait::Read { call, .. } if call == "recvfrom");
    let snapshot = shape.waiting("recv", is_read);
    let target = process(&snapshot, shape.pid());
    let Wait::Read { fd, .. } = task_that(target, is_read).wait else {
        unreachable!()
    };
    let object = &target.table.get(fd).unwrap().object;
    assert!(
        matches!(
            object,
            Object::UnixSocket {
                peer: Peer::Inode(_),
                ..
            }
        ),
        "{object:?}"
    );
    let observer = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(
        observer.to_str().unwrap(),
        format!("net:[{}]", target.namespaces.net.unwrap())
    );
}

#[test]
fn a_wait_for_a_child_is_in_the_numbers_of_the_waiters_namespace() {
    let program = "import subprocess; subprocess.Popen(['sleep','1000']).wait()";
    let Some(shape) = unshared(&["--pid", "--fork"], program) else {
        return;
    };
    let waits = |w: &Wait| {
        matches!(
            w,
            Wait::Child {
                children: ChildSet::Pid(_)
            }
        )
    };
    let waiter = |s: &Snapshot| {
        let inner = s.processes.iter().filter(|p| p.ppid == shape.pid());
        inner
            .into_iter()
            .find(|p| p.ns_pids.len() == 2 && p.tasks.iter().any(|t| waits(&t.wait)))
            .cloned()
    };
    let snapshot = shape.scan_until("waiter in its namespace", |s| waiter(s).is_some());
    let waiter = waiter(&snapshot).unwrap();
    let Wait::Child {
        children: ChildSet::Pid(inner),
    } = task_that(&waiter, waits).wait
    else {
        unreachable!()
    };
    let child = snapshot
        .processes
        .iter()
        .find(|p| p.ppid == waiter.pid)
        .unwrap();
    assert_eq!(child.ns_pids, [child.pid.0, inner]);
}

#[test]
fn a_wait_for_a_ring_names_it_and_its_registered_pipes() {
    let setting = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    if setting.trim_end() != "0" {
        println!("skipped: io_uring is not offered here ({setting:?})");
        return;
    }
    // io_uring_setup, io_uring_register (of files, 2) and io_uring_enter (of events, 1) have one number everywhere.
    let program = "import ctypes,os; l=ctypes.CDLL(None); p=(ctypes.c_char*120)(); f=l.syscall(425,8,p); os.dup2(f,80); \
        r,w=os.pipe(); l.syscall(427,80,2,(ctypes.c_int*1)(r),1); l.syscall(426,80,0,1,1,None,0)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let expected = Wait::IoUring {
        fd: 80,
        timeout: Timeout::Never,
    };
    let snapshot = shape.waiting("ring", |w| *w == expected);
    let known = process(&snapshot, shape.pid()).table.known();
    let Object::IoUring {
        registered_pipes, ..
    } = &known.iter().find(|d| d.fd == 80).unwrap().object
    else {
        panic!("{known:?}");
    };
    let is_registered =
        |o: &Object| matches!(o, Object::Pipe { inode } if *registered_pipes == [*inode]);
    assert!(known.iter().any(|d| is_registered(&d.object)), "{known:?}");
}
