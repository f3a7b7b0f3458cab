#![doc = include_str!("../README.md")]

mod answer;
mod boundary;
mod claims;
pub mod conformance;
mod contest;
pub mod curve;
mod document;
mod evidence;
mod figure;
mod glance;
pub mod html;
mod hung;
mod incidents;
mod languages;
mod loop_graph;
mod machine;
mod markdown;
pub mod matrix;
mod names;
mod plot;
mod statistics;
pub mod summary;
mod throughput;
pub mod verdicts;

pub use document::{Document, document};
pub use figure::Figure;
