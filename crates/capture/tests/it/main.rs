//! What the library promises, on real children.

mod support;

mod bytes;
mod deadline;
mod ends;
mod failures;
mod fallback;
mod hazards;
mod limits;
mod lints;
mod process;
mod stopper;
mod strategies;
