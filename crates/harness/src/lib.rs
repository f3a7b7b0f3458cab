#![doc = include_str!("../README.md")]

pub mod boundary;
pub mod capacity;
pub mod cell;
pub mod check;
pub mod claims;
mod delivered;
mod evidence;
pub mod fixtures;
pub mod incidents;
mod judge;
pub mod languages;
pub mod library;
pub mod machine;
pub mod pool;
mod quiet;
pub mod stop;
mod stuck;
pub mod throughput;
pub mod trial;
mod watch;
