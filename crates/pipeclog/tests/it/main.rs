//! The binary as a person or a program meets it, and the laws that hold for every script.

mod capture;
mod diagnose;
mod explain;
mod first;
mod fixtures;
mod generated;
mod laws;
mod leaked;
mod marked;
mod operations;
mod predict;
mod prove;
mod report;
mod repro;
mod rescue;
mod run;
mod spool;
mod suspected;
mod terminal;
mod watch;
mod worker;
