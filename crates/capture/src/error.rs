//! What can go wrong, told so that the reader knows what to do.

use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::{Captured, Command};

/// An error of a capture. When a child had been started, it has been killed and reaped, and
/// [`Error::partial`] has what it had written.
pub struct Error {
    repr: Repr,
    partial: Option<Box<Captured>>,
}

/// What sort of error it is: what a caller may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such program, or the interpreter that it names is missing. Shells say 127.
    NotFound,
    /// The program is there and cannot be run: no permission, a directory, not a format that this
    /// kernel runs, too long arguments. Shells say 126.
    NotExecutable,
    /// The directory to run in cannot be entered.
    BadDirectory,
    /// The command cannot be expressed: a NUL byte in an argument or a variable.
    InvalidCommand,
    /// Out of descriptors, processes, threads or memory. Nothing is left behind; trying later may
    /// work.
    Resources,
    /// A stream passed its limit under [`crate::LimitPolicy::Error`].
    Limit,
    /// The strategy cannot do what was asked, here or at all.
    Unsupported,
    /// The child did not die of SIGKILL within 10 seconds (a process in uninterruptible sleep). A
    /// thread waits on to reap it.
    Unkillable,
    /// Another system call failed.
    Io,
}

#[derive(Debug, thiserror::Error)]
enum Repr {
    #[error("failed to run {command}: not found")]
    NotFound { command: String, source: io::Error },
    #[error("failed to run {command}: it cannot be executed")]
    NotExecutable { command: String, source: io::Error },
    #[error("failed to run {command}: cannot enter the directory {directory}")]
    BadDirectory {
        command: String,
        directory: String,
        source: io::Error,
    },
    #[error("failed to run {command}: an argument or a variable contains a NUL byte")]
    InvalidCommand { command: String, source: io::Error },
    #[error("failed to {tried}: out of resources; raise the limit (ulimit -n, -u) or try later")]
    Resources { tried: String, source: io::Error },
    #[error(
        "{stream} passed its limit of {limit} bytes; raise it, or choose to keep the head or the tail"
    )]
    Limit { stream: &'static str, limit: usize },
    #[error("the strategy {strategy} cannot {what}")]
    Unsupported {
        strategy: &'static str,
        what: String,
    },
    #[error(
        "failed to watch the child: pidfd_open needs Linux 5.3 or later, and a filter that allows it"
    )]
    NoPidfd { source: io::Error },
    #[error(
        "process {pid} did not die of SIGKILL within 10 s; it sleeps uninterruptibly in the kernel"
    )]
    Unkillable { pid: i32 },
    #[error("failed to {tried}")]
    Io { tried: String, source: io::Error },
}

impl Error {
    /// What sort of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self.repr {
            Repr::NotFound { .. } => ErrorKind::NotFound,
            Repr::NotExecutable { .. } => ErrorKind::NotExecutable,
            Repr::BadDirectory { .. } => ErrorKind::BadDirectory,
            Repr::InvalidCommand { .. } => ErrorKind::InvalidCommand,
            Repr::Resources { .. } => ErrorKind::Resources,
            Repr::Limit { .. } => ErrorKind::Limit,
            Repr::Unsupported { .. } | Repr::NoPidfd { .. } => ErrorKind::Unsupported,
            Repr::Unkillable { .. } => ErrorKind::Unkillable,
            Repr::Io { .. } => ErrorKind::Io,
        }
    }

    /// What had been captured when the error came up, if a child had been started.
    pub fn partial(&self) -> Option<&Captured> {
        self.partial.as_deref()
    }

    /// As [`Error::partial`], by value.
    pub fn into_partial(self) -> Option<Captured> {
        self.partial.map(|captured| *captured)
    }

    pub(crate) fn with_partial(mut self, captured: Captured) -> Self {
        self.partial = Some(Box::new(captured));
        self
    }

    /// A system call failed: `tried` says to do what, on what.
    pub(crate) fn system(tried: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        let (tried, source) = (tried.into(), cause.into());
        if is_shortage(&source) {
            Repr::Resources { tried, source }.into()
        } else {
            Repr::Io { tried, source }.into()
        }
    }

    pub(crate) fn limit(stream: &'static str, limit: usize) -> Self {
        Repr::Limit { stream, limit }.into()
    }

    pub(crate) fn unsupported(strategy: &'static str, what: impl Into<String>) -> Self {
        Repr::Unsupported {
            strategy,
            what: what.into(),
        }
        .into()
    }

    pub(crate) fn no_pidfd(cause: Errno) -> Self {
        Repr::NoPidfd {
            source: cause.into(),
        }
        .into()
    }

    pub(crate) fn unkillable(pid: i32) -> Self {
        Repr::Unkillable { pid }.into()
    }

    /// A spawn failed. The kernel gives one errno for the program, its interpreter and the
    /// directory, so the directory is looked at again; a change in between gives the other name to
    /// the same failure.
    pub(crate) fn spawn(command: &Command, source: io::Error) -> Self {
        let name = command.to_string();
        if let Some(directory) = &command.directory
            && let Err(source) =
                rustix::fs::access(directory.join("."), rustix::fs::Access::EXEC_OK)
        {
            let directory = format!("{:?}", directory.as_os_str());
            return Repr::BadDirectory {
                command: name,
                directory,
                source: source.into(),
            }
            .into();
        }
        let repr = match source.kind() {
            _ if is_shortage(&source) => Repr::Resources {
                tried: format!("start {name}"),
                source,
            },
            io::ErrorKind::NotFound => Repr::NotFound {
                command: name,
                source,
            },
            io::ErrorKind::InvalidInput if source.raw_os_error().is_none() => {
                Repr::InvalidCommand {
                    command: name,
                    source,
                }
            }
            _ => Repr::NotExecutable {
                command: name,
                source,
            },
        };
        repr.into()
    }
}

fn is_shortage(cause: &io::Error) -> bool {
    let errno = cause.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS)
    ) || cause.kind() == io::ErrorKind::OutOfMemory
}

impl From<Repr> for Error {
    fn from(repr: Repr) -> Self {
        Error {
            repr,
            partial: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repr.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("repr", &self.repr)
            .field("partial", &self.partial)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.repr)
    }
}

/// A name that none of the choices has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {noun} is named {name:?}; choose one of {choices}")]
pub struct UnknownName {
    noun: &'static str,
    name: String,
    choices: String,
}

impl UnknownName {
    /// The choice of that name.
    pub(crate) fn look_up<T: Copy>(
        noun: &'static str,
        name: &str,
        all: &[T],
        name_of: fn(T) -> &'static str,
    ) -> Result<T, UnknownName> {
        all.iter()
            .copied()
            .find(|choice| name_of(*choice) == name)
            .ok_or_else(|| UnknownName {
                noun,
                name: name.to_owned(),
                choices: all
                    .iter()
                    .map(|choice| name_of(*choice))
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}
