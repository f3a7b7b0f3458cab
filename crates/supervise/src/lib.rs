#![doc = include_str!("../README.md")]

mod account;
mod aftermath;
mod census;
pub mod descriptors;
mod error;
mod event;
pub mod guard;
pub mod keeper;
mod lookout;
mod options;
mod send;
pub mod signal;
mod signals;
mod silence;
mod standing;
mod supervisor;
pub mod switches;
mod told;
pub mod tree;
mod word;

pub use account::{Account, EndedBy, Ending};
pub use census::Holder;
pub use error::{SuperviseError, SystemError};
pub use event::{Event, Whose};
pub use lookout::Cost;
pub use options::{OnDeadlock, Options, Whom};
pub use supervisor::run;
