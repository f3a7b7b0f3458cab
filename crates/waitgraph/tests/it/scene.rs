//! A small language for writing down what a look at the machine would show.

use std::collections::{BTreeMap, BTreeSet};

use pipeclog_waitgraph::descriptor::{
    Access, Armed, Descriptor, EpollTarget, EventSet, FileId, Object, Peer, SocketKind,
    SocketTimeouts, Table,
};
use pipeclog_waitgraph::diagnose::{Diagnosis, diagnose};
use pipeclog_waitgraph::snapshot::{
    Abi, FileLock, Freezer, Gap, GoProgram, Listing, Namespaces, Observer, Peek, Pid, PosixTimers,
    Process, SCHEMA_VERSION, Scan, Signals, Snapshot, State, Task, Tid, Toolchain,
};
use pipeclog_waitgraph::wait::{
    ChildSet, FifoMode, FutexScope, LockKind, PollEntry, SignalSet, Syscall, Timeout, Wait,
};

pub(crate) const POLLIN: u32 = 1;
pub(crate) const POLLOUT: u32 = 4;
pub(crate) const POLLET: u32 = 1 << 31;

/// What every process on a machine would be: nothing moves between two looks unless it is said to.
pub(crate) struct Scene {
    pub(crate) processes: BTreeMap<u32, Process>,
    pub(crate) locks: Vec<FileLock>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) peeks: Vec<Peek>,
    pub(crate) scan: Scan,
    moving: Vec<(u32, u32)>,
    /// Whose run was not read; that of all others was.
    pub(crate) runs_unread: BTreeSet<Pid>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            processes: BTreeMap::new(),
            locks: Vec::new(),
            gaps: Vec::new(),
            peeks: Vec::new(),
            scan: Scan {
                at_ms: 1_000_000,
                ticks_per_second: 100,
                kernel: "6.18.44".into(),
                forks_before: Some(4711),
                forks_after: Some(4711),
                listing: Listing::Closed,
                real_timers: Some(0),
                posix_timers: Some(0),
                observer_uid: 0,
                dropped_before: 0,
                // Who looks shares the group of all, so that only descent makes a run.
                observer: Observer {
                    groups: vec![100],
                    ..Observer::default()
                },
                runs_of: Vec::new(),
            },
            moving: Vec::new(),
            runs_unread: BTreeSet::new(),
        }
    }

    /// A process of one thread that sleeps in `wait`.
    pub(crate) fn process(&mut self, pid: u32, ppid: u32, name: &str, wait: Wait) -> Editor<'_> {
        let process = Process {
            pid: Pid(pid),
            start_ticks: 10_000 + u64::from(pid),
            ppid: Pid(ppid),
            pgrp: 100,
            session: 100,
            tty_nr: 0,
            uid: Some(1000),
            tracer: None,
            ns_pids: vec![pid],
            exe: Some(format!("/usr/bin/{name}").as_str().into()),
            comm: name.into(),
            cmdline: vec![name.into()],
            memory: Some(Pid(pid)),
            abi: Abi::X86_64,
            go_program: GoProgram::No,
            toolchain: Toolchain::NotLooked,
            namespaces: Namespaces::default(),
            timers: PosixTimers::Listed(vec![]),
            freezer: Freezer::Thawed,
            table: Table::Complete(vec![]),
            tasks: vec![task(pid, name, wait)],
        };
        self.processes.insert(pid, process);
        self.edit(pid)
    }

    pub(crate) fn edit(&mut self, pid: u32) -> Editor<'_> {
        Editor { pid, scene: self }
    }

    /// One look.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            schema_version: SCHEMA_VERSION,
            scan: Scan {
                runs_of: self.runs_read().collect(),
                ..self.scan.clone()
            },
            processes: self.processes.values().cloned().collect(),
            locks: self.locks.clone(),
            peeks: self.peeks.clone(),
            gaps: self.gaps.clone(),
        }
    }

    fn runs_read(&self) -> impl Iterator<Item = Pid> {
        let pids = self.processes.keys().map(|pid| Pid(*pid));
        pids.filter(|pid| !self.runs_unread.contains(pid))
    }

    /// `count` looks, half a second apart: those that are said to move have run in between.
    pub(crate) fn looks(&self, count: u64) -> Vec<Snapshot> {
        (0..count)
            .map(|at| {
                let mut look = self.snapshot();
                look.scan.at_ms += at * 500;
                for (pid, tid) in &self.moving {
                    let process = look
                        .processes
                        .iter_mut()
                        .find(|p| p.pid.0 == *pid)
                        .expect("it was made");
                    let task = process
                        .tasks
                        .iter_mut()
                        .find(|t| t.tid.0 == *tid)
                        .expect("it was made");
                    task.switches_voluntary = Some(50 + at);
                }
                look
            })
            .collect()
    }

    pub(crate) fn diagnose(&self, pid: u32) -> Diagnosis {
        diagnose(&self.looks(2), Pid(pid))
    }
}

/// Changes one process of a scene.
pub(crate) struct Editor<'a> {
    pid: u32,
    scene: &'a mut Scene,
}

impl Editor<'_> {
    pub(crate) fn with(self, change: impl FnOnce(&mut Process)) -> Self {
        change(
            self.scene
                .processes
                .get_mut(&self.pid)
                .expect("it was made"),
        );
        self
    }

    pub(crate) fn fd(self, fd: u32, (object, access, id): (Object, Access, FileId)) -> Self {
        self.with(|p| {
            let Table::Complete(table) = &mut p.table else {
                panic!("the table is not known")
            };
            table.push(Descriptor {
                fd,
                access,
                flags: 0,
                id: Some(id),
                object,
            });
            table.sort_by_key(|d| d.fd);
        })
    }

    pub(crate) fn thread(self, tid: u32, name: &str, wait: Wait) -> Self {
        self.with(|p| p.tasks.push(task(tid, name, wait)))
    }

    pub(crate) fn state(self, state: State) -> Self {
        self.with(|p| p.tasks.iter_mut().for_each(|t| t.state = state))
    }

    pub(crate) fn catches(self, signals: &[u32]) -> Self {
        self.with(|p| {
            p.tasks.iter_mut().for_each(|t| {
                t.signals = Some(Signals {
                    caught: SignalSet::of(signals),
                    ..Signals::default()
                })
            });
        })
    }

    /// Its first task runs between the looks.
    pub(crate) fn moving(self) -> Self {
        let entry = (self.pid, self.scene.processes[&self.pid].tasks[0].tid.0);
        self.scene.moving.push(entry);
        self
    }

    pub(crate) fn session(self, session: u32) -> Self {
        self.with(|p| {
            p.session = session;
            p.pgrp = session;
        })
    }

    /// Its descriptors cannot be read.
    pub(crate) fn unreadable(self) -> Self {
        self.with(|p| {
            p.table = Table::Unread;
            p.uid = Some(0);
            for t in &mut p.tasks {
                t.syscall = Syscall::Unread;
                t.wait = Wait::Unknown;
            }
        })
    }
}

fn task(tid: u32, name: &str, wait: Wait) -> Task {
    let running = wait == Wait::Running;
    Task {
        tid: Tid(tid),
        comm: name.into(),
        state: match wait {
            Wait::Running => State::Running,
            Wait::Vfork => State::Disk,
            _ => State::Sleeping,
        },
        syscall: if running {
            Syscall::Running
        } else {
            Syscall::Blocked {
                number: 0,
                args: [u64::from(tid); 6],
                sp: 1,
                pc: 2,
            }
        },
        wait,
        switches_voluntary: Some(7),
        switches_involuntary: Some(3),
        signals: Some(Signals::default()),
        wchan: None,
        own_table: None,
    }
}

type Open = (Object, Access, FileId);

const fn at(ino: u64) -> FileId {
    FileId { dev: 13, ino }
}

pub(crate) fn reads(inode: u64) -> Open {
    (Object::Pipe { inode }, Access::Read, at(inode))
}

pub(crate) fn writes(inode: u64) -> Open {
    (Object::Pipe { inode }, Access::Write, at(inode))
}

pub(crate) fn both_ends(inode: u64) -> Open {
    (Object::Pipe { inode }, Access::Both, at(inode))
}

pub(crate) fn fifo(ino: u64, access: Access) -> Open {
    (
        Object::Fifo {
            file: at(ino),
            path: format!("/tmp/fifo{ino}").as_str().into(),
        },
        access,
        at(ino),
    )
}

pub(crate) fn socket(inode: u64, peer: u64) -> Open {
    let object = Object::UnixSocket {
        inode,
        peer: Peer::Inode(peer),
        socket: SocketKind::Stream,
        fds_in_flight: 0,
        timeouts: SocketTimeouts::Unset,
    };
    (object, Access::Both, at(inode))
}

pub(crate) fn network() -> Open {
    (
        Object::OtherSocket {
            inode: 77,
            family: "TCP".into(),
        },
        Access::Both,
        at(77),
    )
}

pub(crate) fn master(index: u32) -> Open {
    (
        Object::PtyMaster {
            index,
            devpts: Some(22),
        },
        Access::Both,
        at(2),
    )
}

pub(crate) fn slave(index: u32) -> Open {
    (
        Object::PtySlave {
            index,
            devpts: Some(22),
        },
        Access::Both,
        at(3 + u64::from(index)),
    )
}

pub(crate) fn eventfd(id: u64) -> Open {
    (Object::Eventfd { id }, Access::Both, at(1))
}

pub(crate) fn pidfd(pid: u32) -> Open {
    (
        Object::Pidfd {
            target: Some(Pid(pid)),
        },
        Access::Both,
        at(1),
    )
}

pub(crate) fn timerfd(armed: Armed) -> Open {
    (Object::Timerfd { armed }, Access::Both, at(1))
}

pub(crate) fn signalfd(signals: &[u32]) -> Open {
    (
        Object::Signalfd {
            mask: SignalSet::of(signals),
        },
        Access::Both,
        at(1),
    )
}

pub(crate) fn epoll(targets: &[(u32, u32, u64)]) -> Open {
    let target = |(fd, events, ino): &(u32, u32, u64)| EpollTarget {
        fd: *fd,
        events: EventSet(*events),
        file: at(*ino),
    };
    (
        Object::Epoll {
            targets: targets.iter().map(target).collect(),
        },
        Access::Both,
        at(1),
    )
}

pub(crate) fn ring() -> Open {
    (
        Object::IoUring {
            registered_pipes: vec![],
            pending_ops: vec![22],
        },
        Access::Both,
        at(1),
    )
}

pub(crate) fn file(path: &str) -> Open {
    (Object::File { path: path.into() }, Access::Both, at(500))
}

pub(crate) fn read(fd: u32) -> Wait {
    Wait::Read {
        fd,
        call: "read".to_owned(),
    }
}

pub(crate) fn write(fd: u32) -> Wait {
    Wait::Write {
        fd,
        call: "write".to_owned(),
    }
}

pub(crate) fn wait4(pid: u32) -> Wait {
    Wait::Child {
        children: ChildSet::Pid(pid),
    }
}

pub(crate) fn wait_any() -> Wait {
    Wait::Child {
        children: ChildSet::Any,
    }
}

pub(crate) fn poll(set: &[(u32, u32)]) -> Wait {
    poll_for(set, Timeout::Never)
}

pub(crate) fn poll_for(set: &[(u32, u32)], timeout: Timeout) -> Wait {
    let entry = |(fd, events): &(u32, u32)| PollEntry {
        fd: *fd,
        events: EventSet(*events),
    };
    Wait::Poll {
        set: Some(set.iter().map(entry).collect()),
        timeout,
        mask: None,
        call: "poll".to_owned(),
    }
}

pub(crate) fn epoll_wait(fd: u32) -> Wait {
    Wait::Epoll {
        fd,
        timeout: Timeout::Never,
    }
}

pub(crate) fn futex() -> Wait {
    futex_for(Timeout::Never)
}

pub(crate) fn futex_for(timeout: Timeout) -> Wait {
    Wait::Futex {
        address: 0x7f00,
        scope: FutexScope::PrivateFlag,
        expected: 0,
        timeout,
    }
}

pub(crate) fn shared_futex() -> Wait {
    Wait::Futex {
        address: 0x7f00,
        scope: FutexScope::SharedMapping,
        expected: 0,
        timeout: Timeout::Never,
    }
}

pub(crate) fn join(tid: u32) -> Wait {
    Wait::Futex {
        address: 0x7f00,
        scope: FutexScope::PrivateMapping,
        expected: tid,
        timeout: Timeout::Never,
    }
}

pub(crate) fn sleep_ms(ms: u64) -> Wait {
    Wait::Sleep {
        timeout: Timeout::After(ms * 1_000_000),
    }
}

pub(crate) fn sigsuspend(signals: &[u32]) -> Wait {
    Wait::Signal {
        awaited: SignalSet::of(signals),
        timeout: Timeout::Never,
    }
}

pub(crate) fn flock(fd: u32) -> Wait {
    Wait::Lock {
        fd,
        kind: LockKind::Flock,
    }
}

pub(crate) fn opens(ino: u64, mode: FifoMode) -> Wait {
    Wait::FifoOpen {
        path: Some(format!("/tmp/fifo{ino}").as_str().into()),
        file: Some(at(ino)),
        mode,
    }
}
