//! What the library promises, on real children.

mod support;

mod bytes;
mod deadline;
mod ends;
mod failures;
mod fallback;
mod faults;
mod files;
mod hazards;
mod kernels;
mod limits;
mod lints;
mod many;
mod process;
mod stopper;
mod strategies;
