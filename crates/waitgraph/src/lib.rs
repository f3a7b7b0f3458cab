//! From a snapshot of blocked tasks to a diagnosis: the wait-for graph, its reduction, the certificate and its checker.

mod analysis;
pub mod awaited;
pub mod bundle;
pub mod certificate;
pub mod channel;
pub mod check;
pub mod class;
pub mod classes;
mod classify;
pub mod descriptor;
pub mod diagnose;
mod evidence;
pub mod fixes;
pub mod gap;
mod graph;
mod headline;
mod inert;
mod kin;
mod leak;
mod loops;
mod objects;
mod phrase;
pub mod redact;
pub mod reduce;
pub mod render;
pub mod report;
pub mod run;
#[cfg(feature = "schema")]
mod schema;
pub mod snapshot;
mod stall;
mod tasks;
mod tell;
mod terminal;
pub mod untrusted;
pub mod wait;
mod waiting;
mod wchan;
mod world;

pub use diagnose::{Diagnosis, Verdict, diagnose, diagnose_all};
pub use untrusted::Untrusted;
pub use world::TaskId;
