//! What the chatty child does, as a list of operations.
