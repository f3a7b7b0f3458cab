#![doc = include_str!("../README.md")]

mod answer;
mod boundary;
pub mod conformance;
mod claims;
pub mod curve;
mod document;
mod evidence;
mod glance;
mod hung;
mod loop_graph;
mod machine;
mod markdown;
pub mod matrix;
mod names;
mod statistics;
mod throughput;

pub use document::markdown;
