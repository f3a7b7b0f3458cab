//! Unix sockets and their peers, by NETLINK_SOCK_DIAG (man 7 sock_diag): `/proc` does not say who is at the other
//! end. One dump answers for a whole network namespace; the kernel answers for the namespace in which the netlink
//! socket was made.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::unix::nlas::Nla;
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags, UnixRequest, UnixResponse};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::source::{Cause, ReadError, UnixSocket};

const ACTION: &str = "ask for the unix sockets of";
const OWN: &str = "our network namespace";
/// The kernel fills at most this much in one answer (`NLMSG_GOODSIZE`, raised to 32 KiB by larger reads).
const ANSWER: usize = 32 << 10;

/// The unix sockets of our own network namespace.
///
/// # Errors
///
/// When there is no netlink, or the kernel lacks unix_diag.
pub(crate) fn unix_sockets() -> Result<Vec<UnixSocket>, ReadError> {
    dump().map_err(|errno| ReadError::new(ACTION, OWN, Cause::from_errno(errno as i32)))
}

/// The unix sockets of another network namespace. A thread of its own enters it (man 2 setns: that needs
/// CAP_SYS_ADMIN) and ends there, so no other thread of ours ever leaves our own.
///
/// # Errors
///
/// As [`unix_sockets`], and when we may not enter.
pub(crate) fn unix_sockets_in(
    namespace: OwnedFd,
    path: &str,
) -> Result<Vec<UnixSocket>, ReadError> {
    let failed = |errno: Errno| ReadError::new(ACTION, path, Cause::from_errno(errno as i32));
    let visit = std::thread::Builder::new()
        .name("procscan-netns".to_owned())
        .spawn(move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            dump()
        });
    match visit.map(std::thread::JoinHandle::join) {
        Ok(Ok(answer)) => answer.map_err(failed),
        Ok(Err(_)) => Err(ReadError::new(ACTION, path, Cause::Malformed)),
        Err(error) => Err(ReadError::from_io(ACTION, path, &error)),
    }
}

fn dump() -> Result<Vec<UnixSocket>, Errno> {
    let link = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    bind(link.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    // The kernel answers at once; the bound is for a kernel that does not.
    setsockopt(&link, sockopt::ReceiveTimeout, &TimeVal::new(1, 0))?;
    send(link.as_raw_fd(), &request(), MsgFlags::empty())?;
    let mut sockets = Sockets::default();
    let mut buffer = vec![0; ANSWER];
    loop {
        let len = match recv(link.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(len) => len,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
        };
        match sockets.take(buffer.get(..len).unwrap_or_default())? {
            More::Follows => {}
            More::Done => return Ok(sockets.into_list()),
        }
    }
}

fn request() -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = UnixRequest {
        // All states, as `ss` asks: established, listening, and the shut-down ones of datagram sockets.
        state_flags: StateFlags::from_bits_retain(u32::MAX),
        inode: 0,
        show_flags: ShowFlags::PEER | ShowFlags::ICONS,
        cookie: [0xff; 8],
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::UnixRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

enum More {
    Follows,
    Done,
}

#[derive(Default)]
struct Sockets {
    all: Vec<UnixSocket>,
    /// Clients that wait to be accepted, and the listening socket they wait at.
    waiting: BTreeMap<u32, u32>,
}

impl Sockets {
    /// Takes the messages of one datagram.
    fn take(&mut self, mut bytes: &[u8]) -> Result<More, Errno> {
        while !bytes.is_empty() {
            let message =
                NetlinkMessage::<SockDiagMessage>::deserialize(bytes).map_err(|_| Errno::EPROTO)?;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::UnixResponse(response)) => {
                    self.add(&response);
                }
                NetlinkPayload::Done(_) => return Ok(More::Done),
                NetlinkPayload::Error(error) => {
                    return Err(Errno::from_raw(error.raw_code().saturating_neg()));
                }
                _ => {}
            }
            // Messages are aligned to four bytes, and a length of zero would never end.
            let len = usize::try_from(message.header.length).map_err(|_| Errno::EPROTO)?;
            let step = len.max(1).next_multiple_of(4);
            bytes = bytes.get(step..).unwrap_or_default();
        }
        Ok(More::Follows)
    }

    fn add(&mut self, response: &UnixResponse) {
        let header = &response.header;
        let mut peer = None;
        for attribute in &response.nlas {
            match attribute {
                Nla::Peer(inode) => peer = Some(*inode).filter(|&inode| inode != 0),
                Nla::PendingConnections(clients) => {
                    self.waiting
                        .extend(clients.iter().map(|&client| (client, header.inode)));
                }
                _ => {}
            }
        }
        let (inode, kind, state) = (header.inode, header.kind, header.state);
        self.all.push(UnixSocket {
            inode,
            peer,
            kind,
            state,
            listener: None,
        });
    }

    fn into_list(mut self) -> Vec<UnixSocket> {
        for socket in &mut self.all {
            socket.listener = self.waiting.get(&socket.inode).copied();
        }
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    fn inode(socket: &impl AsRawFd) -> u32 {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let text = link.to_str().unwrap();
        text.trim_start_matches("socket:[")
            .trim_end_matches(']')
            .parse()
            .unwrap()
    }

    #[test]
    fn a_pair_names_each_other_and_a_closed_peer_is_none() {
        let (left, right) = UnixStream::pair().unwrap();
        let (orphan, gone) = UnixStream::pair().unwrap();
        drop(gone);
        let sockets = unix_sockets().unwrap();
        let find = |wanted| {
            *sockets
                .iter()
                .find(|socket| socket.inode == wanted)
                .unwrap()
        };
        assert_eq!(find(inode(&left)).peer, Some(inode(&right)));
        assert_eq!(find(inode(&right)).peer, Some(inode(&left)));
        assert_eq!(find(inode(&left)).kind, 1);
        assert_eq!(find(inode(&orphan)).peer, None);
    }

    #[test]
    fn a_client_that_waits_to_be_accepted_names_the_listener() {
        let name = format!("procscan-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        let client = UnixStream::connect_addr(&address).unwrap();
        let sockets = unix_sockets().unwrap();
        let find = |wanted| {
            *sockets
                .iter()
                .find(|socket| socket.inode == wanted)
                .unwrap()
        };
        assert_eq!(find(inode(&listener)).state, 10);
        assert_eq!(find(inode(&client)).listener, Some(inode(&listener)));
    }
}
