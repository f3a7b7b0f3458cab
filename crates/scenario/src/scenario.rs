//! A script, the stdin it is given, and what must come of it under each strategy.
