//! Median and quartiles of samples.

/// Where the middle of some samples is, and where the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// A quarter of the samples is below.
    pub(crate) p25: f64,
    /// Half of the samples is below.
    pub(crate) median: f64,
    /// A quarter of the samples is above.
    pub(crate) p75: f64,
}

impl Spread {
    /// Of samples in any order; nothing if there are none. Between two samples it interpolates (type 7 of Hyndman and
    /// Fan 1996, which R and NumPy take unless told otherwise).
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            p25: quantile(&sorted, 1)?,
            median: quantile(&sorted, 2)?,
            p75: quantile(&sorted, 3)?,
        })
    }

    /// Whether the middle half of the samples has `value` in it.
    pub(crate) fn includes(&self, value: f64) -> bool {
        self.p25 <= value && value <= self.p75
    }
}

fn quantile(sorted: &[f64], quarters: usize) -> Option<f64> {
    // Whole positions are exact in integers; what is left is quarters of the way to the next sample.
    let last = sorted.len().checked_sub(1)?;
    let (whole, rest) = (last * quarters / 4, last * quarters % 4);
    let low = sorted.get(whole)?;
    let high = sorted.get(whole + 1).unwrap_or(low);
    let way = [0.0, 0.25, 0.5, 0.75].get(rest)?;
    Some(low + (high - low) * way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_the_textbook() {
        let of = |samples: &[f64]| Spread::of(samples.iter().copied());
        let spread = |p25, median, p75| Some(Spread { p25, median, p75 });
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7.0]), spread(7.0, 7.0, 7.0));
        assert_eq!(of(&[3.0, 1.0]), spread(1.5, 2.0, 2.5));
        assert_eq!(of(&[5.0, 1.0, 4.0, 2.0, 3.0]), spread(2.0, 3.0, 4.0));
        assert_eq!(of(&[1.0, 2.0, 3.0, 4.0]), spread(1.75, 2.5, 3.25));
    }
}
