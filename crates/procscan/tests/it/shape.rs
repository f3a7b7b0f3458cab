//! A program that hangs on purpose, in a process group of its own, which dies with the test.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid as Group;
use pipeclog_procscan::{Scanner, Selection};
use pipeclog_waitgraph::snapshot::{Pid, Process, Snapshot, Task, Wait};

/// How long a shape may take to hang; a loaded machine starts an interpreter in seconds.
const BOUND: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Shape {
    child: Child,
    /// What the file name of the program begins with: before it runs, a launcher script may, and wait as well.
    program: String,
}

impl Drop for Shape {
    fn drop(&mut self) {
        // The group has the leader's number, and the leader is not reaped before this.
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Group::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

impl Shape {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let program = command.get_program().to_str().unwrap();
        // A shell may be bash or dash by its file name.
        let program = if program == "sh" { "" } else { program }.to_owned();
        Self::spawn_as(command, &program)
    }

    /// Starts a command that comes to be that program.
    pub(crate) fn spawn_as(command: &mut Command, program: &str) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .process_group(0);
        Self {
            child: command.spawn().unwrap(),
            program: program.to_owned(),
        }
    }

    /// A Python program; `None`, said aloud, where there is no Python.
    pub(crate) fn python(program: &str) -> Option<Self> {
        if !is_installed("python3") {
            println!("skipped: python3 is not installed");
            return None;
        }
        let mut command = Command::new("python3");
        command.arg("-c").arg(program);
        Some(Self::spawn(&mut command))
    }

    /// Whether the process runs the program itself by now.
    fn is_up(&self, process: &Process) -> bool {
        let name = process
            .exe
            .as_ref()
            .and_then(|exe| exe.as_bytes().rsplit(|&b| b == b'/').next());
        name.is_some_and(|name| name.starts_with(self.program.as_bytes()))
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child
            .try_wait()
            .unwrap()
            .and_then(|status| status.code())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Group::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Scans until the program runs and the snapshot satisfies, and fails with the last one if it does not in time.
    pub(crate) fn scan_until(
        &self,
        what: &str,
        mut holds: impl FnMut(&Snapshot) -> bool,
    ) -> Snapshot {
        let mut scanner = Scanner::new("/proc").unwrap();
        let selection = Selection::Tree(vec![self.pid()]);
        let start = Instant::now();
        loop {
            let snapshot = scanner.scan(&selection).unwrap();
            let is_up = snapshot
                .process(self.pid())
                .is_some_and(|process| self.is_up(process));
            if is_up && holds(&snapshot) {
                return snapshot;
            }
            if start.elapsed() > BOUND {
                panic!(
                    "no {what} within {BOUND:?}: {:#?}",
                    snapshot.process(self.pid())
                );
            }
            // Nothing tells from outside that a task has come to sleep, so it is looked at again.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Scans until some task of the shape's own process waits as given, and returns the snapshot.
    pub(crate) fn waiting(&self, what: &str, mut is_it: impl FnMut(&Wait) -> bool) -> Snapshot {
        let pid = self.pid();
        self.scan_until(what, |snapshot| {
            let process = snapshot.process(pid);
            process.is_some_and(|process| process.tasks.iter().any(|task| is_it(&task.wait)))
        })
    }
}

pub(crate) fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).exists())
}

pub(crate) fn process(snapshot: &Snapshot, pid: Pid) -> &Process {
    snapshot
        .process(pid)
        .unwrap_or_else(|| panic!("{pid} is not in the snapshot"))
}

/// The first task of a process that waits as given.
pub(crate) fn task_that(process: &Process, mut is_it: impl FnMut(&Wait) -> bool) -> &Task {
    process.tasks.iter().find(|task| is_it(&task.wait)).unwrap()
}

/// Processes that hold the pipe of that inode, with its end open for reading or for writing.
pub(crate) fn holders(snapshot: &Snapshot, pipe: u64) -> Vec<(Pid, u32)> {
    use pipeclog_waitgraph::snapshot::Object;
    let all = snapshot
        .processes
        .iter()
        .flat_map(|p| p.table.known().iter().map(move |d| (p, d)));
    let on_pipe = all.filter(|(_, d)| matches!(d.object, Object::Pipe { inode } if inode == pipe));
    on_pipe.map(|(p, d)| (p.pid, d.fd)).collect()
}
