//! Blocked calls and what they decode to.

use nix::sys::signal::Signal;
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{
    ChildSet, FifoMode, FutexScope, LockKind, SignalSet, State, Timeout, Wait,
};

use crate::shape::{Shape, process, task_that};

/// Each row is a Python program and the wait that it must be seen in.
type Row<'a> = (&'a str, &'a str, fn(&Wait) -> bool);

fn check(rows: &[Row<'_>]) {
    for (what, program, is_it) in rows {
        let Some(shape) = Shape::python(program) else {
            return;
        };
        let snapshot = shape.waiting(what, is_it);
        // Whatever was waited for was decoded without a gap of the process.
        let gaps: Vec<_> = snapshot
            .gaps
            .iter()
            .filter(|gap| gap.pid == Some(shape.pid()))
            .collect();
        assert!(gaps.is_empty(), "{what}: {gaps:?}");
    }
}

#[test]
fn reads_and_writes_name_their_descriptor() {
    check(&[
        (
            "read",
            "import os; r,w=os.pipe(); os.dup2(r,50); os.read(50,1)",
            |w| matches!(w, Wait::Read { fd: 50, call } if call == "read"),
        ),
        (
            "readv",
            "import os; r,w=os.pipe(); os.readv(r,[bytearray(1)])",
            |w| matches!(w, Wait::Read { call, .. } if call == "readv"),
        ),
        (
            "write",
            "import os; r,w=os.pipe(); os.dup2(w,51); os.write(51,b'x'*70000)",
            |w| matches!(w, Wait::Write { fd: 51, call } if call == "write"),
        ),
        (
            "splice",
            "import os; a,b=os.pipe(); c,d=os.pipe(); os.dup2(a,52); os.dup2(d,53); os.splice(52,53,9)",
            |w| matches!(w, Wait::Transfer { from: 52, to: 53, call } if call == "splice"),
        ),
        (
            "recv",
            "import socket; a,b=socket.socketpair(); a.recv(1)",
            |w| matches!(w, Wait::Read { call, .. } if call == "recvfrom"),
        ),
        (
            "accept",
            "import socket; s=socket.socket(socket.AF_UNIX); s.bind('\\0procscan-accept'); s.listen(); s.accept()",
            |w| matches!(w, Wait::Accept { .. }),
        ),
    ]);
}

#[test]
fn the_first_phase_tells_who_is_blocked_for_ever_from_who_only_sleeps() {
    let reads = "import os; r,w=os.pipe(); os.read(r,1)";
    let sleeps = "import time; time.sleep(1000)";
    let (Some(reader), Some(sleeper)) = (Shape::python(reads), Shape::python(sleeps)) else {
        return;
    };
    reader.waiting("read", |wait| matches!(wait, Wait::Read { .. }));
    sleeper.waiting("sleep", |wait| matches!(wait, Wait::Sleep { .. }));
    let mut scanner = Scanner::new("/proc").unwrap();
    let blocked = scanner.processes(&Selection::Machine).unwrap();
    assert!(blocked.contains(&reader.pid()) && !blocked.contains(&sleeper.pid()));
    let tree = Selection::Tree(vec![sleeper.pid()]);
    let tree = scanner.processes(&tree).unwrap();
    assert_eq!(tree, [sleeper.pid()].into());
}

#[test]
fn poll_sets_and_timeouts_are_read_from_the_targets_memory() {
    check(&[
        (
            "poll",
            "import os,select; r,w=os.pipe(); os.dup2(r,50); p=select.poll(); p.register(50,select.POLLIN); p.register(r,0); p.poll()",
            |w| {
                let Wait::Poll {
                    set: Some(set),
                    timeout: Timeout::Never,
                    call,
                    ..
                } = w
                else {
                    return false;
                };
                call == "poll"
                    && set
                        .iter()
                        .map(|e| (e.fd, e.events.0))
                        .collect::<Vec<_>>()
                        .contains(&(50, 1))
                    && set.len() == 2
            },
        ),
        (
            "poll with a timeout",
            "import os,select; r,w=os.pipe(); p=select.poll(); p.register(r); p.poll(600000)",
            |w| {
                matches!(
                    w,
                    Wait::Poll {
                        timeout: Timeout::After(600_000_000_000),
                        ..
                    }
                )
            },
        ),
        (
            "select",
            "import os,select; r,w=os.pipe(); os.dup2(r,70); os.write(w,b''); select.select([70],[],[r])",
            |w| {
                let Wait::Poll {
                    set: Some(set),
                    timeout: Timeout::Never,
                    call,
                    ..
                } = w
                else {
                    return false;
                };
                let mut found: Vec<_> = set.iter().map(|e| (e.fd, e.events.0)).collect();
                found.sort_unstable();
                (call == "select" || call == "pselect6")
                    && found.last() == Some(&(70, 1))
                    && found[0].1 == 2
            },
        ),
        (
            "select with a timeout",
            "import os,select; r,w=os.pipe(); select.select([r],[],[],500)",
            |w| matches!(w, Wait::Poll { timeout: Timeout::After(ns), .. } if (400_000_000_000..=500_000_000_000).contains(ns)),
        ),
        (
            "epoll",
            "import os,select; r,w=os.pipe(); e=select.epoll(); e.register(r,select.EPOLLIN); e.poll()",
            |w| {
                matches!(
                    w,
                    Wait::Epoll {
                        timeout: Timeout::Never,
                        ..
                    }
                )
            },
        ),
        (
            "epoll with a timeout",
            "import select; e=select.epoll(); e.poll(300)",
            |w| {
                matches!(
                    w,
                    Wait::Epoll {
                        timeout: Timeout::After(300_000_000_000),
                        ..
                    }
                )
            },
        ),
        ("sleep", "import time; time.sleep(1000)", |w| {
            matches!(
                w,
                Wait::Sleep {
                    timeout: Timeout::After(_) | Timeout::At(_)
                }
            )
        }),
    ]);
}

#[test]
fn children_signals_and_locks_are_told_apart() {
    check(&[
        (
            "wait4",
            "import subprocess; subprocess.Popen(['sleep','1000']).wait()",
            |w| {
                matches!(
                    w,
                    Wait::Child {
                        children: ChildSet::Pid(_)
                    }
                )
            },
        ),
        (
            "wait for any",
            "import os,subprocess; subprocess.Popen(['sleep','1000']); os.wait()",
            |w| {
                matches!(
                    w,
                    Wait::Child {
                        children: ChildSet::Any
                    }
                )
            },
        ),
        (
            "waitid of a pidfd",
            "import os,subprocess; p=subprocess.Popen(['sleep','1000']); os.waitid(os.P_PIDFD,os.pidfd_open(p.pid),os.WEXITED)",
            |w| {
                matches!(
                    w,
                    Wait::Child {
                        children: ChildSet::Pidfd(_)
                    }
                )
            },
        ),
        (
            "pause",
            "import signal; signal.signal(signal.SIGUSR1,print); signal.pause()",
            |w| matches!(w, Wait::Signal { awaited, timeout: Timeout::Never } if awaited.has(10)),
        ),
        (
            "sigwait",
            "import signal; signal.pthread_sigmask(signal.SIG_BLOCK,[17]); signal.sigwait([17])",
            |w| matches!(w, Wait::Signal { awaited, .. } if *awaited == SignalSet::of(&[SignalSet::CHLD])),
        ),
        (
            "sigtimedwait",
            "import signal; signal.sigtimedwait([10],700)",
            |w| {
                matches!(
                    w,
                    Wait::Signal {
                        timeout: Timeout::After(700_000_000_000),
                        ..
                    }
                )
            },
        ),
        (
            "flock",
            "import fcntl,tempfile; f=tempfile.TemporaryFile(); g=open(f'/proc/self/fd/{f.fileno()}'); fcntl.flock(f,2); fcntl.flock(g,2)",
            |w| {
                matches!(
                    w,
                    Wait::Lock {
                        kind: LockKind::Flock,
                        ..
                    }
                )
            },
        ),
        (
            "futex",
            "import threading; l=threading.Lock(); l.acquire(); l.acquire()",
            |w| {
                matches!(
                    w,
                    Wait::Futex {
                        scope: FutexScope::PrivateFlag | FutexScope::PrivateMapping,
                        timeout: Timeout::Never,
                        ..
                    }
                )
            },
        ),
        (
            "timed futex",
            "import threading; l=threading.Lock(); l.acquire(); l.acquire(timeout=900)",
            |w| {
                matches!(
                    w,
                    Wait::Futex {
                        timeout: Timeout::After(_) | Timeout::At(_),
                        ..
                    }
                )
            },
        ),
        (
            "shared futex",
            "import ctypes,mmap; m=mmap.mmap(-1,4096); a=ctypes.addressof(ctypes.c_int.from_buffer(m)); ctypes.CDLL(None).syscall(202,ctypes.c_long(a),0,0,None,None,0)",
            |w| {
                // The number is that of x86-64.
                !cfg!(target_arch = "x86_64")
                    || matches!(
                        w,
                        Wait::Futex {
                            scope: FutexScope::SharedMapping,
                            ..
                        }
                    )
            },
        ),
    ]);
}

#[test]
fn an_open_of_a_fifo_is_resolved_from_the_targets_directory_and_the_fifo_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let program = format!(
        "import os; os.chdir({:?}); os.mkfifo('f'); os.open('./f',os.O_WRONLY)",
        directory.path()
    );
    let Some(shape) = Shape::python(&program) else {
        return;
    };
    let snapshot = shape.waiting("fifo", |w| matches!(w, Wait::FifoOpen { .. }));
    let task = task_that(process(&snapshot, shape.pid()), |w| {
        matches!(w, Wait::FifoOpen { .. })
    });
    let Wait::FifoOpen { path, file, mode } = &task.wait else {
        unreachable!()
    };
    assert_eq!(path.as_ref().unwrap().as_bytes(), b"./f");
    assert_eq!(*mode, FifoMode::Write);
    let meta = std::fs::symlink_metadata(directory.path().join("f")).unwrap();
    assert_eq!(
        file.unwrap().ino,
        std::os::unix::fs::MetadataExt::ino(&meta)
    );
    assert_eq!(
        file.unwrap().dev,
        std::os::unix::fs::MetadataExt::dev(&meta)
    );
    // An open of ours would have let it go.
    let again = shape.waiting("fifo", |w| matches!(w, Wait::FifoOpen { .. }));
    let same = task_that(process(&again, shape.pid()), |w| {
        matches!(w, Wait::FifoOpen { .. })
    });
    assert_eq!(task.switches_voluntary, same.switches_voluntary);
}

#[test]
fn a_poll_that_was_stopped_and_continued_is_still_a_poll() {
    let program = "import os,select; r,w=os.pipe(); p=select.poll(); p.register(r,1); p.poll()";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let is_poll = |w: &Wait| matches!(w, Wait::Poll { set: Some(set), .. } if set.len() == 1);
    shape.waiting("poll", is_poll);
    shape.signal(Signal::SIGSTOP);
    let pid = shape.pid();
    shape.scan_until("stop", |s| process(s, pid).tasks[0].state == State::Stopped);
    shape.signal(Signal::SIGCONT);
    shape.waiting("continued poll", is_poll);
}

#[test]
fn a_vfork_parent_waits_for_its_child() {
    // The child shares the parent's memory and never returns from pause.
    let program = "import ctypes; l=ctypes.CDLL(None); l.vfork() or l.pause()";
    let Some(shape) = Shape::python(program) else {
        return;
    };
    let pid = shape.pid();
    let snapshot = shape.scan_until("vfork with its child", |s| {
        let Some(parent) = s.process(pid) else {
            return false;
        };
        parent.tasks[0].wait == Wait::Vfork && s.processes.iter().any(|p| p.ppid == pid)
    });
    assert_eq!(process(&snapshot, pid).tasks[0].state, State::Disk);
}
