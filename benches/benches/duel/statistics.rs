//! Quartiles.

use serde::Serialize;

/// The median of samples, and the middle half.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) p25: f64,
    pub(crate) median: f64,
    pub(crate) p75: f64,
    /// How many samples.
    pub(crate) count: usize,
}

impl Spread {
    /// None without samples.
    pub(crate) fn of(mut samples: Vec<f64>) -> Option<Spread> {
        samples.sort_by(f64::total_cmp);
        // The nearest rank, which is a sample that was really measured.
        let at = |quarters: usize| samples.get((samples.len() - 1) * quarters / 4).copied();
        if samples.is_empty() {
            return None;
        }
        Some(Spread {
            p25: at(1)?,
            median: at(2)?,
            p75: at(3)?,
            count: samples.len(),
        })
    }
}
