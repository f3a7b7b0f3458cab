//! The other ends of unix sockets, put into the tables that hold them.

use std::collections::BTreeMap;

use pipeclog_waitgraph::snapshot::{
    Descriptor, Facet, GapKind, Object, Peer, Process, SocketKind, SocketTimeouts, Table, Wait,
};

use crate::gaps::{Gaps, Owner};
use crate::source::{Source, UnixSocket};

/// A listening socket (`TCP_LISTEN`; unix sockets use TCP's numbers).
const LISTENING: u8 = 10;

/// What SOCK_DIAG said, by network namespace.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    own: Option<u64>,
    dumps: BTreeMap<Option<u64>, BTreeMap<u64, UnixSocket>>,
}

impl Sockets {
    /// Fills in peers, kinds and timeouts of a process's unix sockets.
    pub(crate) fn fill(&mut self, source: &dyn Source, process: &mut Process, gaps: &mut Gaps) {
        let tables = || {
            let own = process
                .tasks
                .iter()
                .filter_map(|task| task.own_table.as_ref());
            std::iter::once(&process.table).chain(own)
        };
        if !tables().flat_map(Table::known).any(is_unix) {
            return;
        }
        let owner = Owner {
            pid: process.pid.0,
            tid: None,
            uid: process.uid,
        };
        let dump = self.dump(source, process, owner, gaps);
        let waited = waited(process);
        let own = process
            .tasks
            .iter_mut()
            .filter_map(|task| task.own_table.as_mut());
        for descriptor in own.flat_map(descriptors) {
            complete(descriptor, dump);
        }
        for descriptor in descriptors(&mut process.table) {
            complete(descriptor, dump);
            if waited.contains(&descriptor.fd) {
                ask_timeouts(source, owner, descriptor, gaps);
            }
        }
    }

    fn dump(
        &mut self,
        source: &dyn Source,
        process: &Process,
        owner: Owner,
        gaps: &mut Gaps,
    ) -> &BTreeMap<u64, UnixSocket> {
        let own = *self
            .own
            .get_or_insert_with(|| own_namespace(source).unwrap_or(0));
        let theirs = process.namespaces.net.filter(|&net| net != own);
        self.dumps.entry(theirs).or_insert_with(|| {
            let answer = source.unix_sockets(theirs.map(|_| process.pid.0));
            match answer {
                Ok(sockets) => sockets
                    .into_iter()
                    .map(|socket| (u64::from(socket.inode), socket))
                    .collect(),
                Err(error) if theirs.is_some() => {
                    let why = format!("{error}; it lives in another network namespace");
                    let remedy = format!(
                        "sudo nsenter --net --target {} pipeclog diagnose",
                        owner.pid
                    );
                    gaps.plain(
                        owner,
                        GapKind::Hidden,
                        Facet::SocketPeers,
                        why,
                        Some(remedy),
                    );
                    BTreeMap::new()
                }
                Err(error) => {
                    gaps.machine_read(Facet::SocketPeers, &error);
                    BTreeMap::new()
                }
            }
        })
    }
}

fn own_namespace(source: &dyn Source) -> Option<u64> {
    let link = source.link("self/ns/net").ok()?;
    crate::parse::count(link.strip_prefix(b"net:[")?.strip_suffix(b"]")?)
}

fn is_unix(descriptor: &Descriptor) -> bool {
    matches!(descriptor.object, Object::UnixSocket { .. })
}

fn descriptors(table: &mut Table) -> impl Iterator<Item = &mut Descriptor> {
    match table {
        Table::Complete(all) | Table::Channels(all) => all.as_mut_slice(),
        Table::Unread => &mut [],
    }
    .iter_mut()
}

fn complete(descriptor: &mut Descriptor, dump: &BTreeMap<u64, UnixSocket>) {
    let Object::UnixSocket {
        inode,
        peer,
        socket,
        ..
    } = &mut descriptor.object
    else {
        return;
    };
    // A socket made since the dump is not in it: its peer stays unknown.
    let Some(found) = dump.get(inode) else {
        return;
    };
    *peer = match (found.state, found.peer, found.listener) {
        (LISTENING, ..) => Peer::Listening,
        (_, Some(other), _) => Peer::Inode(u64::from(other)),
        // Not accepted yet: whoever has the listening socket can accept it.
        (_, None, Some(listener)) => Peer::Inode(u64::from(listener)),
        (_, None, None) => Peer::None,
    };
    *socket = match found.kind {
        1 => SocketKind::Stream,
        2 => SocketKind::Datagram,
        5 => SocketKind::Seqpacket,
        _ => SocketKind::Unknown,
    };
}

/// Descriptors of the process's own table on which a task is blocked in a call that heeds a socket's timeouts.
fn waited(process: &Process) -> Vec<u32> {
    let tasks = process.tasks.iter().filter(|task| task.own_table.is_none());
    let fds = tasks.filter_map(|task| match &task.wait {
        Wait::Read { fd, .. }
        | Wait::Write { fd, .. }
        | Wait::Accept { fd }
        | Wait::Connect { fd } => Some(*fd),
        _ => None,
    });
    fds.collect()
}

fn ask_timeouts(source: &dyn Source, owner: Owner, descriptor: &mut Descriptor, gaps: &mut Gaps) {
    let Object::UnixSocket { timeouts, .. } = &mut descriptor.object else {
        return;
    };
    match source.socket_timeouts(owner.pid, descriptor.fd) {
        Ok(answer) => *timeouts = answer,
        Err(error) => {
            *timeouts = SocketTimeouts::NotLooked;
            gaps.of(owner, Facet::DescriptorInfo, &error);
        }
    }
}
