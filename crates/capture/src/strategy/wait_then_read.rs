//! `wait_then_read`: waits for the child's exit, and reads its pipes then.
//!
//! What it does: `child.wait()`, then both pipes to their ends; what many first programs do, in
//! every language.
//!
//! When it deadlocks: as soon as the child writes more to one stream than its pipe holds. That is
//! 65,536 bytes in writes that fill whole pages, and as few as 32,784 in writes of 2,049 bytes
//! (pipe(7)).
//!
//! The smallest scenario: `sh -c 'head -c 65537 /dev/zero'`; with 65,536 it ends.
//!
//! What it costs when it works: nothing beyond the child, and not a byte is read while it runs. It
//! then hangs again on a background descendant that holds a pipe, since it reads to the end of
//! file.

use super::Method;
use super::specimen::{Specimen, captured, read_to_end};
use crate::channel::Capacity;
use crate::{Captured, Error};

pub(super) const METHOD: Method =
    Method::Hazard(|specimen| wait_then_read(specimen, Capacity::Default));

pub(super) fn wait_then_read(
    specimen: &Specimen<'_>,
    capacity: Capacity,
) -> Result<Captured, Error> {
    let mut child = specimen.start_and_feed(capacity)?;
    let status = child.leader.wait4()?;
    let stdout = read_to_end("stdout", &child.stdout)?;
    let stderr = read_to_end("stderr", &child.stderr)?;
    Ok(captured(status, stdout, stderr))
}
