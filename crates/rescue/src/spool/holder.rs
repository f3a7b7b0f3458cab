//! The holder: a process that keeps a writing end of a pipe, and a place in the file that it is fed from, in case the rescuer dies.
//!
//! The end of file must not be seen before all was given back. And the place must not be forgotten: splice(2) moves it in the same
//! call that moves the bytes, so the position of the description that both share is exact whenever the rescuer is killed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow};
use pipeclog_procscan::Scanner;
use pipeclog_waitgraph::snapshot::Pid;
use rustix::io::FdFlags;

use super::journal::Holder;
use super::{SpoolError, fault, parties};

/// The hidden command by which the rescuer's own program becomes a holder.
pub const HOLDER_COMMAND: &str = "hold";

/// A holder that has been started, and goes away with the rescuer until it is told to stay.
pub(crate) struct Started {
    child: Child,
    pub(crate) holder: Holder,
}

/// Starts a holder of these two.
pub(crate) fn start(
    scanner: &mut Scanner,
    program: &Path,
    write: &OwnedFd,
    file: &OwnedFd,
) -> Result<Started, SpoolError> {
    let numbers = [write.as_raw_fd(), file.as_raw_fd()];
    let inherit = |flags: FdFlags| {
        for fd in [write, file] {
            rustix::io::fcntl_setfd(fd, flags)
                .map_err(|errno| SpoolError::holder(Errno::from_raw(errno.raw_os_error())))?;
        }
        Ok::<(), SpoolError>(())
    };
    inherit(FdFlags::empty())?;
    // It starts with every signal blocked: a Ctrl-C is for the rescuer alone. Its group is its own, so that it is not killed with
    // the rescuer's.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let spawned = Command::new(program)
        .arg0("pipeclog")
        .arg(HOLDER_COMMAND)
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    inherit(FdFlags::CLOEXEC)?;
    let child = spawned.map_err(|source| SpoolError::Holder { source })?;
    fault::step();
    let party = parties::party_of(scanner, Pid(child.id()))?
        .ok_or_else(|| SpoolError::holder(Errno::ESRCH))?;
    let [write_fd, file_fd] = numbers.map(RawFd::cast_unsigned);
    Ok(Started {
        child,
        holder: Holder {
            party,
            write_fd,
            file_fd,
        },
    })
}

impl Started {
    /// Tells it to stay, come what may. Its number stays its own, since nobody but this process reaps it.
    pub(crate) fn stay(&mut self) -> Result<(), SpoolError> {
        let word = self.child.stdin.take();
        word.map_or(Ok(()), |mut word| word.write_all(b"."))
            .map_err(|source| SpoolError::Holder { source })
    }
}

/// The holder's own program: holds the descriptors of these numbers until it is killed, or nobody is left to read; where the rescuer ends
/// without having told it to stay, it goes too. `arguments` are those that follow [`HOLDER_COMMAND`].
///
/// # Errors
/// When the arguments are not the rescuer's, or a system call refuses.
pub fn hold(arguments: &[OsString]) -> Result<(), SpoolError> {
    let numbers: Vec<RawFd> = arguments
        .iter()
        .filter_map(|number| number.to_str()?.parse().ok())
        .collect();
    if numbers.len() != 2 || numbers.len() != arguments.len() {
        return Err(SpoolError::holder(Errno::EINVAL));
    }
    let system = |source| SpoolError::Holder { source };
    let _ = SigSet::all().thread_block();
    // Whoever waits for the end of another stream of the rescuer's must not wait for this process.
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .map_err(system)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in open {
        if number > 2 && !numbers.contains(&number) {
            // EBADF: the listing's own descriptor, closed by now.
            let _ = nix::unistd::close(number);
        }
    }
    let mut word = [0];
    if std::io::stdin().read(&mut word).map_err(system)? == 0 {
        return Ok(());
    }
    // There is no safe way to poll a descriptor by its number; a description of its own hears of the same pipe. (The open of a pipe
    // without a name waits for nobody.)
    let path = format!(
        "/proc/self/fd/{}",
        numbers.first().copied().unwrap_or_default()
    );
    let write = File::options().write(true).open(path).map_err(system)?;
    let null = File::open("/dev/null").map_err(system)?;
    nix::unistd::dup2_stdin(&null).map_err(SpoolError::holder)?;
    drop(null);
    loop {
        // Every signal is blocked but the two that cannot be. An error is told unasked: the last reader has gone, and nobody is left
        // to hold on for.
        let mut fds = [PollFd::new(write.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SpoolError::holder(errno)),
        }
    }
}
