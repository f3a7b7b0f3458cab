//! From a snapshot of blocked tasks to a diagnosis: the wait-for graph, its reduction, the certificate and its checker.

pub mod descriptor;
pub mod gap;
pub mod snapshot;
pub mod untrusted;
pub mod wait;
