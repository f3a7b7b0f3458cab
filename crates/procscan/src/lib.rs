//! The only reader of /proc: pure parsers, a scan of a root path, a stable double scan.

mod lane;
pub mod parse;
mod sockdiag;
mod source;
