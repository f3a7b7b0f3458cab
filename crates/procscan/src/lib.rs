#![doc = include_str!("../README.md")]

mod calls;
pub mod children;
mod confirm;
mod decode;
mod duplicate;
mod gaps;
mod holders;
mod index;
mod lane;
pub mod limits;
mod locks;
mod memo;
mod memory;
mod needs;
pub mod parse;
mod pass;
mod peek;
mod process;
mod pulse;
mod scanner;
mod share;
mod sockdiag;
mod sockets;
mod source;
mod suspects;
mod table;
mod task;
mod toolchain;
mod watch;

pub use pulse::{Pulse, TaskPulse};
pub use scanner::{ScanError, Scanner, Selection};
