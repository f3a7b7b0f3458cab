//! Taking out of a look what its owner may not want to hand on: arguments, paths, captured bytes.

use std::collections::BTreeMap;

use crate::descriptor::{Object, Table};
use crate::snapshot::{Process, Snapshot};
use crate::untrusted::Untrusted;
use crate::wait::Wait;

/// What stands where something was taken out.
const REDACTED: &str = "(redacted)";

/// What a gap says once its text, which may hold a path, is taken out; its kind and its process still stand in the data.
const GAP: &str = "something could not be read (what and why was redacted)";

/// Takes out of `looks` every argument, every path (of a program all but its last part), the captured bytes and the
/// texts of gaps. Programs keep their names, and those that differed still differ: the verdict is the same.
pub fn redact(looks: &mut [Snapshot]) {
    let mut programs = BTreeMap::new();
    for process in looks.iter().flat_map(|look| &look.processes) {
        if let Some(exe) = &process.exe {
            let number = programs.len();
            programs.entry(exe.clone()).or_insert(number);
        }
    }
    for look in looks {
        for process in &mut look.processes {
            redact_process(process, &programs);
        }
        for peek in &mut look.peeks {
            peek.head = hidden(&peek.head);
        }
        for gap in &mut look.gaps {
            gap.why = GAP.to_owned();
            gap.remedy = None;
        }
    }
}

fn redact_process(process: &mut Process, programs: &BTreeMap<Untrusted, usize>) {
    // One word stands for all arguments: how many they were is nobody's business either.
    process.cmdline.truncate(2);
    if let Some(arguments) = process.cmdline.get_mut(1) {
        *arguments = REDACTED.into();
    }
    if let Some(program) = process.cmdline.first_mut() {
        *program = last_part(program).to_vec().into();
    }
    if let Some(exe) = &mut process.exe {
        // Whether two processes run the same program is evidence; where it lies is not.
        let number = programs.get(exe).copied().unwrap_or_default();
        let mut path = format!("{REDACTED} {number}/").into_bytes();
        path.extend_from_slice(last_part(exe));
        *exe = path.into();
    }
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
