//! A model of the kernel's pipe as slots, and a simulator of programs that block on such pipes.
//!
//! Pure: nothing here does I/O or reads a clock. The capacity that everyone quotes, 65,536 bytes, is a number of
//! slots: writes of 2,049 bytes fill them with 32,784.
//!
//! ```
//! use pipeclog_pipemodel::{Geometry, Pipe, WriteMode};
//!
//! let mut pipe = Pipe::new(Geometry::DEFAULT);
//! let run = pipe.begin_writes(2049, 1000, WriteMode::Stream);
//! assert_eq!(run.completed, 16);
//! assert_eq!(pipe.unread_bytes(), 32_784);
//! ```

pub mod capacity;
mod error;
mod geometry;
pub mod limits;
mod pipe;
pub mod simulate;

pub use error::{ReadError, ResizeError, WriteError};
pub use geometry::{Geometry, GeometryError, PageSize};
pub use pipe::{End, Pipe, Readiness, WriteMode, WriteRun};
