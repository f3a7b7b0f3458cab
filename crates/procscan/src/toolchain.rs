//! What built a program, by what its compiler leaves in it: read from the memory of those alone of whom it is asked.

use std::collections::BTreeSet;

use memchr::memmem;
use pipeclog_waitgraph::snapshot::{Pid, Snapshot, Toolchain};

use crate::memory::Memory;
use crate::parse::{Backing, Mapping, Maps, Protection, Sharing};
use crate::source::Source;

/// What Go's linker puts at the start of a program's data (Go, `debug/buildinfo`).
const GO_MARK: &[u8] = b"\xff Go buildinf:";
/// How much of a data segment Go itself searches for the mark.
const GO_SEARCH: u64 = 64 << 10;
/// Source files of Rust's standard library, in the places that panics tell of: each program has some, wherever its library was
/// built, unless it was built to tell of none (`-Zlocation-detail=none`).
const RUST_LIBRARY: &[u8] = b"library/";
const RUST_MARKS: [&[u8]; 3] = [b"core/src/", b"std/src/", b"alloc/src/"];
/// How much of a program is read at most, and at once.
const MOST: u64 = 16 << 20;
const PIECE: u64 = 256 << 10;
/// A program's own mappings lie close together, with its libraries far away.
const APART: u64 = 64 << 20;

/// Notes of these processes what built them.
pub(crate) fn run(source: &dyn Source, look: &mut Snapshot, pids: &BTreeSet<Pid>) {
    for process in &mut look.processes {
        if pids.contains(&process.pid) && process.toolchain == Toolchain::NotLooked {
            process.toolchain = of(&Memory::new(source, process.pid.0, process.abi));
        }
    }
}

fn of(memory: &Memory<'_>) -> Toolchain {
    let Ok(maps) = memory.maps() else {
        return Toolchain::NotLooked;
    };
    match (is_go(maps, memory), is_rust(maps, memory)) {
        (Some(true), _) => Toolchain::Go,
        (_, Some(true)) => Toolchain::Rust,
        (Some(false), Some(false)) => Toolchain::Other,
        _ => Toolchain::NotLooked,
    }
}

/// `None` if it could not be read.
pub(crate) fn is_go(maps: &Maps, memory: &Memory<'_>) -> Option<bool> {
    // The program's own mappings come first, its data the first of those that it may write.
    let data = maps.iter().find(|mapping| {
        mapping.sharing == Sharing::Private
            && mapping.protection == Protection::Writable
            && mapping.backing != Backing::Anonymous
    });
    let Some(data) = data else {
        return Some(false);
    };
    let bytes = memory.bytes(data.start, GO_SEARCH.min(data.end - data.start));
    bytes
        .ok()
        .map(|bytes| memmem::find(&bytes, GO_MARK).is_some())
}

fn is_rust(maps: &Maps, memory: &Memory<'_>) -> Option<bool> {
    let library = memmem::Finder::new(RUST_LIBRARY);
    let mut left = MOST;
    for mapping in constants(maps) {
        let mut at = mapping.start;
        while at < mapping.end && left > 0 {
            let piece = PIECE.min(mapping.end - at);
            let bytes = memory.bytes(at, piece).ok()?;
            let mut sources = library
                .find_iter(&bytes)
                .filter_map(|at| bytes.get(at + RUST_LIBRARY.len()..));
            if sources.any(|source| RUST_MARKS.iter().any(|mark| source.starts_with(mark))) {
                return Some(true);
            }
            left = left.saturating_sub(piece);
            at += piece;
        }
    }
    Some(false)
}

/// The mappings of the program's own file that it may not write: its constants are among them. A mark that lies across two
/// pieces is missed; there are many.
fn constants(maps: &Maps) -> impl Iterator<Item = &Mapping> {
    let mut end = maps.iter().next().map_or(0, |first| first.start);
    let own = maps.iter().take_while(move |mapping| {
        let is_near = mapping.start.saturating_sub(end) < APART;
        end = mapping.end;
        is_near
    });
    own.filter(|mapping| {
        mapping.protection == Protection::ReadOnly && mapping.backing != Backing::Anonymous
    })
}
