//! Channels and who holds their ends.

use pipeclog_waitgraph::snapshot::{
    Access, Armed, Listing, Object, Peer, Pid, Process, SignalSet, Snapshot, SocketKind,
    SocketTimeouts, Wait,
};

use crate::shape::{Shape, holders, process, task_that};

#[test]
fn all_holders_of_a_pipe_are_found_though_they_are_no_family() {
    // The writer's standard output goes to a pipe that the test, an ancestor outside of the tree, reads.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "head -c 1000000 /dev/zero >&2"])
        .stderr(writer);
    let shape = Shape::spawn(&mut command);
    drop(command);
    let is_write = |w: &Wait| matches!(w, Wait::Write { .. });
    let snapshot = shape.scan_until("blocked writer", |s| {
        s.processes
            .iter()
            .any(|p| p.tasks.iter().any(|t| is_write(&t.wait)))
    });
    let inode = std::os::unix::fs::MetadataExt::ino(
        &std::fs::metadata(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&reader)
        ))
        .unwrap(),
    );
    let own = Pid(std::process::id());
    let ends = holders(&snapshot, inode);
    assert!(ends.iter().any(|&(pid, _)| pid == own), "{ends:?}");
    assert!(
        ends.iter().any(|&(pid, fd)| pid != own && fd == 2),
        "{ends:?}"
    );
    let mine = process(&snapshot, own).table.known().iter();
    let read_end = mine.filter(|d| matches!(d.object, Object::Pipe { inode: i } if i == inode));
    assert!(read_end.into_iter().any(|d| d.access == Access::Read));
    assert_ne!(snapshot.scan.listing, Listing::Partial);
}

#[test]
fn a_socket_pair_names_its_peer_its_kind_and_that_it_has_no_timeouts() {
    let program = "import socket; a,b=socket.socketpair(); a.recv(1)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    // The interpreter reads files, too, while it starts.
    let is_read = |w: &Wait| matches!(w, Wait::Read { call, .. } if call == "recvfrom");
    let snapshot = shape.waiting("recv", is_read);
    let process = process(&snapshot, shape.pid());
    let Wait::Read { fd, .. } = task_that(process, is_read).wait else {
        unreachable!()
    };
    let Object::UnixSocket {
        peer,
        socket,
        timeouts,
        ..
    } = process.table.get(fd).unwrap().object
    else {
        panic!("no unix socket: {:?}", process.table.get(fd));
    };
    assert_eq!(
        (socket, timeouts),
        (SocketKind::Stream, SocketTimeouts::Unset)
    );
    let Peer::Inode(peer) = peer else {
        panic!("{peer:?}")
    };
    let has_peer = process.table.known().iter().any(|d| match d.object {
        Object::UnixSocket {
            inode,
            peer: Peer::Inode(_),
            ..
        } => inode == peer,
        _ => false,
    });
    assert!(has_peer);
}

#[test]
fn a_socket_with_a_receive_timeout_says_so() {
    let program = "import socket,struct; a,b=socket.socketpair(); \
        a.setsockopt(socket.SOL_SOCKET,socket.SO_RCVTIMEO,struct.pack('ll',500,0)); a.recv(1)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let is_read = |w: &Wait| matches!(w, Wait::Read { call, .. } if call == "recvfrom");
    let snapshot = shape.waiting("recv", is_read);
    let table = &process(&snapshot, shape.pid()).table;
    let set = |d: &pipeclog_waitgraph::snapshot::Descriptor| {
        matches!(
            d.object,
            Object::UnixSocket {
                timeouts: SocketTimeouts::Set,
                ..
            }
        )
    };
    assert!(table.known().iter().any(set), "{table:?}");
}

#[test]
fn anonymous_files_give_what_tells_them_apart() {
    let program = "import ctypes,os,select,socket,time; l=ctypes.CDLL(None); l.eventfd(0,0); \
        t=l.timerfd_create(1,0); v=(ctypes.c_long*4)(0,0,5000,0); l.timerfd_settime(t,0,v,None); l.timerfd_create(1,0); \
        m=(ctypes.c_ulong*16)(1<<16); l.signalfd(-1,m,0); os.pidfd_open(os.getpid()); l.inotify_init(); \
        r,w=os.pipe(); e=select.epoll(); e.register(r,1); o=select.epoll(); o.register(e,1); \
        n=socket.socket(); u=socket.socketpair(); \
        u[0].sendmsg([b'x'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,w.to_bytes(4,'little'))]); o.poll()";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let snapshot = shape.waiting("epoll", |w| matches!(w, Wait::Epoll { .. }));
    let known = process(&snapshot, shape.pid()).table.known();
    let has = |what: &str, is_it: &dyn Fn(&Object) -> bool| {
        assert!(
            known.iter().any(|d| is_it(&d.object)),
            "no {what} in {known:#?}"
        );
    };
    has("eventfd", &|o| matches!(o, Object::Eventfd { .. }));
    has("armed timer", &|o| {
        matches!(
            o,
            Object::Timerfd {
                armed: Armed::Armed
            }
        )
    });
    has("idle timer", &|o| {
        matches!(
            o,
            Object::Timerfd {
                armed: Armed::Disarmed
            }
        )
    });
    has("signalfd", &|o| {
        *o == Object::Signalfd {
            mask: SignalSet::of(&[SignalSet::CHLD]),
        }
    });
    has("pidfd", &|o| {
        *o == Object::Pidfd {
            target: Some(shape.pid()),
        }
    });
    has("inotify", &|o| *o == Object::FileEvents);
    has(
        "TCP socket",
        &|o| matches!(o, Object::OtherSocket { family, .. } if family.as_bytes() == b"TCP"),
    );
    has("descriptor in flight", &|o| {
        matches!(
            o,
            Object::UnixSocket {
                fds_in_flight: 1,
                ..
            }
        )
    });
    // Each epoll names its target by the identity that some descriptor of the table has.
    let epolls: Vec<_> = known
        .iter()
        .filter_map(|d| match &d.object {
            Object::Epoll { targets } => Some(targets),
            _ => None,
        })
        .collect();
    assert_eq!(epolls.len(), 2);
    for target in epolls.into_iter().flatten() {
        assert!(
            known
                .iter()
                .any(|d| d.id == Some(target.file) && d.fd == target.fd),
            "{target:?}"
        );
    }
}

#[test]
fn the_two_sides_of_a_terminal_find_each_other() {
    // The child has the slave alone, as its controlling terminal and by the name /dev/tty.
    let program =
        "import os,pty\np,m=pty.fork()\nif p==0: os.read(os.open('/dev/tty',0),1)\nos.waitpid(p,0)";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let reads_terminal = |p: &Process| {
        let fd = p.tasks.iter().find_map(|task| match task.wait {
            Wait::Read { fd, .. } => Some(fd),
            _ => None,
        });
        let read = fd
            .and_then(|fd| p.table.get(fd))
            .filter(|d| matches!(d.object, Object::PtySlave { .. }));
        read.map(|d| d.object.clone())
    };
    let child_of = |s: &Snapshot| {
        let mut children = s.processes.iter().filter(|p| p.ppid == shape.pid());
        children.find(|p| reads_terminal(p).is_some()).cloned()
    };
    // Whoever does not sleep yet is no suspect, and of him no descriptors are read.
    let waits = |p: &Process| p.tasks.iter().any(|t| matches!(t.wait, Wait::Child { .. }));
    let snapshot = shape.scan_until("reader of a terminal whose parent waits", |s| {
        child_of(s).is_some() && waits(process(s, shape.pid()))
    });
    let child = child_of(&snapshot).unwrap();
    let Some(Object::PtySlave { index, .. }) = reads_terminal(&child) else {
        unreachable!()
    };
    let masters = process(&snapshot, shape.pid())
        .table
        .known()
        .iter()
        .filter_map(|d| match d.object {
            Object::PtyMaster { index, devpts } => Some((index, devpts)),
            _ => None,
        });
    let slaves = child.table.known().iter().filter_map(|d| match d.object {
        Object::PtySlave {
            devpts: Some(devpts),
            ..
        } => Some(devpts),
        _ => None,
    });
    let devpts = slaves.into_iter().next().unwrap();
    assert_eq!(masters.collect::<Vec<_>>(), [(index, Some(devpts))]);
}
