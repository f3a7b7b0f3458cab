//! How a parent captures output: the names, their hazards, their plans.
