//! The section "strategy by scenario": rows that differ in nothing are one row, and columns that differ in nothing
//! one column.

use std::fmt::Write as _;

use pipeclog_scenario::outcome::{Agreement, Cell, Verdict};
use pipeclog_scenario::strategy::Strategy;

use crate::markdown::{Align, Table, and, name, number, strategies, text};
use crate::matrix::{Entry, Matrix};

/// A group of more strategies than this has a letter in the table's head, and its names below.
const NAMES_IN_HEAD: usize = 2;

pub(crate) fn write(to: &mut String, cells: &[Cell]) {
    to.push_str("## Strategy by scenario\n\n");
    if cells.is_empty() {
        to.push_str("No scenario was run.\n\n");
        return;
    }
    let matrix = Matrix::new(cells);
    let columns = columns(&matrix);
    let (heads, legend) = heads(&columns);
    let heads = heads.into_iter().map(|head| (head, Align::Right));
    let mut table = Table::new(
        [("scenario".to_owned(), Align::Left)]
            .into_iter()
            .chain(heads),
    );
    for group in rows(&matrix, &columns) {
        let entries = group.entries.iter().map(entry);
        table.row([group.label()].into_iter().chain(entries));
    }
    table.write(to);
    for line in legend {
        let _ = writeln!(to, "{line}\n");
    }
    to.push_str(
        "**ok**: the parent ends with the child's exit code and every byte. **≥ N**: hangs with N bytes, the smallest of the \
         sizes run here that does, and with all larger ones, and is ok with the smaller ones ([the boundary itself](#the-boundary-to-the-byte) is \
         below). **hangs**: with every size. **cut**: ends in time \
         with a right part of the output, as it was told to; **cut ≥ N**: only with N bytes and more. **varies**: ends in \
         several ways, each as expected. **harms**: a background child meets a broken pipe, as it must here. **–**: has no meaning here, or was not run.\n\n",
    );
    counts(to, cells);
}

/// The columns' heads, and what stands for the letters among them.
fn heads(columns: &[Vec<Strategy>]) -> (Vec<String>, Vec<String>) {
    let mut legend = Vec::new();
    let heads = columns
        .iter()
        .map(|group| {
            if group.len() > NAMES_IN_HEAD {
                let letter = letter(legend.len());
                legend.push(format!("{letter}: {}.", strategies(group)));
                letter
            } else {
                let names: Vec<String> = group.iter().map(|one| format!("`{one}`")).collect();
                names.join("<br>")
            }
        })
        .collect();
    (heads, legend)
}

fn counts(to: &mut String, cells: &[Cell]) {
    let count = |agreement| {
        let these = cells.iter().filter(|cell| cell.agreement() == agreement);
        number(these.count() as u64)
    };
    let _ = writeln!(
        to,
        "{} trials came out as expected, {} did not, {} were skipped.\n",
        count(Agreement::Agrees),
        count(Agreement::Differs),
        count(Agreement::Skipped)
    );
    let mut reasons: Vec<(&str, Vec<Strategy>)> = Vec::new();
    for cell in cells {
        let Verdict::Skipped { why } = &cell.outcome.verdict else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, strategies)) if strategies.contains(&cell.strategy) => {}
            Some((_, strategies)) => strategies.push(cell.strategy),
            None => reasons.push((why, vec![cell.strategy])),
        }
    }
    for (why, skipped) in &reasons {
        let _ = writeln!(to, "- skipped under {}: {}", strategies(skipped), text(why));
    }
    if !reasons.is_empty() {
        to.push('\n');
    }
}

/// Strategies whose entries are the same in every row.
fn columns(matrix: &Matrix) -> Vec<Vec<Strategy>> {
    let mut groups: Vec<Vec<Strategy>> = Vec::new();
    for strategy in matrix.strategies() {
        let same = |other: Strategy| {
            matrix
                .rows()
                .all(|row| matrix.entry(row, strategy) == matrix.entry(row, other))
        };
        let group = groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|first| same(*first)));
        match group {
            Some(group) => group.push(strategy),
            None => groups.push(vec![strategy]),
        }
    }
    groups
}

/// Rows of one family whose entries are the same.
struct Row<'a> {
    family: &'a str,
    points: Vec<&'a str>,
    entries: Vec<Entry>,
}

impl Row<'_> {
    fn label(&self) -> String {
        let points: Vec<String> = self.points.iter().map(|point| name(point)).collect();
        if points.is_empty() {
            name(self.family)
        } else {
            format!("{}: {}", name(self.family), and(&points))
        }
    }
}

fn rows<'a>(matrix: &'a Matrix, columns: &[Vec<Strategy>]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for row in matrix.rows() {
        let (family, point) = match row.split_once('/') {
            Some((family, point)) => (family, Some(point)),
            None => (row, None),
        };
        let firsts = columns.iter().filter_map(|group| group.first());
        let entries: Vec<Entry> = firsts.map(|first| matrix.entry(row, *first)).collect();
        let same = |known: &&mut Row<'_>| {
            known.family == family && known.entries == entries && !known.points.is_empty()
        };
        match (rows.iter_mut().find(same), point) {
            (Some(known), Some(point)) => known.points.push(point),
            _ => rows.push(Row {
                family,
                points: point.into_iter().collect(),
                entries,
            }),
        }
    }
    rows
}

fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Completes => "ok".to_owned(),
        Entry::CutShort => "cut".to_owned(),
        Entry::Harms => "harms".to_owned(),
        Entry::CutFrom(size) => format!("cut ≥ {}", number(*size)),
        Entry::Varies => "varies".to_owned(),
        Entry::Hangs => "**hangs**".to_owned(),
        Entry::HangsFrom(size) => format!("**≥ {}**", number(*size)),
        Entry::Differs => "**DIFFERS**".to_owned(),
        Entry::NotRun => "–".to_owned(),
    }
}

/// A, B, …; there are fewer groups than letters, since each has three strategies or more.
fn letter(index: usize) -> String {
    let letter = u8::try_from(index).map_or('?', |index| char::from(b'A'.saturating_add(index)));
    format!("**{letter}**")
}
