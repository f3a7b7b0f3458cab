//! The only reader of /proc: pure parsers, a scan of a root path, a stable double scan.

mod calls;
pub mod children;
mod confirm;
mod decode;
mod gaps;
mod holders;
mod index;
mod lane;
mod memory;
mod needs;
pub mod parse;
mod pass;
mod process;
mod scanner;
mod sockdiag;
mod sockets;
mod source;
mod suspects;
mod table;
mod task;

pub use scanner::{ScanError, Scanner, Selection};
