//! Scenes written down by hand, one for each class of hang and each look-alike, and the laws of the reasoning.

mod deadlocks;
mod encoders;
mod gaps;
mod holders;
mod laws;
mod leaks_and_stalls;
mod live;
mod look_alikes;
mod runs;
mod scene;
mod schema;
mod terminals;
mod texts;
mod true_deadlocks;
