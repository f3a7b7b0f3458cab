//! What the library promises, on real children.

mod support;

mod bytes;
