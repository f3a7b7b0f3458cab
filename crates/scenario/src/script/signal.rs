//! Signals by name; this crate makes no system call and so needs no numbers.

use serde::{Deserialize, Serialize};

/// A signal that a script can name: those that hang, stop or end programs (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are those of signal(7)")]
pub enum Signal {
    Hup,
    Int,
    Quit,
    Abrt,
    Kill,
    Segv,
    Pipe,
    Alrm,
    Term,
    Usr1,
    Usr2,
}

impl Signal {
    /// Every one of them.
    pub const ALL: [Self; 11] = [
        Self::Hup,
        Self::Int,
        Self::Quit,
        Self::Abrt,
        Self::Kill,
        Self::Segv,
        Self::Pipe,
        Self::Alrm,
        Self::Term,
        Self::Usr1,
        Self::Usr2,
    ];

    /// The name without `SIG`, as `kill -l` prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Abrt => "ABRT",
            Self::Kill => "KILL",
            Self::Segv => "SEGV",
            Self::Pipe => "PIPE",
            Self::Alrm => "ALRM",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
        }
    }
}
