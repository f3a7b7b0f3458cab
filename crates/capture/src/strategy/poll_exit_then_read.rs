//! `poll_exit_then_read`: asks again and again whether the child has exited, and reads its pipes
//! then.
//!
//! What it does: `while child.try_wait()?.is_none() { sleep }`, then both pipes to their ends.
//!
//! When it deadlocks: under the same condition as [`super::wait_then_read`], more output than a
//! pipe holds; but the caller is never blocked for good, so that the hang shows as a busy loop, or,
//! with a bound on the loop, as a child that "timed out".
//!
//! The smallest scenario: `sh -c 'head -c 65537 /dev/zero'`; with 65,536 it ends.
//!
//! What it costs when it works: up to one sleep (5 ms) after the child's exit, and 200 wake-ups a
//! second.

use std::time::Duration;

use super::Method;
use super::specimen::{Specimen, captured, read_to_end};
use crate::channel::Capacity;
use crate::{Captured, Error};

pub(super) const METHOD: Method = Method::Hazard(poll_exit_then_read);

const PAUSE: Duration = Duration::from_millis(5);

fn poll_exit_then_read(specimen: &Specimen<'_>) -> Result<Captured, Error> {
    let mut child = specimen.start_and_feed(Capacity::Default)?;
    let status = loop {
        if let Some(status) = child.leader.try_wait4()? {
            break status;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the sleep is the strategy under study"
        )]
        std::thread::sleep(PAUSE);
    };
    let stdout = read_to_end("stdout", &child.stdout)?;
    let stderr = read_to_end("stderr", &child.stderr)?;
    Ok(captured(status, stdout, stderr))
}
