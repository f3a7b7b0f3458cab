//! Fills pipes of this kernel, to see what they hold.

use std::collections::BTreeSet;

use pipeclog_scenario::capacity::Filled;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// Write sizes for each doubling of the size.
const FOR_EACH_OCTAVE: u32 = 12;
/// The largest write.
const LARGEST: u64 = 65_536;

/// A pipe could not be made or written to.
#[derive(Debug, thiserror::Error)]
#[error("failed to fill a pipe with writes of {write_bytes} bytes ({call}): {source}")]
pub struct FillError {
    /// The size of the writes.
    pub write_bytes: u64,
    /// The call.
    pub call: &'static str,
    /// Why.
    pub source: Errno,
}

/// Write sizes from 1 to 65,536 bytes, evenly apart on a logarithmic axis, and those at which pages are cut.
#[must_use]
pub fn write_sizes(page_bytes: u64) -> Vec<u64> {
    let octaves = LARGEST.ilog2();
    let steps = (0..=octaves * FOR_EACH_OCTAVE).map(|step| {
        (f64::from(step) / f64::from(FOR_EACH_OCTAVE))
            .exp2()
            .round() as u64
    });
    let cuts = (1..=4).flat_map(|parts| [page_bytes / parts, page_bytes / parts + 1]);
    let all: BTreeSet<u64> = steps
        .chain(cuts)
        .filter(|size| (1..=LARGEST).contains(size))
        .collect();
    all.into_iter().collect()
}

/// Writes to a new pipe that nobody reads, without blocking, until it takes no more. What it holds then is what it would
/// hold if the writer had blocked: the kernel fills its slots by the same code and differs in what it returns
/// (`anon_pipe_write` in `fs/pipe.c`).
///
/// # Errors
///
/// When no pipe can be made, or a write fails for another reason than that the pipe is full.
pub fn fill(write_bytes: u64) -> Result<Filled, FillError> {
    let failed = |call| {
        move |source| FillError {
            write_bytes,
            call,
            source,
        }
    };
    let (_read, write) =
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(failed("pipe2"))?;
    let filled = |held_bytes| Filled {
        write_bytes,
        held_bytes,
    };
    let bytes = vec![b'x'; usize::try_from(write_bytes).unwrap_or(usize::MAX)];
    let mut held_bytes = 0;
    loop {
        match rustix::io::write(&write, &bytes) {
            Ok(taken) if taken as u64 == write_bytes => held_bytes += write_bytes,
            // Here a writer would block. One more write could still put its own odd bytes into the last slot.
            Ok(taken) => return Ok(filled(held_bytes + taken as u64)),
            Err(Errno::AGAIN) => return Ok(filled(held_bytes)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("write")(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use pipeclog_pipemodel::WriteMode;
    use pipeclog_pipemodel::capacity::Fill;

    use super::*;

    #[test]
    fn this_kernel_holds_what_the_model_says() {
        let machine = crate::machine::describe("test").unwrap();
        let facts = crate::machine::pipes(&machine).unwrap();
        let sizes = write_sizes(u64::from(machine.page_bytes));
        assert!(sizes.len() > 150, "{}", sizes.len());
        let model: Vec<_> = Fill::sweep(facts.new_pipe, WriteMode::Stream, LARGEST).collect();
        for size in sizes {
            let filled = fill(size).unwrap();
            let (_, predicted) = model[usize::try_from(size).unwrap() - 1];
            assert_eq!(filled.held_bytes, predicted.bytes, "writes of {size}");
        }
    }
}
