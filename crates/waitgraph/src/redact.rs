//! Taking out of a look what its owner may not want to hand on: arguments, paths, names, captured bytes.

mod gaps;
mod names;

use std::collections::BTreeMap;

use crate::descriptor::{Object, Table};
use crate::fixes::cargo_folder;
use crate::snapshot::{Process, Snapshot};
use crate::untrusted::Untrusted;
use crate::wait::Wait;

use self::names::Names;

/// What stands where something was taken out.
const REDACTED: &str = "(redacted)";

/// Takes out of `looks` every argument, every path, the captured bytes, the names of programs and threads that not everybody has,
/// and the texts of gaps but for words of ours. What the rules go by stays: interpreters and well-known programs keep their names,
/// those that differed still differ, and the verdict, the class, the fix's language and the commands that close gaps are the same.
pub fn redact(looks: &mut [Snapshot]) {
    let mut redaction = Redaction::default();
    for look in looks {
        // What a builder of kernels adds to the version may be anybody's name.
        let release = look.scan.kernel.as_bytes();
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let number = release.iter().take_while(|byte| is_number(byte)).count();
        look.scan.kernel = release.get(..number).unwrap_or_default().into();
        for process in &mut look.processes {
            redaction.process(process);
        }
        for peek in &mut look.peeks {
            peek.head = hidden(&peek.head);
        }
        look.gaps.iter_mut().for_each(gaps::redact);
    }
}

/// What was seen so far: the same thing becomes the same in every look.
#[derive(Default)]
struct Redaction {
    names: Names,
    programs: BTreeMap<Untrusted, usize>,
}

impl Redaction {
    fn process(&mut self, process: &mut Process) {
        // One word stands for all arguments: how many they were is nobody's business either.
        process.cmdline.truncate(2);
        if let Some(arguments) = process.cmdline.get_mut(1) {
            *arguments = REDACTED.into();
        }
        if let Some(program) = process.cmdline.first_mut() {
            *program = self.names.program(last_part(program));
        }
        if let Some(exe) = &mut process.exe {
            *exe = self.exe(exe);
        }
        let comm = std::mem::take(&mut process.comm);
        process.comm = self.names.program(comm.as_bytes());
        for task in &mut process.tasks {
            task.comm = self.names.thread(task.comm.as_bytes(), comm.as_bytes());
        }
        redact_paths(process);
    }

    /// Whether two processes run the same program is evidence, and so is that cargo built it; where it lies is not.
    fn exe(&mut self, exe: &Untrusted) -> Untrusted {
        let next = self.programs.len();
        let number = *self.programs.entry(exe.clone()).or_insert(next);
        let folder = cargo_folder(exe.as_bytes()).unwrap_or("/");
        let mut path = format!("{REDACTED} {number}{folder}").into_bytes();
        path.extend_from_slice(self.names.program(last_part(exe)).as_bytes());
        path.into()
    }
}

fn redact_paths(process: &mut Process) {
    redact_table(&mut process.table);
    for task in &mut process.tasks {
        if let Wait::FifoOpen {
            path: Some(path), ..
        } = &mut task.wait
        {
            *path = hidden(path);
        }
        if let Some(table) = &mut task.own_table {
            redact_table(table);
        }
    }
}

fn redact_table(table: &mut Table) {
    let (Table::Complete(descriptors) | Table::Channels(descriptors)) = table else {
        return;
    };
    for descriptor in descriptors {
        match &mut descriptor.object {
            Object::Fifo { path, .. } | Object::File { path } | Object::Device { path, .. } => {
                *path = hidden(path)
            }
            Object::Unknown { link } => *link = hidden(link),
            Object::Pipe { .. }
            | Object::UnixSocket { .. }
            | Object::PtyMaster { .. }
            | Object::PtySlave { .. }
            | Object::Eventfd { .. }
            | Object::Pidfd { .. }
            | Object::Signalfd { .. }
            | Object::Timerfd { .. }
            | Object::Epoll { .. }
            | Object::IoUring { .. }
            | Object::FileEvents
            | Object::OtherSocket { .. } => {}
        }
    }
}

/// What was empty stays so.
fn hidden(text: &Untrusted) -> Untrusted {
    if text.is_empty() {
        text.clone()
    } else {
        REDACTED.into()
    }
}

fn last_part(path: &Untrusted) -> &[u8] {
    path.as_bytes()
        .rsplit(|b| *b == b'/')
        .next()
        .unwrap_or_default()
}
