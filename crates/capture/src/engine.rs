//! What waits for the child and moves its bytes.

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::Error;
use crate::flow::{Flow, Token};

/// Moves the flow forward.
pub(crate) trait Engine: Send {
    /// Waits until something happens or `until` has passed, and serves what happened. It may return
    /// early and for no reason; it returns soon after the leader's exit, after a limit that ends
    /// the child, and at `until`.
    fn turn(&mut self, flow: &mut Flow, until: Option<Instant>) -> Result<(), Error>;
}

/// poll(2): the engine of the strategy of that name and of those whose point is elsewhere.
pub(crate) struct Poll;

impl Engine for Poll {
    fn turn(&mut self, flow: &mut Flow, until: Option<Instant>) -> Result<(), Error> {
        // Without a leader to end it, a sleep would come at the end of every capture.
        if let Some(length) = flow.lull.take()
            && !flow.leader.has_exited()
        {
            let over = Instant::now() + length;
            let over = until.map_or(over, |until| until.min(over));
            let is_output = |token| matches!(token, Token::Stdout | Token::Stderr);
            wait(flow, |token| !is_output(token), Some(over))?;
        }
        for token in wait(flow, |_| true, until)? {
            flow.serve(token)?;
        }
        Ok(())
    }
}

/// Waits for those that are wanted, and says which are ready.
fn wait(
    flow: &Flow,
    is_wanted: impl Fn(Token) -> bool,
    until: Option<Instant>,
) -> Result<Vec<Token>, Error> {
    let mut interests = flow.interests();
    interests.retain(|(token, _)| is_wanted(*token));
    let mut fds: Vec<PollFd<'_>> = interests
        .iter()
        .map(|(token, fd)| PollFd::from_borrowed_fd(*fd, wanted(*token)))
        .collect();
    poll_until(&mut fds, until)?;
    // Anything counts: an error or a hangup is found out by the read or write that follows.
    Ok(interests
        .iter()
        .zip(&fds)
        .filter(|(_, fd)| !fd.revents().is_empty())
        .map(|((token, _), _)| *token)
        .collect())
}

fn wanted(token: Token) -> PollFlags {
    match token {
        Token::Stdin => PollFlags::OUT,
        Token::Stdout | Token::Stderr | Token::Exit | Token::Stop | Token::StopNow => PollFlags::IN,
    }
}

/// poll(2) until an instant. A signal ends it early, with nothing ready: the caller's loop comes
/// back.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<(), Error> {
    match rustix::event::poll(fds, timespec_until(until).as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::system("poll the child's streams", errno)),
    }
}

/// Whether every writer of a stream has gone (poll(2): POLLHUP). Does not wait.
pub(crate) fn is_hung_up(fd: &OwnedFd) -> bool {
    has_now(fd, PollFlags::HUP)
}

/// Whether there is something to read; of a pidfd, whether its process has exited. Does not wait.
pub(crate) fn is_readable(fd: &OwnedFd) -> bool {
    has_now(fd, PollFlags::IN)
}

fn has_now(fd: &OwnedFd, flags: PollFlags) -> bool {
    let mut polled = [PollFd::new(fd, flags)];
    let looked = poll_until(&mut polled, Some(Instant::now()));
    looked.is_ok() && polled.iter().any(|it| it.revents().contains(flags))
}

/// Makes an eventfd readable. It fails only when its counter is full, and it is readable then as well
/// (eventfd(2)). A filter or an injected fault may make it fail all the same, and somebody may wait
/// for ever for it: so it is tried again, a few times. Sound in a signal handler.
pub(crate) fn ring(eventfd: &OwnedFd) {
    for _ in 0..3 {
        if let Ok(_) | Err(Errno::AGAIN) = rustix::io::write(eventfd, &1_u64.to_ne_bytes()) {
            return;
        }
    }
}

/// The time left. Too long for the kernel is for ever.
pub(crate) fn timespec_until(until: Option<Instant>) -> Option<Timespec> {
    let left = until?.saturating_duration_since(Instant::now());
    Timespec::try_from(left).ok()
}
