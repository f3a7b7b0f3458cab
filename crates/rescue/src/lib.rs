#![doc = include_str!("../README.md")]

mod duplicate;
mod grow;
mod leaked;
mod plan;
mod session;
pub mod spool;

pub use grow::{Action, Limits, Mode, RescueError, grow};
pub use leaked::{Closed, LeakError, close_leaked};
pub use plan::{Candidate, Plan, Refusal, of, plan};
pub use session::{Ended, Event, Failure, Session};
pub use spool::{Deed, Delivery, Resumed, Spool, SpoolError, resume};
