//! The model against the kernel that the tests run on: real pipes, non-blocking descriptors, no processes.

mod agreement;
mod blocked_writer;
mod measured;
mod real;
