//! One module a command.

pub(crate) mod capture;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diagnose;
pub(crate) mod explain;
pub(crate) mod limits;
pub(crate) mod man;
pub(crate) mod predict;
pub(crate) mod prove;
pub(crate) mod report;
pub(crate) mod rescue;
pub(crate) mod watch;
pub(crate) mod worker;
