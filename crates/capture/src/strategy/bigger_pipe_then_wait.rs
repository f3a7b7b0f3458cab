//! `bigger_pipe_then_wait`: [`super::wait_then_read`] on pipes of 1 MiB.
//!
//! What it does: grows both pipes with `F_SETPIPE_SZ`, waits for the child's exit, and reads then:
//! the cure that is found first, and that moves the boundary.
//!
//! When it deadlocks: as soon as the child writes more to one stream than its pipe holds: 1,048,576
//! bytes, or what the kernel left it (65,536, or 8,192) when the user's pipe pages are used up and
//! growing is refused.
//!
//! The smallest scenario: `sh -c 'head -c 1048577 /dev/zero'`; with 1,048,576 it ends.
//!
//! What it costs when it works: 256 pages of the user's 16,384 for each pipe. 64 such pipes use
//! them up, and every later pipe of that user, in any program, holds 8,192 bytes.

use super::Method;
use super::wait_then_read::wait_then_read;
use crate::channel::Capacity;

/// `/proc/sys/fs/pipe-max-size`, unless the administrator changed it: the most that needs no
/// privilege.
const MOST: Capacity = Capacity::AtLeast(1024 * 1024);

pub(super) const METHOD: Method = Method::Hazard(|specimen| wait_then_read(specimen, MOST));
