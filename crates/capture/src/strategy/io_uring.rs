//! `io_uring`: io_uring's poll requests.
use super::Method;
pub(super) const METHOD: Method = Method::Missing {
    feature: "io_uring",
};
