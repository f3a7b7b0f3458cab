//! Who reads a pipe, and whether he may be stopped while its bytes are on disk: pure.

use std::collections::BTreeSet;

use pipeclog_waitgraph::snapshot::{
    Abi, Access, Descriptor, Object, Pid, Process, Signals, Snapshot, SocketTimeouts, State,
    Syscall, Task, Wait,
};

use super::SpoolError;
use super::journal::{Party, Spooled};
use crate::plan::Plan;

/// O_NONBLOCK of a descriptor's flags.
const NON_BLOCKING: u32 = pipeclog_waitgraph::descriptor::O_NONBLOCK;
const SIGCONT: u32 = 18;

/// A pipe that can be taken to disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Takeable {
    pub(crate) pipe: Spooled,
    /// Everybody who can read it.
    pub(crate) readers: Vec<Party>,
    /// Everybody who can write to it.
    pub(crate) writers: Vec<Pid>,
}

/// The readers of a full pipe of a certified deadlock, if none of them can come to harm by being stopped.
pub(crate) fn of(look: &Snapshot, plan: &Plan, inode: u64) -> Result<Takeable, SpoolError> {
    let refused = |pid: Option<Pid>, why: &str| SpoolError::Refused {
        inode,
        whom: pid.map_or_else(String::new, |pid| format!(" by process {pid}")),
        why: why.to_owned(),
    };
    if !plan.may_spool() {
        return Err(refused(
            None,
            "the proof stands on assumptions, and who might read it after all would get its bytes out of order; once those whom they name have \
             ended, or for root where a process could not be read, there may be one without",
        ));
    }
    fits(look, inode).map_err(|(pid, why)| refused(Some(pid), why))?;
    let mut first = None;
    let mut readers = Vec::new();
    for process in &look.processes {
        let Some(reading) = reading_end(process, inode) else {
            continue;
        };
        for task in &process.tasks {
            may_be_stopped(process, task).map_err(|why| refused(Some(process.pid), why))?;
        }
        first = first.or(Some((process.pid, reading.fd)));
        readers.push(Party {
            pid: process.pid,
            start_ticks: process.start_ticks,
        });
    }
    let (reader, fd) = first.ok_or_else(|| refused(None, "no reader of it is known"))?;
    // What else its writers could come to wait for would have to go to disk after it.
    for process in &look.processes {
        if !holds(process, inode, Access::writes) {
            continue;
        }
        for other in written_pipes(process) {
            let is_read_by_them = readers.iter().any(|party| {
                let reader = look.process(party.pid);
                reader.is_some_and(|reader| holds(reader, other, Access::reads))
            });
            if is_read_by_them && let Err((pid, why)) = fits(look, other) {
                return Err(refused(
                    Some(pid),
                    &format!(
                        "process {} writes to pipe:[{other}] too, which could not follow: {why}",
                        process.pid
                    ),
                ));
            }
        }
    }
    Ok(Takeable {
        pipe: Spooled {
            inode,
            reader,
            fd,
            holder: None,
            is_fed: false,
        },
        readers,
        writers: writers(look, inode),
    })
}

/// Who can write to a pipe. None of them need be in the deadlock: a child that one has left behind is not.
pub(crate) fn writers(look: &Snapshot, inode: u64) -> Vec<Pid> {
    let writers = holders(look, inode, Access::writes);
    writers.map(|process| process.pid).collect()
}

/// Names a living reader of each pipe: the one that was named may have ended meanwhile, while another is left.
pub(crate) fn name_again(look: &Snapshot, pipes: &mut [Spooled], readers: &[Party]) {
    let living = |process: &&Process| is_among(process, readers);
    for pipe in pipes {
        let mut ends = look.processes.iter().filter(living);
        if let Some((pid, end)) = ends.find_map(|p| Some((p.pid, reading_end(p, pipe.inode)?))) {
            (pipe.reader, pipe.fd) = (pid, end.fd);
        }
    }
}

/// Whether somebody could read the pipe who is not stopped.
pub(crate) fn has_other_reader(look: &Snapshot, inode: u64, stopped: &[Party]) -> bool {
    let mut readers = look
        .processes
        .iter()
        .filter(|process| holds(process, inode, Access::reads));
    readers.any(|process| !is_among(process, stopped))
}

/// Pipes that whoever writes to a pipe on disk turns out to wait for, himself or through others, and whose readers are all stopped here:
/// nobody but us can let him finish.
pub(crate) fn next(
    look: &Snapshot,
    spooled: &[Spooled],
    stopped: &[Party],
) -> Result<Vec<Spooled>, SpoolError> {
    let mut found: Vec<Spooled> = Vec::new();
    let mut frontier: Vec<&Process> = Vec::new();
    for pipe in spooled {
        frontier.extend(holders(look, pipe.inode, Access::writes));
    }
    let mut visited = BTreeSet::new();
    while let Some(process) = frontier.pop() {
        if is_among(process, stopped) || !visited.insert(process.pid) {
            continue;
        }
        for task in &process.tasks {
            match &task.wait {
                Wait::Child { .. } => {
                    let children = look.processes.iter().filter(|p| p.ppid == process.pid);
                    frontier.extend(children);
                }
                Wait::Read { fd, .. } => {
                    let pipe = pipe_at(process, task, *fd, Access::reads);
                    frontier.extend(
                        pipe.into_iter()
                            .flat_map(|inode| holders(look, inode, Access::writes)),
                    );
                }
                _ => {}
            }
            for inode in awaited(process, task) {
                let is_known = |pipe: &Spooled| pipe.inode == inode;
                if spooled.iter().any(is_known) || found.iter().any(is_known) {
                    continue;
                }
                if has_other_reader(look, inode, stopped) {
                    frontier.extend(holders(look, inode, Access::reads));
                    continue;
                }
                let mut readers = holders(look, inode, Access::reads);
                let Some((reader, end)) =
                    readers.find_map(|p| Some((p.pid, reading_end(p, inode)?)))
                else {
                    continue;
                };
                fits(look, inode).map_err(|(pid, why)| SpoolError::Beyond {
                    writer: process.pid,
                    inode,
                    reader: pid,
                    why: why.to_owned(),
                })?;
                found.push(Spooled {
                    inode,
                    reader,
                    fd: end.fd,
                    holder: None,
                    is_fed: false,
                });
            }
        }
    }
    Ok(found)
}

/// A writer of a pipe on disk that waits to read what only those could write who are stopped here: he will never close it.
pub(crate) fn awaits_an_answer(
    look: &Snapshot,
    spooled: &[Spooled],
    stopped: &[Party],
) -> Option<(Pid, u64)> {
    let writers = spooled
        .iter()
        .flat_map(|pipe| holders(look, pipe.inode, Access::writes));
    let only_stopped_write = |inode: &u64| {
        let mut writers = holders(look, *inode, Access::writes).peekable();
        writers.peek().is_some() && writers.all(|process| is_among(process, stopped))
    };
    let mut awaiting = writers
        .filter(|process| !is_among(process, stopped))
        .filter_map(|process| {
            let read = |task: &Task| match &task.wait {
                Wait::Read { fd, .. } => {
                    pipe_at(process, task, *fd, Access::reads).filter(only_stopped_write)
                }
                _ => None,
            };
            // Another thread of it may write yet.
            let may_move = |task: &Task| !matches!(task.wait, Wait::Futex { .. });
            let mut moving = process.tasks.iter().filter(|task| may_move(task));
            let inode = moving.next().and_then(read)?;
            moving
                .all(|task| read(task).is_some())
                .then_some((process.pid, inode))
        });
    awaiting.next()
}

/// Whether a pipe can go over disk for all who hold it; otherwise for whom not, and why.
fn fits(look: &Snapshot, inode: u64) -> Result<(), (Pid, &'static str)> {
    for process in &look.processes {
        let packets = packet_flag(process.abi);
        let ends: Vec<&Descriptor> = ends(process, inode).collect();
        let mut writing = ends.iter().filter(|end| end.access.writes());
        if writing.any(|end| end.flags & packets != 0) {
            return Err((
                process.pid,
                "it is in packet mode (O_DIRECT), and a file keeps no packets apart",
            ));
        }
        let mut reading = ends.iter().filter(|end| end.access.reads()).peekable();
        if reading.peek().is_none() {
            continue;
        }
        if reading.any(|end| end.flags & NON_BLOCKING != 0) {
            return Err((
                process.pid,
                "it reads without blocking, and could take a pause for the end",
            ));
        }
        if ends.iter().any(|end| end.access.writes()) {
            return Err((
                process.pid,
                "it holds both ends, so it would have to write and be stopped at once",
            ));
        }
    }
    Ok(())
}

/// O_DIRECT, which is not the same number everywhere; with an unknown table, either.
fn packet_flag(abi: Abi) -> u32 {
    match abi {
        Abi::X86_64 | Abi::I386 => 0o40_000,
        Abi::Aarch64 => 0o200_000,
        Abi::Unknown => 0o240_000,
    }
}

/// The pipes that a sleeping task would write to.
fn awaited(process: &Process, task: &Task) -> Vec<u64> {
    let fds: Vec<u32> = match &task.wait {
        Wait::Write { fd, .. } => vec![*fd],
        Wait::Transfer { to, .. } => vec![*to],
        Wait::Poll { set: Some(set), .. } => set.iter().map(|entry| entry.fd).collect(),
        _ => Vec::new(),
    };
    fds.into_iter()
        .filter_map(|fd| pipe_at(process, task, fd, Access::writes))
        .collect()
}

fn pipe_at(process: &Process, task: &Task, fd: u32, way: fn(Access) -> bool) -> Option<u64> {
    let descriptor = process.table_of(task).get(fd)?;
    match descriptor.object {
        Object::Pipe { inode } if way(descriptor.access) => Some(inode),
        _ => None,
    }
}

/// The ends of a pipe that a process or a task of its own table holds.
fn ends(process: &Process, inode: u64) -> impl Iterator<Item = &Descriptor> {
    descriptors(process)
        .filter(move |d| matches!(d.object, Object::Pipe { inode: other } if other == inode))
}

fn descriptors(process: &Process) -> impl Iterator<Item = &Descriptor> {
    let own = process.tasks.iter().filter_map(|t| t.own_table.as_ref());
    own.chain([&process.table]).flat_map(|table| table.known())
}

fn written_pipes(process: &Process) -> impl Iterator<Item = u64> {
    descriptors(process).filter_map(|end| match end.object {
        Object::Pipe { inode } if end.access.writes() => Some(inode),
        _ => None,
    })
}

fn reading_end(process: &Process, inode: u64) -> Option<&Descriptor> {
    ends(process, inode).find(|end| end.access.reads())
}

fn holds(process: &Process, inode: u64, way: fn(Access) -> bool) -> bool {
    ends(process, inode).any(|end| way(end.access))
}

fn holders(look: &Snapshot, inode: u64, way: fn(Access) -> bool) -> impl Iterator<Item = &Process> {
    let processes = look.processes.iter();
    processes.filter(move |process| holds(process, inode, way))
}

fn is_among(process: &Process, parties: &[Party]) -> bool {
    parties
        .iter()
        .any(|party| (party.pid, party.start_ticks) == (process.pid, process.start_ticks))
}

/// SIGSTOP and SIGCONT are not without a trace in every call (man 7 signal): a write that has moved some bytes comes back short, and
/// some calls fail with EINTR although no handler ran.
fn may_be_stopped(process: &Process, task: &Task) -> Result<(), &'static str> {
    match task.state {
        State::Sleeping => {}
        State::Zombie | State::Dead => return Ok(()),
        State::Stopped | State::Traced => return Err("it is stopped or traced by somebody else"),
        State::Running | State::Disk | State::Other | State::Unread => {
            return Err("a thread of it is not asleep");
        }
    }
    // A handler that runs when it goes on would interrupt most calls.
    let catches_cont = |signals: &Signals| signals.caught.has(SIGCONT);
    if task.signals.as_ref().is_none_or(catches_cont) {
        return Err("it has a handler for SIGCONT, or it is not known whether it has");
    }
    match &task.wait {
        Wait::Read { call, .. } if gathers(process.abi, call, &task.syscall) => {
            Err("it receives until it has all (MSG_WAITALL), which a stop cuts short")
        }
        Wait::Read { fd, .. } | Wait::Accept { fd } => {
            match process.table_of(task).get(*fd).map(|d| &d.object) {
                Some(Object::FileEvents) => Err("it reads file events, which a stop interrupts"),
                Some(Object::UnixSocket {
                    timeouts: SocketTimeouts::Unset,
                    ..
                }) => Ok(()),
                Some(Object::UnixSocket { .. } | Object::OtherSocket { .. }) => Err(
                    "it waits at a socket that may have a timeout, and then a stop interrupts that",
                ),
                _ => Ok(()),
            }
        }
        Wait::Poll { .. }
        | Wait::Child { .. }
        | Wait::Futex { .. }
        | Wait::Sleep { .. }
        | Wait::Lock { .. }
        | Wait::FifoOpen { .. } => Ok(()),
        Wait::Signal { .. } if is_restarted(process.abi, &task.syscall) => Ok(()),
        Wait::Write { .. } | Wait::Transfer { .. } => {
            Err("it is in the middle of a write, which a stop cuts short")
        }
        Wait::Epoll { .. } | Wait::Signal { .. } | Wait::Connect { .. } | Wait::IoUring { .. } => {
            Err("it sleeps in a call that a stop interrupts (EINTR)")
        }
        Wait::Running | Wait::Vfork | Wait::Other { .. } | Wait::Unknown => {
            Err("it is not known what a stop would do to a thread of it")
        }
    }
}

/// Whether a call may have received some bytes or messages, and sleep until there are more: it comes back with these after a stop.
fn gathers(abi: Abi, call: &str, syscall: &Syscall) -> bool {
    const MSG_WAITALL: u64 = 0x100;
    let flags = match call {
        "recv" | "recvfrom" => 3,
        "recvmsg" => 2,
        "recvmmsg" | "recvmmsg_time64" => return true,
        _ => return false,
    };
    match syscall {
        // Of socketcall(2), and in an unknown table, the arguments are not known.
        Syscall::Blocked { args, .. } if matches!(abi, Abi::X86_64 | Abi::Aarch64) => {
            args.get(flags).is_none_or(|flags| flags & MSG_WAITALL != 0)
        }
        _ => true,
    }
}

/// pause(2) and rt_sigsuspend(2) are taken up again where no handler ran; rt_sigtimedwait(2) is not.
fn is_restarted(abi: Abi, syscall: &Syscall) -> bool {
    let Syscall::Blocked { number, .. } = syscall else {
        return false;
    };
    match abi {
        Abi::X86_64 => [34, 130].contains(number),
        Abi::I386 => [29, 179].contains(number),
        Abi::Aarch64 => *number == 133,
        Abi::Unknown => false,
    }
}
