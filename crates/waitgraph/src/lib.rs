//! From a snapshot of blocked tasks to a diagnosis: the wait-for graph, its reduction, the certificate and its checker.

mod analysis;
pub mod awaited;
pub mod certificate;
pub mod channel;
pub mod check;
pub mod descriptor;
pub mod gap;
mod inert;
mod objects;
pub mod reduce;
pub mod snapshot;
mod tasks;
pub mod untrusted;
pub mod wait;
mod waiting;
mod wchan;
mod world;

pub use world::TaskId;
