//! Processes that end with the bench.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};

/// Shells, each with whatever it starts.
#[derive(Debug, Default)]
pub struct Group(Vec<Child>);

impl Group {
    /// Starts one more shell, in a process group of its own, and says its number.
    pub fn spawn(&mut self, script: &str, stdin: Stdio, stdout: Stdio) -> u32 {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(stdin).stdout(stdout);
        // Whoever reads the bench's own would wait for all of the group.
        command.stderr(Stdio::null());
        let child = command.process_group(0).spawn().expect("a shell");
        let number = child.id();
        self.0.push(child);
        number
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let group = nix::unistd::Pid::from_raw(child.id().cast_signed());
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}
