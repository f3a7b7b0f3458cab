//! What the benches share: a child that is as little as a program can be, everybody who captures it, and processes that end with them.
#![expect(
    clippy::missing_panics_doc,
    reason = "a bench that cannot start has no figure, and says why"
)]

pub mod child;
pub mod contenders;
pub mod group;
