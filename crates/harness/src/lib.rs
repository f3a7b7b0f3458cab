#![doc = include_str!("../README.md")]

pub mod cell;
mod evidence;
pub mod fixtures;
mod judge;
pub mod library;
pub mod pool;
mod quiet;
pub mod stop;
mod tree;
pub mod trial;
mod watch;
