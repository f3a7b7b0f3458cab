//! Real processes in real waits, and what the scan says of them.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::print_stdout, reason = "what is skipped is said aloud")]

mod channels;
mod denied;
mod fixtures;
mod hung;
mod namespaces;
mod parsers;
mod peek;
mod records;
mod shape;
mod storm;
mod tables;
mod trace;
mod waits;
