//! `tokio`: tokio's reactor.
use super::Method;
pub(super) const METHOD: Method = Method::Missing { feature: "tokio" };
