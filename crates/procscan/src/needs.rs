//! Whom one has to know to judge a wait: from a process's blocked tasks to the things they wait for.
//!
//! This only chooses whom to look at; who can wake whom is decided by the graph. So it may ask for too many, and must
//! not ask for too few, except where the graph cannot miss them: a wait with a timeout, or on the outside, is never
//! part of a proof, whoever else might end it.

use pipeclog_waitgraph::snapshot::{
    ChildSet, Descriptor, EpollTarget, FileId, Freezer, Object, Peer, Pid, PollEntry, Process,
    SignalSet, Signals, State, Table, Timeout, Wait,
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
    /// The children and tracees of a process.
    Children(Pid),
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
            table,
            needs: &mut needs,
        }
        .wait(&task.wait);
        if kinship == Kinship::Stranger && outlook == Outlook::Ends {
            needs.truncate(from);
        }
        if reaps(task.signals) {
            needs.push(Need::Children(process.pid));
        }
        if matches!(task.state, State::Traced) {
            needs.extend(process.tracer.map(Need::Process));
        }
    }
    needs
}

/// Whether a process goes on by itself, as surely as one can see: its one task runs, or sleeps for a time.
pub(crate) fn is_live(process: &Process) -> bool {
    let [task] = process.tasks.as_slice() else {
        return false;
    };
    let is_free = process.freezer != Freezer::Frozen;
    match (task.state, &task.wait) {
        (State::Running, _) => is_free,
        (State::Sleeping, Wait::Sleep { timeout }) => {
            is_free && Outlook::of(*timeout) == Outlook::Ends
        }
        _ => false,
    }
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
                if let ChildSet::Pidfd(fd) = children {
                    self.on(*fd);
                }
                self.children();
                Outlook::Open
            }
            Wait::Vfork => {
                self.children();
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
        self.needs.push(Need::Children(self.pid));
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
