//! How long nobody in the tree has written.

use std::time::Duration;

/// Since when nobody has written.
#[derive(Default)]
pub(crate) struct Silence {
    pub(crate) since: Duration,
    pub(crate) written: u64,
    pub(crate) cannot_tell: bool,
}

/// Some process of the tree is another user's, or has changed its user.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to tell whether the command writes: a process of its tree may not be asked (/proc/PID/io), so --no-output will not \
     end it; run this as root"
)]
pub(crate) struct CannotTell;
