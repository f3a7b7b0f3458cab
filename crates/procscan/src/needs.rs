//! Whom one has to know to judge a wait: from a process's blocked tasks to the things they wait for.
//!
//! This only chooses whom to look at; who can wake whom is decided by the graph. So it may ask for too many, and must
//! not ask for too few, except where the graph cannot miss them: a wait with a timeout, or on the outside, is never
//! part of a proof, whoever else might end it.

use pipeclog_waitgraph::snapshot::{
    ChildSet, Descriptor, EpollTarget, FileId, Freezer, Object, Peer, Pid, PollEntry, Process,
    SignalSet, Signals, State, Table, Task, Timeout, Wait,
};

/// Something whose holders must be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Holders of a pipe.
    Pipe(u64),
    /// Holders of a FIFO.
    Fifo(FileId),
    /// Holders of a socket.
    Socket(u64),
    /// Holders of an eventfd.
    Eventfd(u64),
    /// Holders of the master of a pty.
    PtyMaster(u32),
    /// Holders of the slave of a pty.
    PtySlave(u32),
    /// A process.
    Process(Pid),
    /// The run of a process ([`pipeclog_waitgraph::run`]): whoever of it lives may signal the process.
    Run(Pid),
    /// The children of a process: all of them.
    Children(Pid),
    /// The same for a wait that any of them ends: once one is known to live on, the others change nothing.
    AnyChild(Pid),
    /// Those whom a process traces, and waits for as for children.
    Traced(Pid),
    /// Holders of locks on a file.
    Locks(FileId),
}

/// Whether a process was asked for, or was met on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// Asked for: all of its waits are followed.
    Family,
    /// Met as a holder: only waits that could be part of a proof are followed.
    Stranger,
}

/// What the blocked tasks of a process need.
pub(crate) fn of(process: &Process, kinship: Kinship) -> Vec<Need> {
    let mut needs = Vec::new();
    for task in &process.tasks {
        let from = needs.len();
        let table = process.table_of(task);
        let outlook = Collector {
            pid: process.pid,
            is_outermost: process.ns_pids.len() == 1,
            table,
            needs: &mut needs,
        }
        .wait(&task.wait);
        if kinship == Kinship::Stranger && outlook == Outlook::Ends {
            needs.truncate(from);
        }
        if reaps(task.signals) {
            needs.push(Need::AnyChild(process.pid));
        }
        if matches!(task.state, State::Traced) {
            needs.extend(process.tracer.map(Need::Process));
        }
    }
    needs
}

/// Whether a process goes on by itself, as surely as one can see: its first task runs, or sleeps for a time. The others may
/// be helpers of a runtime, which count for nobody.
pub(crate) fn is_live(process: &Process) -> bool {
    let goes_on = |task: &Task| match (task.state, &task.wait) {
        (State::Running, _) => true,
        (State::Sleeping, Wait::Sleep { timeout }) => Outlook::of(*timeout) == Outlook::Ends,
        _ => false,
    };
    let leader = process
        .tasks
        .iter()
        .find(|task| task.tid.0 == process.pid.0);
    process.freezer != Freezer::Frozen && leader.is_some_and(goes_on)
}

/// Whether a wait can end without any task of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// By a timeout or by the outside.
    Ends,
    /// Not as far as one sees.
    Open,
}

impl Outlook {
    fn of(timeout: Timeout) -> Self {
        match timeout {
            Timeout::Never => Self::Open,
            Timeout::After(_) | Timeout::At(_) | Timeout::Unread => Self::Ends,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Open, Self::Open) => Self::Open,
            _ => Self::Ends,
        }
    }
}

/// Collects what one task needs.
struct Collector<'a> {
    pid: Pid,
    /// Whether the process counts pids as we do.
    is_outermost: bool,
    table: &'a Table,
    needs: &'a mut Vec<Need>,
}

impl Collector<'_> {
    fn wait(&mut self, wait: &Wait) -> Outlook {
        match wait {
            Wait::Read { fd, .. }
            | Wait::Write { fd, .. }
            | Wait::Accept { fd }
            | Wait::Connect { fd } => self.on(*fd),
            Wait::Transfer { from, to, .. } => self.on(*from).or(self.on(*to)),
            Wait::Poll { set, timeout, .. } => {
                let set = set.as_deref().unwrap_or_default();
                set.iter()
                    .fold(Outlook::of(*timeout), |outlook, entry: &PollEntry| {
                        outlook.or(self.on(entry.fd))
                    })
            }
            Wait::Epoll { fd, timeout } => Outlook::of(*timeout).or(self.on(*fd)),
            // It may wait for anything that the process has open.
            Wait::IoUring { timeout, .. } => {
                let table = self.table;
                table
                    .known()
                    .iter()
                    .fold(Outlook::of(*timeout), |outlook, descriptor| {
                        outlook.or(self.object(descriptor, 0))
                    })
            }
            Wait::Child { children } => {
                self.needs.push(match children {
                    // Its number counts in the waiter's namespace: in an inner one any child may have it.
                    ChildSet::Pid(pid) if self.is_outermost => Need::Process(Pid(*pid)),
                    ChildSet::Pid(_) | ChildSet::Pidfd(_) | ChildSet::Group(_) => {
                        Need::Children(self.pid)
                    }
                    ChildSet::Any => Need::AnyChild(self.pid),
                });
                if let ChildSet::Pidfd(fd) = children {
                    self.on(*fd);
                }
                Outlook::Open
            }
            Wait::Vfork => {
                self.needs.push(Need::Children(self.pid));
                Outlook::Open
            }
            Wait::Futex { timeout, .. } | Wait::Sleep { timeout } => Outlook::of(*timeout),
            Wait::Signal { awaited, timeout } => {
                if awaited.has(SignalSet::CHLD) {
                    self.children();
                }
                Outlook::of(*timeout)
            }
            Wait::Lock { fd, .. } => {
                let file = self.table.get(*fd).and_then(|descriptor| descriptor.id);
                self.needs.extend(file.map(Need::Locks));
                Outlook::Open
            }
            Wait::FifoOpen { file, .. } => {
                self.needs.extend(file.map(Need::Fifo));
                Outlook::Open
            }
            Wait::Running | Wait::Other { .. } | Wait::Unknown => Outlook::Open,
        }
    }

    fn children(&mut self) {
        self.needs.push(Need::AnyChild(self.pid));
    }

    fn on(&mut self, fd: u32) -> Outlook {
        let table = self.table;
        table
            .get(fd)
            .map_or(Outlook::Open, |descriptor| self.object(descriptor, 0))
    }

    fn object(&mut self, descriptor: &Descriptor, depth: u32) -> Outlook {
        match &descriptor.object {
            Object::Pipe { inode } => self.needs.push(Need::Pipe(*inode)),
            Object::Fifo { file, .. } => self.needs.push(Need::Fifo(*file)),
            // Whoever has the same end may shut it down.
            Object::UnixSocket {
                inode,
                peer: Peer::Inode(peer),
                ..
            } => {
                self.needs
                    .extend([Need::Socket(*peer), Need::Socket(*inode)]);
            }
            Object::UnixSocket {
                peer: Peer::Listening,
                ..
            }
            | Object::FileEvents
            | Object::OtherSocket { .. } => return Outlook::Ends,
            // What is written to the master may be echoed back to it.
            Object::PtyMaster { index, .. } | Object::PtySlave { index, .. } => {
                self.needs
                    .extend([Need::PtyMaster(*index), Need::PtySlave(*index)]);
            }
            Object::Eventfd { id } => self.needs.push(Need::Eventfd(*id)),
            Object::Pidfd { target } => self.needs.extend(target.map(Need::Process)),
            Object::Signalfd { mask } if mask.has(SignalSet::CHLD) => self.children(),
            Object::Epoll { targets } if depth < MOST_NESTED => return self.epoll(targets, depth),
            Object::Epoll { .. }
            | Object::Signalfd { .. }
            | Object::UnixSocket {
                peer: Peer::None | Peer::Unknown,
                ..
            }
            | Object::Timerfd { .. }
            | Object::IoUring { .. }
            | Object::File { .. }
            | Object::Device { .. }
            | Object::Unknown { .. } => {}
        }
        Outlook::Open
    }

    /// All anonymous inodes share one number, so a target may match several descriptors: what any of them needs is
    /// needed, and the target ends by itself only if all of them do.
    fn epoll(&mut self, targets: &[EpollTarget], depth: u32) -> Outlook {
        let table = self.table;
        let mut outlook = Outlook::Open;
        for target in targets {
            let matching = table.known().iter().filter(|d| d.id == Some(target.file));
            let mut each = Vec::new();
            for descriptor in matching {
                each.push(self.object(descriptor, depth + 1));
            }
            // Closed here and open elsewhere, so still watched; its kind is not known.
            if each.is_empty() {
                let inode = target.file.ino;
                self.needs.extend([Need::Pipe(inode), Need::Socket(inode)]);
            }
            if !each.is_empty() && each.iter().all(|&one| one == Outlook::Ends) {
                outlook = Outlook::Ends;
            }
        }
        outlook
    }
}

/// A handler of SIGCHLD wakes whatever the thread waits in, once a child ends.
fn reaps(signals: Option<Signals>) -> bool {
    signals.is_some_and(|signals| {
        let open = SignalSet(signals.caught.0 & !signals.blocked.0);
        open.has(SignalSet::CHLD)
    })
}

/// Epoll sets may hold epoll sets; the kernel allows this many levels (`EP_MAX_NESTS`).
const MOST_NESTED: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Stat;
    use pipeclog_waitgraph::snapshot::{Access, EventSet, Untrusted};

    const PID: Pid = Pid(10);

    fn process(wait: Wait, objects: &[Object]) -> Process {
        let line = b"10 (x) S 1 10 10 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n";
        let mut process = crate::process::unseen(&Stat::parse(line).unwrap(), Some(0));
        process.ns_pids = vec![10];
        let descriptor = |(fd, object): (u32, &Object)| Descriptor {
            fd,
            access: Access::Both,
            flags: 0,
            // As anonymous inodes do, all share one number.
            id: Some(FileId { dev: 1, ino: 1 }),
            object: object.clone(),
        };
        process.table = Table::Complete((0..).zip(objects).map(descriptor).collect());
        process.tasks[0].wait = wait;
        process
    }

    fn poll(fds: &[u32], timeout: Timeout) -> Wait {
        let entry = |&fd: &u32| PollEntry {
            fd,
            events: EventSet::READ,
        };
        let set = Some(fds.iter().map(entry).collect());
        Wait::Poll {
            set,
            timeout,
            mask: None,
            call: "poll".to_owned(),
        }
    }

    fn inet() -> Object {
        Object::OtherSocket {
            inode: 9,
            family: Untrusted::new(*b"TCP"),
        }
    }

    #[test]
    fn one_awaited_child_is_needed_whatever_its_siblings_do() {
        let wait = |children| process(Wait::Child { children }, &[]);
        let family = |process: &Process| of(process, Kinship::Family);
        let one = wait(ChildSet::Pid(77));
        assert_eq!(family(&one), [Need::Process(Pid(77))]);
        // In an inner namespace the number is another, so all of them are.
        let mut inner = one;
        inner.ns_pids = vec![10, 2];
        assert_eq!(family(&inner), [Need::Children(PID)]);
        assert_eq!(family(&wait(ChildSet::Any)), [Need::AnyChild(PID)]);
        assert_eq!(family(&wait(ChildSet::Group(5))), [Need::Children(PID)]);
    }

    #[test]
    fn a_strangers_wait_is_followed_only_if_it_may_be_part_of_a_proof() {
        let pipe = Object::Pipe { inode: 5 };
        let endless = process(poll(&[0], Timeout::Never), std::slice::from_ref(&pipe));
        assert_eq!(of(&endless, Kinship::Stranger), [Need::Pipe(5)]);
        let timed = process(poll(&[0], Timeout::After(1)), std::slice::from_ref(&pipe));
        assert!(of(&timed, Kinship::Stranger).is_empty());
        assert_eq!(of(&timed, Kinship::Family), [Need::Pipe(5)]);
        let outside = process(poll(&[0, 1], Timeout::Never), &[pipe, inet()]);
        assert!(of(&outside, Kinship::Stranger).is_empty());
    }

    #[test]
    fn an_ambiguous_epoll_target_needs_all_that_it_may_be_and_is_not_taken_for_the_outside() {
        let target = EpollTarget {
            fd: 0,
            events: EventSet::READ,
            file: FileId { dev: 1, ino: 1 },
        };
        let epoll = |objects: &[Object]| {
            let all: Vec<Object> = objects
                .iter()
                .cloned()
                .chain([Object::Epoll {
                    targets: Vec::new(),
                }])
                .collect();
            let fd = u32::try_from(objects.len()).unwrap();
            let mut process = process(
                Wait::Epoll {
                    fd,
                    timeout: Timeout::Never,
                },
                &all,
            );
            if let Table::Complete(table) = &mut process.table {
                let last = table.last_mut().unwrap();
                last.id = None;
                last.object = Object::Epoll {
                    targets: vec![target],
                };
            }
            of(&process, Kinship::Stranger)
        };
        let eventfd = Object::Eventfd { id: 3 };
        assert_eq!(epoll(&[eventfd, Object::FileEvents]), [Need::Eventfd(3)]);
        assert!(epoll(&[Object::FileEvents]).is_empty());
        // Closed here, and perhaps open elsewhere.
        assert_eq!(epoll(&[]), [Need::Pipe(1), Need::Socket(1)]);
    }

    #[test]
    fn only_a_free_task_that_sleeps_for_a_time_lives_on_by_itself() {
        let sleep = |timeout| process(Wait::Sleep { timeout }, &[]);
        assert!(is_live(&sleep(Timeout::After(1))));
        assert!(!is_live(&sleep(Timeout::Never)));
        assert!(!is_live(&process(Wait::Vfork, &[])));
        let mut frozen = sleep(Timeout::After(1));
        frozen.freezer = Freezer::Frozen;
        assert!(!is_live(&frozen));
        let mut stopped = sleep(Timeout::After(1));
        stopped.tasks[0].state = State::Stopped;
        assert!(!is_live(&stopped));
    }
}
