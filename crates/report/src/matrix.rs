//! Strategy by scenario, at a glance: scenarios that differ in size alone are one row, and an entry says from which
//! size on a strategy hangs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pipeclog_scenario::outcome::{Agreement, Cell, Verdict};
use pipeclog_scenario::strategy::Strategy;

/// The cells of a run, folded into rows.
#[derive(Clone, Debug)]
pub struct Matrix {
    rows: Vec<String>,
    strategies: BTreeSet<Strategy>,
    entries: BTreeMap<(String, Strategy), Entry>,
}

/// What the cells of one row and one strategy have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Each completes.
    Completes,
    /// Each is cut short, as it was told to be.
    CutShort,
    /// Each harms a background child, as expected.
    Harms,
    /// Those of this size or larger are cut short, as they were told to be, and the smaller ones complete. In bytes.
    CutFrom(u64),
    /// Each hangs.
    Hangs,
    /// Those of this size or larger hang, and the smaller ones complete. In bytes.
    HangsFrom(u64),
    /// They end in several ways, each as expected, and their sizes do not part them.
    Varies,
    /// At least one is not as expected.
    Differs,
    /// None was run.
    NotRun,
}

impl Matrix {
    /// Folds `cells`; rows and strategies are in the order in which they first appear.
    #[must_use]
    pub fn new(cells: &[Cell]) -> Self {
        let mut rows = Vec::new();
        let mut grouped: BTreeMap<(String, Strategy), Vec<&Cell>> = BTreeMap::new();
        for cell in cells {
            if rows.last() != Some(&cell.row) && !rows.contains(&cell.row) {
                rows.push(cell.row.clone());
            }
            grouped
                .entry((cell.row.clone(), cell.strategy))
                .or_default()
                .push(cell);
        }
        let strategies = grouped.keys().map(|(_, strategy)| *strategy).collect();
        let entries = grouped
            .into_iter()
            .map(|(key, cells)| (key, Entry::of(&cells)))
            .collect();
        Self {
            rows,
            strategies,
            entries,
        }
    }

    /// The rows' names.
    pub fn rows(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(String::as_str)
    }

    /// The strategies that have a cell, in the order of [`Strategy::ALL`].
    pub fn strategies(&self) -> impl Iterator<Item = Strategy> {
        self.strategies.iter().copied()
    }

    /// The entry of a row and a strategy.
    #[must_use]
    pub fn entry(&self, row: &str, strategy: Strategy) -> Entry {
        self.entries
            .get(&(row.to_owned(), strategy))
            .copied()
            .unwrap_or(Entry::NotRun)
    }
}

impl Entry {
    fn of(cells: &[&Cell]) -> Self {
        if cells
            .iter()
            .any(|cell| cell.agreement() == Agreement::Differs)
        {
            return Self::Differs;
        }
        let mut ends = BTreeSet::new();
        let mut hung = Vec::new();
        let mut ended = Vec::new();
        let mut cut = Vec::new();
        for cell in cells {
            match &cell.outcome.verdict {
                Verdict::Hung(_) => hung.push(cell.size),
                Verdict::Skipped { .. } => {}
                Verdict::Completed => {
                    ends.insert("completes");
                    ended.push(cell.size);
                }
                Verdict::CutShort { .. } => {
                    ends.insert("cut short");
                    cut.push(cell.size);
                }
                Verdict::Harmed { .. } => {
                    ends.insert("harms");
                }
                // Nothing expects these, so such a cell differs.
                Verdict::Lost { .. } | Verdict::WrongExit { .. } | Verdict::Broken { .. } => {}
            }
        }
        let only = |end| ends.len() == 1 && ends.contains(end) && hung.is_empty();
        let begins = |sizes: &[Option<u64>]| -> Option<u64> {
            let first = sizes.iter().copied().min()??;
            let before = ended.iter().copied().max()??;
            (before < first).then_some(first)
        };
        match (ends.len(), hung.is_empty()) {
            (0, true) => Self::NotRun,
            (0, false) => Self::Hangs,
            _ if only("completes") => Self::Completes,
            _ if only("cut short") => Self::CutShort,
            _ if only("harms") => Self::Harms,
            (1, false) => begins(&hung).map_or(Self::Varies, Self::HangsFrom),
            (2, true) => begins(&cut).map_or(Self::Varies, Self::CutFrom),
            _ => Self::Varies,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completes => f.pad("ok"),
            Self::CutShort => f.pad("cut"),
            Self::Harms => f.pad("harms"),
            Self::CutFrom(size) => f.pad(&format!("cut ≥{size}")),
            Self::Hangs => f.pad("HANGS"),
            Self::HangsFrom(size) => f.pad(&format!("≥{size}")),
            Self::Varies => f.pad("varies"),
            Self::Differs => f.pad("DIFFERS"),
            Self::NotRun => f.pad("-"),
        }
    }
}
