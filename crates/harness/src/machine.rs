//! Asks the machine for what results depend on.

use std::path::Path;

use pipeclog_pipemodel::{Geometry, GeometryError, PageSize};
use pipeclog_scenario::machine::{Build, Machine};
use pipeclog_scenario::predict::PipeFacts;
use pipeclog_waitgraph::snapshot::Untrusted;
use rustix::io::Errno;

/// What the machine would not tell.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A pipe could not be made or asked.
    #[error("failed to ask a new pipe for its capacity ({call}): {}", why(*errno))]
    Pipe {
        /// The call.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
    /// Its answers make no pipe.
    #[error("failed to make sense of a pipe's capacity: {0}")]
    Geometry(#[from] GeometryError),
}

/// Describes this machine. `version` is that of the program that asks.
///
/// # Errors
///
/// When no pipe can be made, or its capacity is none.
pub fn describe(version: &str) -> Result<Machine, MachineError> {
    let name = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get());
    let system = rustix::system::sysinfo();
    // The unit is there for machines whose memory in bytes does not fit a word; it is 1 byte on all others.
    let memory_bytes = system.totalram as u64 * u64::from(system.mem_unit.max(1));
    Ok(Machine {
        kernel: Untrusted::from(name.release().to_bytes()),
        architecture: Untrusted::from(name.machine().to_bytes()),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_kib: memory_bytes / 1024,
        page_bytes: u32::try_from(rustix::param::page_size()).unwrap_or(u32::MAX),
        pipe_bytes: capacity_of_new_pipe()?,
        pipe_max_bytes: limit("pipe-max-size"),
        pipe_user_pages_soft: limit("pipe-user-pages-soft"),
        pipeclog: Untrusted::from(version),
        build: if cfg!(debug_assertions) {
            Build::Debug
        } else {
            Build::Release
        },
    })
}

/// What the model needs to know of that machine.
///
/// # Errors
///
/// When its page or its capacity is none that a pipe can have.
pub fn pipes(machine: &Machine) -> Result<PipeFacts, MachineError> {
    let page = PageSize::new(machine.page_bytes)?;
    let new_pipe = Geometry::from_request(page, machine.pipe_bytes)?;
    // A user over the soft limit has new pipes of fewer slots than the usual, and may not grow them.
    let shrunk = new_pipe.slots() < PipeFacts::USUAL.new_pipe.slots();
    let largest_bytes = match machine.pipe_max_bytes {
        _ if shrunk => machine.pipe_bytes,
        Some(bytes) => bytes,
        None => PipeFacts::USUAL.largest_bytes,
    };
    Ok(PipeFacts {
        new_pipe,
        largest_bytes,
    })
}

/// What a new pipe of this process holds, in bytes: one is made, asked and closed.
///
/// # Errors
///
/// When no pipe can be made or asked: the user may be over `pipe-user-pages-hard`.
pub fn capacity_of_new_pipe() -> Result<u64, MachineError> {
    let failed = |call| move |errno| MachineError::Pipe { call, errno };
    let (read, _write) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed("pipe2"))?;
    let bytes = rustix::pipe::fcntl_getpipe_size(&read).map_err(failed("F_GETPIPE_SZ"))?;
    Ok(bytes as u64)
}

/// What there is too many of says what to do (pipe(2)).
fn why(errno: Errno) -> String {
    match errno {
        Errno::MFILE => format!("{errno}; raise this process's limit of open files (ulimit -n)"),
        Errno::NFILE => format!(
            "{errno}; this user's pipes are at pipe-user-pages-hard, or the machine's files at file-max (/proc/sys/fs): close some"
        ),
        errno => errno.to_string(),
    }
}

/// A number of `/proc/sys/fs`; nothing if this kernel or container does not show it.
fn limit(name: &str) -> Option<u64> {
    let text = std::fs::read(Path::new("/proc/sys/fs").join(name)).ok()?;
    pipeclog_procscan::parse::count(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pipe_has_whole_pages_and_the_model_takes_them() {
        let machine = describe("0.0.0").unwrap();
        assert!(
            machine.pipe_bytes >= u64::from(machine.page_bytes),
            "{machine:?}"
        );
        let facts = pipes(&machine).unwrap();
        assert_eq!(facts.new_pipe.capacity_bytes(), machine.pipe_bytes);
        assert!(facts.largest_bytes >= machine.pipe_bytes);
    }
}
