//! What to run.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// A program, its arguments, its environment and its directory: plain data, run by
/// [`crate::Capture::run`].
///
/// It is not `std::process::Command`, since that one also carries file descriptors and hooks; here
/// the strategy alone decides what the child's 0, 1 and 2 are. The same command can be run many
/// times.
///
/// ```
/// let command = pipeclog_capture::Command::new("git").args(["log", "--oneline"]).current_dir("/");
/// assert_eq!(command.to_string(), r#""git" "log" "--oneline""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    /// In the order given; a later entry for a name wins.
    pub(crate) env: Vec<(OsString, EnvChange)>,
    pub(crate) env_start: EnvStart,
    pub(crate) directory: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EnvChange {
    Set(OsString),
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnvStart {
    Inherited,
    Empty,
}

impl Command {
    /// A command that runs `program`, looked up in `PATH` unless it contains a slash, with the
    /// caller's environment and directory.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Command {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            env_start: EnvStart::Inherited,
            directory: None,
        }
    }

    /// Adds one argument. No shell is involved: it arrives as it stands.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let change = EnvChange::Set(value.as_ref().to_owned());
        self.env.push((name.as_ref().to_owned(), change));
        self
    }

    /// Takes one variable out of the child's environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), EnvChange::Remove));
        self
    }

    /// Starts the child's environment from nothing, forgetting changes made so far.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.env.clear();
        self.env_start = EnvStart::Empty;
        self
    }

    /// Runs the child in `directory`. A relative program path with a slash is then looked up by the
    /// child, from there.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// The program, as given.
    pub fn program(&self) -> &OsStr {
        &self.program
    }
}

/// The program and its arguments, each quoted and escaped as Rust would, so that no control
/// character reaches a terminal. For people; not shell syntax.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.program)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg:?}"))
    }
}
