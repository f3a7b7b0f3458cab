//! `stdout_then_stderr`: reads stdout to its end, and stderr after that.
//!
//! What it does: `read_to_end` on one stream, then on the other, then `wait()`.
//!
//! When it deadlocks: as soon as the child writes more to stderr than its pipe holds while stdout
//! is still open; what it writes to stdout does not matter.
//!
//! The smallest scenario: `sh -c 'head -c 65537 /dev/zero >&2; exit'`, where the shell keeps stdout
//! open; with 65,536 it ends.
//!
//! What it costs when it works: stderr waits in the kernel until stdout is closed.

use super::Method;
use super::specimen::{Specimen, captured, read_to_end};
use crate::channel::Capacity;
use crate::{Captured, Error};

pub(super) const METHOD: Method = Method::Hazard(stdout_then_stderr);

fn stdout_then_stderr(specimen: &Specimen<'_>) -> Result<Captured, Error> {
    let mut child = specimen.start_and_feed(Capacity::Default)?;
    let stdout = read_to_end("stdout", &child.stdout)?;
    let stderr = read_to_end("stderr", &child.stderr)?;
    let status = child.leader.wait4()?;
    Ok(captured(status, stdout, stderr))
}
