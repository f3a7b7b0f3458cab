//! Why a command could not be supervised.

use std::io;

use pipeclog_procscan::ScanError;

use crate::keeper::KEEPER_COMMAND;
use crate::tree::TreeError;

/// The supervision failed. What had been started has been ended.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// A system call refused.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The keeper could not be started, or its tree not be ended.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// `/proc` cannot be read at all.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The keeper died before the command.
    #[error(
        "the process that keeps the command's tree together (pipeclog {KEEPER_COMMAND}) has ended before its time, killed by somebody \
         else unless it said why; the tree has been ended"
    )]
    KeeperLost,
}

/// A system call refused.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what}: {source}")]
pub struct SystemError {
    what: &'static str,
    source: io::Error,
}

/// Says what was tried, of an error of the standard library or a bare errno.
pub(crate) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> SystemError {
    move |error| SystemError {
        what,
        source: error.into(),
    }
}
