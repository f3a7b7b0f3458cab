#![doc = include_str!("../README.md")]

mod evidence;
pub mod fixtures;
mod judge;
pub mod library;
pub mod pool;
mod quiet;
mod tree;
pub mod trial;
mod watch;
