//! Quartiles.

use pipeclog_scenario::goals::Spread;

/// None without samples.
pub(crate) fn spread(mut samples: Vec<f64>) -> Option<Spread> {
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
