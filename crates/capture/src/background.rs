//! What becomes of a background descendant that still writes when the capture is over.

use std::str::FromStr;

use crate::error::UnknownName;

/// What happens to a stream that a descendant still holds when the capture returns. (Under a file
/// strategy there is nothing to decide: the descendant writes into the file for as long as it
/// likes.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// A thread of this process reads on, and throws away, until the last writer closes. The thread
    /// is not joined and does not keep the process alive: when the process exits, the pipe breaks,
    /// and the descendant's next write raises SIGPIPE. A descendant that must outlive the caller
    /// needs a file of its own, or [`Background::HandBack`].
    KeepDraining,
    /// Our ends come back in [`crate::Captured::still_open`], for a caller that will not live as long as the
    /// descendant: it can give them to a process that does.
    HandBack,
    /// Our end is closed at once: the descendant's next write raises SIGPIPE, which kills it unless
    /// it expects that. On a socket, a write that waits at that moment fails with ECONNRESET or EPIPE,
    /// without a signal (kernel `unix_release_sock`, `sock_alloc_send_pskb`).
    Abandon,
}

impl Background {
    /// Every choice.
    pub const ALL: [Background; 3] = [
        Background::KeepDraining,
        Background::HandBack,
        Background::Abandon,
    ];

    /// The name, as a command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Background::KeepDraining => "keep-draining",
            Background::HandBack => "hand-back",
            Background::Abandon => "abandon",
        }
    }
}

impl FromStr for Background {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        UnknownName::look_up("background choice", name, &Self::ALL, Self::name)
    }
}
