//! Strategy by scenario, for a person: a row for each group of scenarios that differ in size alone, a column for each
//! strategy, in as many bands as the terminal's width needs.
//!
//! Set by hand, since table libraries measure colour as width or bring a terminal library along to know better.

use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use pipeclog_report::matrix::{Entry, Matrix};
use pipeclog_scenario::strategy::Strategy;
use pipeclog_waitgraph::Untrusted;
use pipeclog_waitgraph::render::{Prose, Width};

/// Without a terminal, lines may be this long.
pub(crate) const WIDTH_WITHOUT_TERMINAL: u16 = 160;

const CORNER: &str = "scenario";
const GAP: usize = 2;

/// The table as text with escape sequences; the stream that it is printed to strips them where they are not wanted. No
/// line is wider than `width`, unless a single column is.
pub(crate) fn render(matrix: &Matrix, width: u16) -> String {
    let names = matrix
        .rows()
        .map(str::len)
        .max()
        .unwrap_or(0)
        .max(CORNER.len());
    let mut text = String::new();
    for band in bands(matrix, names, usize::from(width)) {
        if !text.is_empty() {
            text.push('\n');
        }
        header(&mut text, &band, names);
        for row in matrix.rows() {
            text.push_str(&format!("{:names$}", Untrusted::new(row).terminal(names)));
            for column in &band {
                let entry = matrix.entry(row, column.strategy);
                let (plain, style) = (entry.to_string(), style(&entry));
                let pad = GAP + column.width - plain.chars().count();
                text.push_str(&format!("{:pad$}{style}{plain}{style:#}", ""));
            }
            text.push('\n');
        }
    }
    text
}

struct Column {
    strategy: Strategy,
    width: usize,
}

/// A strategy's name stands with a word on each line, so that a column is as narrow as its longest word.
fn header(text: &mut String, band: &[Column], names: usize) {
    let words = |column: &Column| column.strategy.name().split('_').collect::<Vec<_>>();
    let height = band
        .iter()
        .map(|column| words(column).len())
        .max()
        .unwrap_or(0);
    for line in 0..height {
        let mut set = format!("{:names$}", if line + 1 == height { CORNER } else { "" });
        for column in band {
            let words = words(column);
            // Aligned at the bottom, above the entries.
            let word = (line + words.len())
                .checked_sub(height)
                .and_then(|index| words.get(index));
            set.push_str(&format!(
                "{:>width$}",
                word.unwrap_or(&""),
                width = GAP + column.width
            ));
        }
        text.push_str(set.trim_end());
        text.push('\n');
    }
}

fn style(entry: &Entry) -> Style {
    match entry {
        Entry::Completes => AnsiColor::Green.on_default(),
        Entry::Hangs | Entry::HangsFrom(_) => AnsiColor::Red.on_default(),
        Entry::CutShort | Entry::CutFrom(_) | Entry::Harms | Entry::Varies => {
            AnsiColor::Yellow.on_default()
        }
        Entry::Differs => AnsiColor::Red.on_default().bold().invert(),
        Entry::NotRun => Style::new().dimmed(),
    }
}

/// Strategies in order, as many to a band as fit.
fn bands(matrix: &Matrix, names: usize, width: usize) -> Vec<Vec<Column>> {
    let mut bands: Vec<Vec<Column>> = Vec::new();
    let mut used = usize::MAX;
    for strategy in matrix.strategies() {
        let words = strategy.name().split('_').map(str::len);
        let entries = matrix
            .rows()
            .map(|row| matrix.entry(row, strategy).to_string().chars().count());
        let column = Column {
            strategy,
            width: words.chain(entries).max().unwrap_or(0),
        };
        if used.saturating_add(GAP + column.width) > width {
            bands.push(Vec::new());
            used = names;
        }
        used += GAP + column.width;
        if let Some(band) = bands.last_mut() {
            band.push(column);
        }
    }
    bands
}

/// Columns of the terminal; without one, [`WIDTH_WITHOUT_TERMINAL`].
pub(crate) fn terminal_width() -> u16 {
    terminal_columns(std::io::stdout()).unwrap_or(WIDTH_WITHOUT_TERMINAL)
}

fn terminal_columns(sink: impl AsFd) -> Option<u16> {
    rustix::termios::tcgetwinsize(sink)
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
}

/// Columns for prose: no wider than is pleasant to read.
pub(crate) fn text_columns() -> usize {
    usize::from(terminal_width()).min(100)
}

/// How wide text on stdout may be.
pub(crate) fn text_width() -> Width {
    width_of(std::io::stdout())
}

/// How wide text may be that goes to `sink`.
pub(crate) fn width_of(sink: impl AsFd) -> Width {
    terminal_columns(sink).map_or(Width::Unlimited, |columns| {
        Width::Columns(usize::from(columns))
    })
}

/// A message for `sink`, with the end of its last line: what is wider than a terminal is broken between words.
pub(crate) fn message(text: &str, sink: impl AsFd) -> String {
    let mut prose = Prose::new(width_of(sink));
    for line in text.lines() {
        prose.sentence(line);
    }
    prose.into_text()
}
