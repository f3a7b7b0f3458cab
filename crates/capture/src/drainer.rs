//! Reading on for background descendants, so that they do not die of SIGPIPE.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::{engine, signals};

/// Enough for the loop below; a default stack would reserve 2 MiB a capture.
const STACK_BYTES: usize = 128 * 1024;

/// Reads these to their ends on a thread of its own, and throws the bytes away.
///
/// Nobody joins the thread: it ends with the last writer, or with this process. If no thread can be
/// had, the descriptors are closed, as [`crate::Background::Abandon`] would: the capture itself is
/// complete by then.
pub(crate) fn drain_on(mut fds: Vec<OwnedFd>) {
    // A stream whose last writer has gone needs nobody, whatever is left in it.
    fds.retain(|fd| !engine::is_hung_up(fd));
    if fds.is_empty() {
        return;
    }
    let thread = std::thread::Builder::new()
        .name("pipeclog-drain".into())
        .stack_size(STACK_BYTES);
    let _ = signals::with_all_blocked(|| thread.spawn(move || drain(fds)));
}

fn drain(mut open: Vec<OwnedFd>) {
    let mut room = vec![0; 64 * 1024];
    while !open.is_empty() {
        let mut polled: Vec<PollFd<'_>> = open
            .iter()
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        if engine::poll_until(&mut polled, None).is_err() {
            return;
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        open.retain(|fd| !ready.next().unwrap_or(false) || still_open(fd, &mut room));
    }
}

fn still_open(fd: &OwnedFd, room: &mut [u8]) -> bool {
    match rustix::io::read(fd, room) {
        Ok(0) => false,
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}
