//! Starting a child: the one module that spawns, so that another way of spawning can take its
//! place.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::command::{EnvChange, EnvStart};
use crate::image::Image;
use crate::leader::{Grouping, Leader};
use crate::sys::{NoChild, Plan};
use crate::{Command, Error, KillTarget, descriptors, signals, sys};

/// What one of the child's descriptors 0, 1 and 2 becomes.
#[derive(Debug)]
pub(crate) enum ChildEnd {
    /// What the caller has there, closed if it is closed there.
    Inherit,
    /// This one. It is closed here once the child has it: a reader that holds its own write end
    /// never sees the end of file.
    Given(OwnedFd),
}

impl ChildEnd {
    fn given(&self) -> Option<BorrowedFd<'_>> {
        match self {
            ChildEnd::Inherit => None,
            ChildEnd::Given(fd) => Some(fd.as_fd()),
        }
    }
}

/// The child's 0, 1 and 2.
#[derive(Debug)]
pub(crate) struct ChildEnds {
    pub(crate) stdin: ChildEnd,
    pub(crate) stdout: ChildEnd,
    pub(crate) stderr: ChildEnd,
}

/// Starts `command` with these ends; they are closed here when this returns, whatever it returns.
///
/// Of our descriptors the child sees 0, 1 and 2 only, since the others are close-on-exec. (What the
/// caller left inheritable, it inherits, as from any spawn.) It starts with no signal blocked and
/// SIGPIPE at its default. The caller holds [`descriptors::LowNumbers`] meanwhile.
///
/// By a clone that copies nothing where the kernel has it, and by std's spawn elsewhere.
pub(crate) fn spawn(
    command: &Command,
    ends: ChildEnds,
    grouping: Grouping,
    target: KillTarget,
) -> Result<Leader, Error> {
    let failed = |cause| Error::spawn(command, cause);
    let image = Image::of(command).map_err(failed)?;
    let plan = Plan {
        ends: [&ends.stdin, &ends.stdout, &ends.stderr].map(ChildEnd::given),
        grouping,
        directory: image.directory.as_deref(),
        files: &image.files,
        arguments: &image.arguments,
        environment: &image.environment,
    };
    match sys::clone_and_exec(&plan) {
        Ok((pid, pidfd)) => Ok(Leader::new(pid, pidfd, grouping, target)),
        Err(NoChild::NoSuchCall) => spawn_by_std(command, ends, grouping, target),
        Err(NoChild::NotCloned(errno)) => Err(failed(errno.into())),
        Err(NoChild::NotExecuted(errno, pidfd)) => {
            reap(WaitId::PidFd(pidfd.as_fd()));
            Err(failed(errno.into()))
        }
    }
}

fn spawn_by_std(
    command: &Command,
    ends: ChildEnds,
    grouping: Grouping,
    target: KillTarget,
) -> Result<Leader, Error> {
    // Kept free for the pidfd, so that a shortage of descriptors shows before the child has done
    // anything.
    let reserve =
        descriptors::dev_null().map_err(|errno| Error::system("open /dev/null", errno))?;
    let mut std_command = to_std(command, ends, grouping);
    let child = std_command
        .spawn()
        .map_err(|cause| Error::spawn(command, cause))?;
    // Our copies of the child's ends live in the std command.
    drop(std_command);
    drop(reserve);
    let pid = Pid::from_child(&child);
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Leader::new(pid, pidfd, grouping, target)),
        Err(errno) => {
            // It cannot be watched. It is not reaped yet, so its pid is still its own.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            reap(WaitId::Pid(pid));
            Err(match errno {
                Errno::NOSYS | Errno::PERM => Error::no_pidfd(errno),
                _ => Error::system(format!("open a pidfd of process {pid}"), errno),
            })
        }
    }
}

/// Reaps a child that is dying, also one that gives no signal at its end.
pub(crate) fn reap(child: WaitId<'_>) {
    /// From linux/wait.h; rustix has no name for it.
    const ALL: WaitIdOptions = WaitIdOptions::from_bits_retain(0x4000_0000);
    let options = WaitIdOptions::EXITED | ALL;
    while let Err(Errno::INTR) = rustix::process::waitid(child.clone(), options) {}
}

fn to_std(command: &Command, ends: ChildEnds, grouping: Grouping) -> std::process::Command {
    let mut std_command = std::process::Command::new(&command.program);
    std_command.args(&command.args);
    match command.env_start {
        EnvStart::Inherited => {}
        EnvStart::Empty => {
            std_command.env_clear();
        }
    }
    for (name, change) in &command.env {
        match change {
            EnvChange::Set(value) => std_command.env(name, value),
            EnvChange::Remove => std_command.env_remove(name),
        };
    }
    if let Some(directory) = &command.directory {
        std_command.current_dir(directory);
    }
    std_command
        .stdin(to_stdio(ends.stdin))
        .stdout(to_stdio(ends.stdout))
        .stderr(to_stdio(ends.stderr));
    match grouping {
        Grouping::Caller => {}
        Grouping::Own => {
            std_command.process_group(0);
        }
        Grouping::OwnSession => sys::take_stdout_as_terminal(&mut std_command),
    }
    // The usual mask is empty, and then nothing has to be done, and std need not fork.
    if signals::any_blocked() {
        sys::unblock_signals(&mut std_command);
    }
    std_command
}

fn to_stdio(end: ChildEnd) -> Stdio {
    match end {
        ChildEnd::Inherit => Stdio::inherit(),
        ChildEnd::Given(fd) => Stdio::from(fd),
    }
}
