//! Runs a trial in a process of its own, watches it, judges it, cleans up.
