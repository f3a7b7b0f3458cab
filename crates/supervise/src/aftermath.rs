//! What becomes of those who outlive the command: they are this process's children by then.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::account::Account;
use crate::census::{self, Stream};
use crate::error::{SuperviseError, system};
use crate::event::Event;
use crate::tree::Tree;

/// Of those who outlive the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are named, if they hold its output, and no more.
    LeftAlone,
    /// The tree was killed. Who was forked in that instant had no signal, and its keeper ended with the command.
    Killed,
}

/// Takes over whom the command has left behind.
pub(crate) fn take_over(
    mut account: Account,
    fate: Fate,
    mut tree: Tree,
    streams: &[Stream],
    tell: &mut dyn FnMut(&Event<'_>),
) -> Result<Account, SuperviseError> {
    // The keeper has said its last word, or nothing more than its end is awaited of it.
    while !tree.reaped().iter().any(|r| r.pid == tree.leader()) {
        let mut fds = [PollFd::new(tree.pidfd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(system("wait for the keeper (poll)")(errno).into()),
        }
        tree.reap();
    }
    if fate == Fate::Killed {
        tree.clear()?;
        return Ok(account);
    }
    match census::take(streams) {
        Ok(holders) => account.left_behind = holders,
        Err(error) => tell(&Event::Trouble(&error)),
    }
    if !account.left_behind.is_empty() {
        tell(&Event::LeftBehind(&account.left_behind));
    }
    Ok(account)
}
