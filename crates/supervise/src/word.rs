//! What the keeper says to its supervisor.

use std::io::{PipeReader, Read as _};
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use pipeclog_waitgraph::snapshot::Pid;

use crate::account::Ending;
use crate::error::{SuperviseError, system};
use crate::told::Told;

/// What the keeper said.
pub(crate) enum Word {
    None,
    Started(Pid),
    End(Ending),
}

/// What the keeper has said since, if anything.
pub(crate) fn read(report: &mut PipeReader) -> Result<Word, SuperviseError> {
    let mut fds = [PollFd::new(report.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::ZERO).unwrap_or(0) == 0 {
        return Ok(Word::None);
    }
    let mut room = [0; 256];
    let len = report
        .read(&mut room)
        .map_err(system("read what the keeper says"))?;
    let said = String::from_utf8_lossy(room.get(..len).unwrap_or_default()).into_owned();
    // The last line says most. Several may have come at once.
    let last = said.lines().filter_map(Told::from_line).next_back();
    match last {
        Some(Told::Started { pid }) => Ok(Word::Started(Pid(pid.cast_unsigned()))),
        Some(Told::Exited { code }) => Ok(Word::End(Ending::Exited(code))),
        Some(Told::Killed { signal }) => {
            let signal = Signal::try_from(signal);
            Ok(Word::End(
                signal.map_or(Ending::Exited(255), Ending::Killed),
            ))
        }
        Some(Told::Failed { errno }) => Ok(Word::End(Ending::NotRun(Errno::from_raw(errno)))),
        None => Err(SuperviseError::KeeperLost),
    }
}
