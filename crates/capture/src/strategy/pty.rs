//! `pty`: both streams into a pseudoterminal, so that the child believes in a person.
//!
//! What it does: gives the child the slave of a pty in raw mode as stdout, stderr and controlling
//! terminal, in a session of its own, and reads the master as [`super::poll`] does; EIO is its end
//! of file. Raw mode leaves the bytes as they are: no newline becomes two. Stdin is no part of it:
//! raw mode has no end of file to send, so stdin comes by a pipe, as elsewhere.
//!
//! When it deadlocks: never by itself; it waits where `poll` does. (A master that nobody reads
//! blocks the child after some 20,000 bytes; so it does with a child that closes its terminal
//! everywhere and then opens `/dev/tty` to write: EIO has ended the reading.)
//!
//! The smallest scenario: none hangs it; `sh -c 'sleep 600 &'` shows the wait with
//! `End::EndOfFile`, but see its cost.
//!
//! What it costs: which stream a byte came from, and law three: when the leader, being the
//! session's, exits, the kernel sends SIGHUP to its foreground group and hangs up the terminal, so
//! that a background descendant needs `nohup`. Programs may colour their output, and buffer by
//! lines. Ctrl-C at the caller's terminal does not reach the child. (Before Linux 5.5 spawning
//! forks, and gives a file of no known format to the shell, as execvp(3) does.)

use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::Method;
use crate::channel::{Plumbing, duplicate};
use crate::engine::Poll;
use crate::leader::Grouping;
use crate::spawn::ChildEnd;
use crate::stream::Source;
use crate::{Error, Input, StreamEnd, descriptors};

pub(super) const METHOD: Method = Method::Safe {
    plumb,
    engine: || Ok(Box::new(Poll)),
};

fn plumb(input: &Input) -> Result<Plumbing, Error> {
    let failed = |errno| Error::system("make a pseudoterminal", errno);
    // NOCTTY on both: the caller must not end up with it as its own controlling terminal.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).map_err(failed)?;
    rustix::pty::grantpt(&master)
        .and_then(|()| rustix::pty::unlockpt(&master))
        .map_err(failed)?;
    // By the master, not by a path: that works in a container whose /dev/pts is another.
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(failed)?;
    let mut modes = tcgetattr(&slave).map_err(failed)?;
    modes.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &modes).map_err(failed)?;
    descriptors::set_nonblocking(&master)?;
    let copy = duplicate(&slave)?;
    let stdout = (ChildEnd::Given(slave), Source::Terminal(master));
    let stderr = (ChildEnd::Given(copy), Source::Nothing(StreamEnd::Merged));
    Ok(Plumbing {
        grouping: Grouping::OwnSession,
        ..Plumbing::new(input, stdout, stderr)?
    })
}
