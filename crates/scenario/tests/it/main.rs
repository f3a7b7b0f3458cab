//! The scenarios that come with the suite, by this crate's own lights.

mod foretold;
