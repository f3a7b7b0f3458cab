#![doc = include_str!("../README.md")]

mod aftermath;
mod census;
pub mod descriptors;
pub mod guard;
pub mod keeper;
mod lookout;
mod send;
mod signals;
mod silence;
mod supervisor;
mod told;
pub mod tree;

pub use census::Holder;
pub use lookout::Cost;
pub use supervisor::{
    Account, EndedBy, Ending, Event, OnDeadlock, Options, SuperviseError, Whom, Whose, run,
};
