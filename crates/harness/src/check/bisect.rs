//! The byte at which a wrapper begins to hang, and what that says of how it is wired to the child.

use std::num::NonZeroU64;

use pipeclog_scenario::check::edge::Edge;
use pipeclog_scenario::check::{Case, Finding, Wrapper};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_scenario::script::{Op, Script, Size, Stream, Write, WriteSize};

use crate::boundary::{Ended, bisect, largest_total};
use crate::check::Request;
use crate::pool::Pool;

/// The most bytes that are tried: far above what pipes, sockets and terminals hold.
pub const MOST: u64 = 4 << 20;
/// The lengths of the writes that are tried: between them they tell pipes, sockets and terminals apart.
pub const WRITE_SIZES: [u64; 2] = [4096, 1];
/// Writes of one byte are tried up to here: a pipe of the usual size, and a little more.
const MOST_OF_ONE: u64 = 140_000;

/// Runs trials until the edge is known to the byte.
pub fn search(pool: &Pool, wrapper: &Wrapper, stream: Stream, write_size: NonZeroU64) -> Edge {
    let most = if write_size.get() == 1 {
        MOST_OF_ONE
    } else {
        MOST
    };
    let likely = largest_total(PipeFacts::USUAL.new_pipe, write_size.get());
    let found = bisect(Some(likely), most, |bytes| {
        let request = Request {
            case: case(stream, write_size.get(), bytes),
            wrapper: wrapper.clone(),
        };
        match pool.check(&request) {
            Finding::Passed => Ended::Completes,
            Finding::Hung(hang) => Ended::Hangs(*hang),
            other => Ended::Unclear(other.to_string()),
        }
    });
    Edge {
        stream,
        write_size: write_size.get(),
        found,
    }
}

fn case(stream: Stream, write_size: u64, bytes: u64) -> Case {
    let mut write = match stream {
        Stream::Stdout => Write::new(bytes, 0),
        Stream::Stderr => Write::new(0, bytes),
    };
    write.write_size = WriteSize::Fixed(Size(write_size));
    let script = Script::new(vec![Op::Write(write)]);
    Case::of_script(bytes.to_string(), script)
}
