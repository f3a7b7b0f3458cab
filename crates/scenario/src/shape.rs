//! The shape of a hang: who waits for whom, by which call, over which kind of channel. Names, numbers and bytes are left out, so that two
//! hangs can be compared that happened in different processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pipeclog_waitgraph::TaskId;
use pipeclog_waitgraph::awaited::What;
use pipeclog_waitgraph::certificate::{Certificate, Member};
use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::report::{Report, ReportMember, VerdictName};
use pipeclog_waitgraph::snapshot::{Pid, Wait};
use serde::{Deserialize, Serialize};

/// Processes and who of them waits for whom.
///
/// Of a deadlock these are the processes of its loop and all that they hang on; whoever merely hangs on them is not among them, and neither is
/// what goes on between the threads of one process. Of any other hang they are those that the diagnosis tells of, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// How many processes there are.
    pub processes: usize,
    /// Who waits for whom; processes are numbers below `processes`.
    pub edges: BTreeSet<Edge>,
}

/// One waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Who waits.
    pub from: usize,
    /// In which call.
    pub call: Call,
    /// For what.
    pub event: Event,
    /// Over which kind of channel, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// Who could do it.
    pub to: usize,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $variant,)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)* })
            }
        }
    };
}

words! {
    /// Families of calls: read(2) and recv(2) are one.
    Call {
        /// read(2) and its kin.
        Read = "read",
        /// write(2) and its kin.
        Write = "write",
        /// splice(2), tee(2), sendfile(2).
        Transfer = "splice",
        /// poll(2), select(2).
        Poll = "poll",
        /// epoll_wait(2).
        Epoll = "epoll",
        /// wait4(2), waitid(2).
        Wait = "wait",
        /// sigsuspend(2), sigtimedwait(2).
        Signal = "signal",
        /// open(2) of a FIFO.
        Open = "open",
        /// futex(2).
        Futex = "futex",
        /// io_uring_enter(2).
        IoUring = "io_uring",
        /// Any other call.
        Other = "other",
    }
}

words! {
    /// What is waited for.
    Event {
        /// Data, or an end of file.
        Data = "data",
        /// Room.
        Room = "room",
        /// Whatever a poll set is told of.
        Change = "change",
        /// An exit.
        Exit = "exit",
        /// SIGCHLD.
        ChildSignal = "child_signal",
        /// Somebody at the other end of a FIFO.
        Partner = "partner",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// Kinds of channels.
    Over {
        /// An anonymous pipe.
        Pipe = "pipe",
        /// A named pipe.
        Fifo = "fifo",
        /// A pair of unix sockets.
        Socket = "socket",
        /// A pseudo-terminal.
        Pty = "pty",
        /// An eventfd.
        Eventfd = "eventfd",
    }
}

impl Over {
    /// The kind of a channel.
    #[must_use]
    pub fn of(channel: &Channel) -> Self {
        match channel {
            Channel::Pipe { .. } => Self::Pipe,
            Channel::Fifo { .. } => Self::Fifo,
            Channel::Socket { .. } => Self::Socket,
            Channel::Pty { .. } => Self::Pty,
            Channel::Eventfd { .. } => Self::Eventfd,
        }
    }
}

impl Shape {
    /// The shape of what a report tells.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        match &report.certificate {
            Some(certificate) => of_certificate(report, certificate),
            None => of_told(report.verdict, report.members.iter()),
        }
    }

    /// The same without the process that was asked about, where that only stands before the others.
    #[must_use]
    pub fn below_target(report: &Report) -> Self {
        let target = report.target.task.pid;
        match &report.certificate {
            Some(_) => Self::of(report),
            None => of_told(
                report.verdict,
                report.members.iter().filter(|m| m.actor.task.pid != target),
            ),
        }
    }

    /// Whether the two are the same but for the numbers of the processes.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.processes == other.processes
            && self.edges.len() == other.edges.len()
            && self.fits(other, &mut Vec::new())
    }

    /// Whether `found` (of the first processes of this one those of the other) can be made whole.
    fn fits(&self, other: &Self, found: &mut Vec<usize>) -> bool {
        let at = found.len();
        if at == self.processes {
            return true;
        }
        for candidate in 0..self.processes {
            if found.contains(&candidate) {
                continue;
            }
            found.push(candidate);
            if self.agrees(other, found) && self.fits(other, found) {
                return true;
            }
            found.pop();
        }
        false
    }

    /// Whether the edges between those that are placed are the same, the last one's at least.
    fn agrees(&self, other: &Self, found: &[usize]) -> bool {
        let last = found.len().saturating_sub(1);
        let mine = self.edges.iter().filter(|edge| {
            (edge.from == last || edge.to == last) && edge.from.max(edge.to) <= last
        });
        let mut count = 0;
        for edge in mine {
            count += 1;
            let (Some(from), Some(to)) = (found.get(edge.from), found.get(edge.to)) else {
                return false;
            };
            let moved = Edge {
                from: *from,
                to: *to,
                ..*edge
            };
            if !other.edges.contains(&moved) {
                return false;
            }
        }
        let theirs = found.get(last).copied().unwrap_or(usize::MAX);
        let theirs = other.edges.iter().filter(|edge| {
            (edge.from == theirs || edge.to == theirs)
                && found.contains(&edge.from)
                && found.contains(&edge.to)
        });
        theirs.count() == count
    }
}

/// The tasks of a deadlock's loop and all that they hang on; where there is no loop, of the whole chain.
#[must_use]
pub fn core<'a>(report: &Report, certificate: &'a Certificate) -> Vec<&'a Member> {
    let Some(first) = report.members.first().map(|member| member.actor.task) else {
        return Vec::new();
    };
    let mut reached = BTreeSet::from([first]);
    let mut open = vec![first];
    while let Some(task) = open.pop() {
        for waker in certificate
            .member(task)
            .map(Member::wakers)
            .unwrap_or_default()
        {
            if reached.insert(waker) {
                open.push(waker);
            }
        }
    }
    let is_reached = |member: &&Member| reached.contains(&member.task);
    let mut core: Vec<&Member> = certificate.members.iter().filter(is_reached).collect();
    // The first may itself only hang on the others, by the side of an eventfd of its own.
    while let Some(pid) = hanger_on(&core) {
        core.retain(|member| member.task.pid != pid);
    }
    core
}

/// A process for which nobody waits, while others wait for each other.
fn hanger_on(core: &[&Member]) -> Option<Pid> {
    let pairs: BTreeSet<(Pid, Pid)> = core
        .iter()
        .flat_map(|member| waits(member).map(|(_, to)| (member.task.pid, to)))
        .collect();
    let all: BTreeSet<Pid> = core.iter().map(|member| member.task.pid).collect();
    all.into_iter().find(|pid| {
        let awaits_it = |(_, to): &(Pid, Pid)| to == pid;
        let without_it = |(from, _): &(Pid, Pid)| from != pid;
        !pairs.iter().any(awaits_it) && pairs.iter().any(without_it)
    })
}

/// What a member waits for, with each process that could bring it. The threads and the locks of one process are nobody's business but its
/// own; an end that it holds of its own pipe is.
fn waits(member: &Member) -> impl Iterator<Item = (&What, Pid)> {
    let own = member.task.pid;
    member.awaited.iter().flat_map(move |awaited| {
        let over = awaited.what.channel().map(Over::of);
        let tells_of_itself = matches!(over, Some(Over::Pipe | Over::Fifo));
        pids(&awaited.wakers)
            .into_iter()
            .filter(move |pid| *pid != own || tells_of_itself)
            .map(move |pid| (&awaited.what, pid))
    })
}

fn of_certificate(report: &Report, certificate: &Certificate) -> Shape {
    let core = core(report, certificate);
    let mut numbers = Numbers::default();
    // The loop first, in the order in which it is told.
    let told = report.members.iter().map(|member| member.actor.task.pid);
    let is_in_core = |pid: &Pid| core.iter().any(|member| member.task.pid == *pid);
    for pid in told.filter(is_in_core) {
        numbers.of(pid);
    }
    let mut edges = BTreeSet::new();
    for member in &core {
        let from = numbers.of(member.task.pid);
        for (what, pid) in waits(member) {
            edges.insert(Edge {
                from,
                call: call(&member.wait),
                event: event(what),
                over: what.channel().map(Over::of),
                to: numbers.of(pid),
            });
        }
    }
    Shape {
        processes: numbers.0.len(),
        edges,
    }
}

fn of_told<'a>(verdict: VerdictName, members: impl Iterator<Item = &'a ReportMember>) -> Shape {
    let told: Vec<&ReportMember> = members.filter(|member| member.in_loop).collect();
    let mut numbers = Numbers::default();
    for member in &told {
        numbers.of(member.actor.task.pid);
    }
    let pairs: Vec<(&ReportMember, &ReportMember)> = match verdict {
        // One reader, and each of the holders.
        VerdictName::Leaked => told
            .split_first()
            .map(|(reader, holders)| holders.iter().map(|holder| (*reader, *holder)).collect())
            .unwrap_or_default(),
        _ => told
            .windows(2)
            .filter_map(|pair| Some((*pair.first()?, *pair.last()?)))
            .collect(),
    };
    let mut edges = BTreeSet::new();
    for (waiter, waker) in pairs {
        let (from, to) = (
            numbers.of(waiter.actor.task.pid),
            numbers.of(waker.actor.task.pid),
        );
        if from != to {
            let (call, event) = named(waiter);
            edges.insert(Edge {
                from,
                call,
                event,
                over: waiter.channel.as_ref().map(Over::of),
                to,
            });
        }
    }
    Shape {
        processes: numbers.0.len(),
        edges,
    }
}

/// Numbers for processes, in the order in which they are met.
#[derive(Default)]
struct Numbers(BTreeMap<Pid, usize>);

impl Numbers {
    fn of(&mut self, pid: Pid) -> usize {
        let next = self.0.len();
        *self.0.entry(pid).or_insert(next)
    }
}

fn pids(tasks: &BTreeSet<TaskId>) -> BTreeSet<Pid> {
    tasks.iter().map(|task| task.pid).collect()
}

fn call(wait: &Wait) -> Call {
    match wait {
        Wait::Read { .. } => Call::Read,
        Wait::Write { .. } => Call::Write,
        Wait::Transfer { .. } => Call::Transfer,
        Wait::Poll { .. } => Call::Poll,
        Wait::Epoll { .. } => Call::Epoll,
        Wait::Child { .. } => Call::Wait,
        Wait::Signal { .. } => Call::Signal,
        Wait::FifoOpen { .. } => Call::Open,
        Wait::Futex { .. } => Call::Futex,
        Wait::IoUring { .. } => Call::IoUring,
        Wait::Running
        | Wait::Accept { .. }
        | Wait::Connect { .. }
        | Wait::Vfork
        | Wait::Sleep { .. }
        | Wait::Lock { .. }
        | Wait::Other { .. }
        | Wait::Unknown => Call::Other,
    }
}

fn event(what: &What) -> Event {
    match what {
        What::Data { .. } => Event::Data,
        What::Room { .. } => Event::Room,
        What::Change { full, .. } => match full {
            pipeclog_waitgraph::awaited::Full::Yes => Event::Room,
            pipeclog_waitgraph::awaited::Full::NotSaid => Event::Change,
        },
        What::Exit { .. } => Event::Exit,
        What::ChildSignal => Event::ChildSignal,
        What::Partner { .. } => Event::Partner,
        What::Futex | What::Vfork { .. } | What::Lock { .. } | What::Completion => Event::Other,
    }
}

/// Of a member without a certificate only the call's name is told.
fn named(member: &ReportMember) -> (Call, Event) {
    match member.call.as_str() {
        "read" | "readv" | "pread64" | "preadv" | "preadv2" | "recvfrom" | "recvmsg"
        | "recvmmsg" => (Call::Read, Event::Data),
        "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "sendto" | "sendmsg"
        | "sendmmsg" | "vmsplice" => (Call::Write, Event::Room),
        "poll" | "ppoll" | "select" | "pselect6" => (Call::Poll, Event::Change),
        "epoll_wait" => (Call::Epoll, Event::Change),
        "wait4" => (Call::Wait, Event::Exit),
        "sigsuspend" => (Call::Signal, Event::ChildSignal),
        "open" => (Call::Open, Event::Partner),
        "futex" => (Call::Futex, Event::Other),
        "io_uring_enter" => (Call::IoUring, Event::Other),
        _ => (Call::Other, Event::Other),
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.processes == 1 {
            "process"
        } else {
            "processes"
        };
        write!(f, "{} {noun}", self.processes)?;
        for edge in &self.edges {
            write!(f, "; {} waits for {} ({}", edge.from, edge.to, edge.call)?;
            match edge.over {
                Some(over) => write!(f, ", {} of a {over})", edge.event)?,
                None => write!(f, ", {})", edge.event)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edge(from: usize, to: usize, call: Call) -> Edge {
        Edge {
            from,
            call,
            event: Event::Data,
            over: Some(Over::Pipe),
            to,
        }
    }

    fn shape(processes: usize, edges: &[Edge]) -> Shape {
        Shape {
            processes,
            edges: edges.iter().copied().collect(),
        }
    }

    #[test]
    fn two_small_loops_are_not_one_large_one() {
        let ring = |members: &[usize]| -> Vec<Edge> {
            let next = members.iter().cycle().skip(1);
            let pairs = members.iter().zip(next);
            pairs
                .map(|(from, to)| edge(*from, *to, Call::Read))
                .collect()
        };
        let two = [ring(&[0, 1, 2]), ring(&[3, 4, 5])].concat();
        assert!(!shape(6, &two).is_like(&shape(6, &ring(&[0, 1, 2, 3, 4, 5]))));
        assert!(shape(6, &two).is_like(&shape(6, &[ring(&[0, 2, 4]), ring(&[1, 3, 5])].concat())));
    }

    #[test]
    fn another_call_or_another_direction_is_another_shape() {
        let one = shape(2, &[edge(0, 1, Call::Read), edge(1, 0, Call::Write)]);
        assert!(one.is_like(&shape(
            2,
            &[edge(1, 0, Call::Read), edge(0, 1, Call::Write)]
        )));
        assert!(!one.is_like(&shape(2, &[edge(0, 1, Call::Read), edge(1, 0, Call::Read)])));
        assert!(!one.is_like(&shape(
            2,
            &[edge(0, 1, Call::Read), edge(0, 1, Call::Write)]
        )));
        assert!(!one.is_like(&shape(
            3,
            &[edge(0, 1, Call::Read), edge(1, 0, Call::Write)]
        )));
    }

    proptest! {
        /// The law: numbers of processes do not matter.
        #[test]
        fn a_shape_is_like_itself_under_other_numbers(
            edges in proptest::collection::vec((0..6_usize, 0..6_usize, any::<bool>()), 0..12),
            order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let kind = |reads: bool| if reads { Call::Read } else { Call::Poll };
            let made = |place: &dyn Fn(usize) -> usize| {
                let edges = edges.iter().map(|(from, to, reads)| edge(place(*from), place(*to), kind(*reads)));
                shape(6, &edges.collect::<Vec<_>>())
            };
            let moved = |at: usize| order.get(at).copied().unwrap_or(at);
            prop_assert!(made(&|at| at).is_like(&made(&moved)));
        }
    }
}
