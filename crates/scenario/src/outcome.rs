//! What came of a trial.
