//! Whether captured bytes are those that were written, and if not, where and how they differ.
