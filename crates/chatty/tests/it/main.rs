//! The real binary, operation by operation.
#![expect(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, in its helpers too"
)]

mod background;
mod child;
mod command_line;
mod output;
mod states;
mod stdin;
