//! The data that every other crate speaks: what the chatty child does (a [`script`]), how a parent
//! captures it (a [`strategy`]), what must come of the two (a [`scenario`]) and what did (an [`outcome`]).
//!
//! Pure: nothing here runs anything, reads a file or a clock.

pub mod bound;
pub mod boundary;
pub mod capacity;
pub mod check;
pub mod claims;
pub mod expect;
pub mod family;
pub mod goals;
pub mod incidents;
pub mod languages;
pub mod machine;
pub mod outcome;
pub mod pattern;
pub mod plan;
pub mod predict;
pub mod repro;
pub mod scenario;
pub mod script;
pub mod shape;
pub mod strategy;
pub mod throughput;
pub mod verify;
