//! The self-describing bytes that chatty writes: each record names its stream and its offset.
