//! A look into channels, which is asked for by name.

use std::collections::BTreeSet;

use pipeclog_waitgraph::channel::Channel;
use pipeclog_waitgraph::snapshot::{Descriptor, Facet, Object, Peek, Process, Snapshot, Table};

use crate::gaps::{Gaps, Owner};
use crate::source::Source;

/// Puts into `look` what is inside each of the channels: one after the other, each by a duplicate that lives for that one
/// question.
pub(crate) fn run(source: &dyn Source, look: &mut Snapshot, channels: &BTreeSet<Channel>) {
    let mut gaps = Gaps::new(source, source.facts());
    let inodes: BTreeSet<u64> = channels.iter().flat_map(Channel::inodes).collect();
    for inode in inodes {
        if let Some(peek) = one(source, look, inode, &mut gaps) {
            look.peeks.push(peek);
        }
    }
    look.gaps.extend(gaps.into_list());
    look.gaps.sort();
    look.gaps.dedup();
}

/// By the first reading end that lets itself be asked. What none of them says is a gap; that there is none is not: then
/// nothing is left in it for anybody.
fn one(source: &dyn Source, look: &Snapshot, inode: u64, gaps: &mut Gaps) -> Option<Peek> {
    let mut failures = Vec::new();
    for (process, descriptor) in look.processes.iter().flat_map(reading_ends(inode)) {
        match source.contents(process.pid.0, descriptor.fd, inode) {
            Ok(contents) => {
                return Some(Peek {
                    inode,
                    unread_bytes: Some(contents.unread_bytes),
                    capacity_bytes: contents.capacity_bytes,
                    head: contents.head,
                });
            }
            Err(error) => failures.push((process, error)),
        }
    }
    for (process, error) in failures {
        let owner = Owner {
            pid: process.pid.0,
            tid: None,
            uid: process.uid,
        };
        gaps.of(owner, Facet::Contents, &error);
    }
    None
}

fn reading_ends<'a>(inode: u64) -> impl Fn(&'a Process) -> Vec<(&'a Process, &'a Descriptor)> {
    move |process| {
        let own = process
            .tasks
            .iter()
            .filter_map(|task| task.own_table.as_ref());
        let known = std::iter::once(&process.table)
            .chain(own)
            .flat_map(Table::known);
        known
            .filter(|descriptor| is_reading_end(descriptor, inode))
            .map(|descriptor| (process, descriptor))
            .collect()
    }
}

fn is_reading_end(descriptor: &Descriptor, inode: u64) -> bool {
    match &descriptor.object {
        Object::Pipe { inode: own } => *own == inode && descriptor.access.reads(),
        Object::Fifo { file, .. } => file.ino == inode && descriptor.access.reads(),
        Object::UnixSocket { inode: own, .. } => *own == inode,
        _ => false,
    }
}
