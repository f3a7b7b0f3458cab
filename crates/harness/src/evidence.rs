//! What the kernel says of each blocked task of a trial: its call, its descriptor, what that is, and who holds the other end.

use pipeclog_scenario::outcome::Blocked;
use pipeclog_waitgraph::snapshot::{Descriptor, Object, Process, Snapshot, State, Task, Wait};

use crate::quiet::Cast;

/// The blocked tasks of a trial's living processes.
pub(crate) fn blocked(snapshot: &Snapshot, cast: Cast) -> Vec<Blocked> {
    let mut all = Vec::new();
    for (role, process) in cast.members(snapshot) {
        for task in &process.tasks {
            let (call, descriptor) = match task.state {
                State::Zombie | State::Dead => continue,
                State::Stopped => ("no call: stopped by a signal".to_owned(), None),
                State::Traced => ("no call: stopped by a tracer".to_owned(), None),
                State::Running | State::Sleeping | State::Disk | State::Other | State::Unread => {
                    call(&task.wait)
                }
            };
            let open = descriptor.and_then(|number| process.table_of(task).get(number));
            all.push(Blocked {
                pid: process.pid.0,
                comm: process.comm.clone(),
                role,
                call,
                descriptor,
                object: open.and_then(name),
                holders: open.map_or_else(Vec::new, |open| holders(snapshot, task, open)),
            });
        }
    }
    all
}

/// The call's name, and the descriptor that it waits on if it is one alone.
fn call(wait: &Wait) -> (String, Option<u32>) {
    let named = |name: &str| (name.to_owned(), None);
    match wait {
        Wait::Running => named("no call: it runs"),
        Wait::Read { fd, call } | Wait::Write { fd, call } => (call.clone(), Some(*fd)),
        Wait::Transfer { from, call, .. } => (call.clone(), Some(*from)),
        Wait::Accept { fd } => ("accept".to_owned(), Some(*fd)),
        Wait::Connect { fd } => ("connect".to_owned(), Some(*fd)),
        Wait::Poll { call, set, .. } => match set.as_deref() {
            Some([one]) => (call.clone(), Some(one.fd)),
            _ => (call.clone(), None),
        },
        Wait::Epoll { fd, .. } => ("epoll_wait".to_owned(), Some(*fd)),
        Wait::Child { .. } => named("wait for a child"),
        Wait::Vfork => named("vfork"),
        Wait::Futex { .. } => named("futex"),
        Wait::Sleep { .. } => named("nanosleep"),
        Wait::Signal { .. } => named("wait for a signal"),
        Wait::Lock { fd, .. } => ("wait for a file lock".to_owned(), Some(*fd)),
        Wait::FifoOpen { .. } => named("open of a FIFO"),
        Wait::IoUring { fd, .. } => ("io_uring_enter".to_owned(), Some(*fd)),
        Wait::Other { call } => named(call),
        Wait::Unknown => named("a call that could not be read"),
    }
}

fn name(open: &Descriptor) -> Option<String> {
    match &open.object {
        Object::Pipe { inode } => Some(format!("pipe:[{inode}]")),
        Object::UnixSocket { inode, .. } => Some(format!("socket:[{inode}]")),
        Object::Fifo { path, .. } => Some(format!("FIFO {}", path.escaped())),
        Object::PtyMaster { index, .. } => Some(format!("master of /dev/pts/{index}")),
        Object::PtySlave { index, .. } => Some(format!("/dev/pts/{index}")),
        Object::Epoll { targets } => Some(format!("an epoll set of {}", targets.len())),
        Object::Eventfd { .. }
        | Object::Pidfd { .. }
        | Object::Signalfd { .. }
        | Object::Timerfd { .. }
        | Object::IoUring { .. }
        | Object::FileEvents
        | Object::OtherSocket { .. }
        | Object::File { .. }
        | Object::Device { .. }
        | Object::Unknown { .. } => None,
    }
}

/// Who could end a wait on a pipe: the holders of its other end, or of both.
fn holders(snapshot: &Snapshot, task: &Task, open: &Descriptor) -> Vec<String> {
    let Object::Pipe { inode } = open.object else {
        return Vec::new();
    };
    let wakes = |held: &Descriptor| match task.wait {
        Wait::Write { .. } => held.access.reads(),
        _ => held.access.writes(),
    };
    let holds = |process: &&Process| {
        process
            .table
            .known()
            .iter()
            .any(|held| held.object == Object::Pipe { inode } && wakes(held))
    };
    snapshot
        .processes
        .iter()
        .filter(holds)
        .map(describe)
        .collect()
}

fn describe(process: &Process) -> String {
    format!("{} ({})", process.comm.escaped(), process.pid)
}
