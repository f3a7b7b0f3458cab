//! `write_stdin_then_read`: writes all of stdin, and reads after that.
//!
//! What it does: `stdin.write_all(input)`, closes it, and then reads both streams together, as it
//! should.
//!
//! When it deadlocks: when the input is more than the stdin pipe holds and what the child has read,
//! and the child is blocked on an output pipe that is full: for a filter that answers byte for
//! byte, about twice 65,536 bytes and its own buffer.
//!
//! The smallest scenario: `cat` with 1 MiB of stdin; with 64 KiB it ends.
//!
//! What it costs when it works: nothing is read until all is written.

use super::Method;
use super::specimen::{Specimen, write_all};
use crate::channel::Capacity;
use crate::engine::Poll;
use crate::flow::Flow;
use crate::lull::Lull;
use crate::session::Session;
use crate::stopper::Stopping;
use crate::stream::{Source, Stream};
use crate::{Background, Captured, End, Error, Kill, descriptors};

pub(super) const METHOD: Method = Method::Hazard(write_stdin_then_read);

fn write_stdin_then_read(specimen: &Specimen<'_>) -> Result<Captured, Error> {
    let child = specimen.start(Capacity::Default)?;
    if let Some(feed) = child.feed {
        write_all(feed)?;
    }
    for fd in [&child.stdout, &child.stderr] {
        descriptors::set_nonblocking(fd)?;
    }
    let flow = Flow {
        leader: child.leader,
        feed: None,
        stdout: Stream::new("stdout", Source::Pipe(child.stdout), None),
        stderr: Stream::new("stderr", Source::Pipe(child.stderr), None),
        stopping: Stopping::default(),
        lull: Lull::new(),
    };
    let mut session = Session::new(
        flow,
        Box::new(Poll),
        End::EndOfFile,
        Kill::LEADER,
        Background::Abandon,
    );
    session.wait(None)?;
    session.finish()
}
