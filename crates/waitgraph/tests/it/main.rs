//! Scenes written down by hand, one for each class of hang and each look-alike, and the laws of the reasoning.

mod deadlocks;
mod encoders;
mod gaps;
mod laws;
mod look_alikes;
mod scene;
mod texts;
