#![doc = include_str!("../README.md")]

mod answer;
mod boundary;
pub mod conformance;
pub mod curve;
mod document;
mod evidence;
mod glance;
mod hung;
mod machine;
mod markdown;
pub mod matrix;
mod names;
mod statistics;
mod throughput;

pub use document::markdown;
