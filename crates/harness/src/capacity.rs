//! Fills pipes of this kernel, and what else may stand in their place, to see what they hold.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use pipeclog_scenario::capacity::{Filled, Held, Transport};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// Write sizes for each doubling of the size.
const FOR_EACH_OCTAVE: u32 = 12;
/// Capacities of pipes that somebody may have: one page, what is left to a user of too many pipes, and one that was grown.
const PIPES: [usize; 3] = [4096, 8192, 1 << 20];
/// Write sizes at which the transports differ.
const WRITES: [u64; 6] = [1, 100, 1366, 2049, 4096, 65_536];
/// How long a terminal is waited for: the kernel moves what is written to the master's buffer in a worker of its own.
const WORKER_MS: u16 = 100;
/// The largest write.
const LARGEST: u64 = 65_536;

/// What was to be filled could not be made or written to.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to fill a pipe, a socket or a terminal with writes of {write_bytes} bytes ({call}): {source}"
)]
pub struct FillError {
    /// The size of the writes.
    pub write_bytes: u64,
    /// The call.
    pub call: &'static str,
    /// Why.
    pub source: Errno,
}

/// Write sizes from 1 to 65,536 bytes, evenly apart on a logarithmic axis, and those at which pages are cut.
#[must_use]
pub fn write_sizes(page_bytes: u64) -> Vec<u64> {
    let octaves = LARGEST.ilog2();
    let steps = (0..=octaves * FOR_EACH_OCTAVE).map(|step| {
        (f64::from(step) / f64::from(FOR_EACH_OCTAVE))
            .exp2()
            .round() as u64
    });
    let cuts = (1..=4).flat_map(|parts| [page_bytes / parts, page_bytes / parts + 1]);
    let all: BTreeSet<u64> = steps
        .chain(cuts)
        .filter(|size| (1..=LARGEST).contains(size))
        .collect();
    all.into_iter().collect()
}

/// Writes to a new pipe that nobody reads, without blocking, until it takes no more. What it holds then is what it would
/// hold if the writer had blocked: the kernel fills its slots by the same code and differs in what it returns
/// (`anon_pipe_write` in `fs/pipe.c`).
///
/// # Errors
///
/// When no pipe can be made, or a write fails for another reason than that the pipe is full.
pub fn fill(write_bytes: u64) -> Result<Filled, FillError> {
    let pipe = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
    let (_read, write) = pipe.map_err(|source| FillError {
        write_bytes,
        call: "pipe2",
        source,
    })?;
    fill_up(&write, write_bytes, None)
}

/// Fills pipes of other capacities, pipes in packet mode, socket pairs and terminals, as [`fill`] does.
///
/// # Errors
///
/// When one cannot be made or written to. A capacity that this user may not have is left out.
pub fn transports() -> Result<Vec<Held>, FillError> {
    let mut all = Vec::new();
    for write_bytes in WRITES {
        let failed = |call| {
            move |source| FillError {
                write_bytes,
                call,
                source,
            }
        };
        let mut add = |transport, end: &OwnedFd, patience| {
            let filled = fill_up(end, write_bytes, patience)?;
            all.push(Held { transport, filled });
            Ok(())
        };
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        for capacity in PIPES {
            let (_read, write) = pipe_with(flags).map_err(failed("pipe2"))?;
            let Ok(capacity) = fcntl_setpipe_size(&write, capacity) else {
                continue;
            };
            let capacity_bytes = capacity as u64;
            add(Transport::Pipe { capacity_bytes }, &write, None)?;
        }
        let (_read, write) = pipe_with(flags | PipeFlags::DIRECT).map_err(failed("pipe2"))?;
        let capacity = fcntl_getpipe_size(&write).map_err(failed("F_GETPIPE_SZ"))?;
        let capacity_bytes = capacity as u64;
        add(Transport::PacketPipe { capacity_bytes }, &write, None)?;
        let (_left, right) = stream_pair().map_err(failed("socketpair"))?;
        add(Transport::SocketPair, &right, None)?;
        let (_master, slave) = terminal().map_err(failed("openpty"))?;
        add(Transport::Terminal, &slave, Some(WORKER_MS))?;
    }
    Ok(all)
}

fn stream_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socketpair(AddressFamily::Unix, SockType::Stream, None, flags).map_err(errno)
}

/// Both sides of a terminal that passes on each byte as it is, the slave not blocking.
fn terminal() -> Result<(OwnedFd, OwnedFd), Errno> {
    let pty = openpty(None, None).map_err(errno)?;
    let mut settings = tcgetattr(&pty.slave).map_err(errno)?;
    cfmakeraw(&mut settings);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).map_err(errno)?;
    fcntl(&pty.slave, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(errno)?;
    Ok((pty.master, pty.slave))
}

fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

/// Whether there is room again in time.
fn gets_room(end: &OwnedFd, patience_ms: Option<u16>) -> bool {
    let Some(patience_ms) = patience_ms else {
        return false;
    };
    let mut ends = [PollFd::new(end.as_fd(), PollFlags::POLLOUT)];
    poll(&mut ends, PollTimeout::from(patience_ms)).is_ok_and(|ready| ready > 0)
}

/// Writes until nothing more is taken, even after some patience where it takes some.
fn fill_up(
    write: &OwnedFd,
    write_bytes: u64,
    patience_ms: Option<u16>,
) -> Result<Filled, FillError> {
    let filled = |held_bytes| Filled {
        write_bytes,
        held_bytes,
    };
    let bytes = vec![b'x'; usize::try_from(write_bytes).unwrap_or(usize::MAX)];
    let mut held_bytes = 0;
    loop {
        match rustix::io::write(write, &bytes) {
            Ok(taken) if taken as u64 == write_bytes => held_bytes += write_bytes,
            // Here a writer would block. One more write could still put its own odd bytes into the last slot.
            Ok(taken) if !gets_room(write, patience_ms) => {
                return Ok(filled(held_bytes + taken as u64));
            }
            Ok(taken) => held_bytes += taken as u64,
            Err(Errno::AGAIN) if !gets_room(write, patience_ms) => return Ok(filled(held_bytes)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(source) => {
                return Err(FillError {
                    write_bytes,
                    call: "write",
                    source,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use pipeclog_pipemodel::capacity::Fill;
    use pipeclog_pipemodel::{Geometry, WriteMode};

    use super::*;

    #[test]
    fn this_kernel_holds_what_the_model_says() {
        let machine = crate::machine::describe("test").unwrap();
        let facts = crate::machine::pipes(&machine).unwrap();
        let sizes = write_sizes(u64::from(machine.page_bytes));
        assert!(sizes.len() > 150, "{}", sizes.len());
        let model: Vec<_> = Fill::sweep(facts.new_pipe, WriteMode::Stream, LARGEST).collect();
        for size in sizes {
            let filled = fill(size).unwrap();
            let (_, predicted) = model[usize::try_from(size).unwrap() - 1];
            assert_eq!(filled.held_bytes, predicted.bytes, "writes of {size}");
        }
    }

    #[test]
    fn pipes_of_other_capacities_and_in_packet_mode_hold_what_the_model_says() {
        let machine = crate::machine::describe("test").unwrap();
        let page = crate::machine::pipes(&machine).unwrap().new_pipe.page();
        let held = transports().unwrap();
        for Held { transport, filled } in &held {
            let (capacity_bytes, mode) = match transport {
                Transport::Pipe { capacity_bytes } => (*capacity_bytes, WriteMode::Stream),
                Transport::PacketPipe { capacity_bytes } => (*capacity_bytes, WriteMode::Packet),
                Transport::SocketPair | Transport::Terminal => {
                    assert!(filled.held_bytes > 0, "{transport:?}");
                    continue;
                }
            };
            let geometry = Geometry::from_request(page, capacity_bytes).unwrap();
            let write_bytes = NonZeroU64::new(filled.write_bytes).unwrap();
            let predicted = Fill::of_writes(geometry, mode, write_bytes);
            assert_eq!(
                filled.held_bytes, predicted.bytes,
                "{transport:?} {filled:?}"
            );
        }
        let packets = held
            .iter()
            .filter(|held| matches!(held.transport, Transport::PacketPipe { .. }));
        assert_eq!(packets.count(), WRITES.len());
    }
}
