#![doc = include_str!("../README.md")]

pub mod curve;
pub mod matrix;
