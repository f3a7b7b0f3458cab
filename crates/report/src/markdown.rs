//! Markdown that renders on the web: tables, numbers, and names that cannot become markup.

use std::fmt::Write as _;

use pipeclog_scenario::strategy::Strategy;
use pipeclog_waitgraph::snapshot::Untrusted;
use pipeclog_waitgraph::untrusted::markdown_text;

/// Text that came with the results, as text: whatever it holds, it is no markup, and it stays on its line.
pub(crate) fn text(from_outside: &str) -> String {
    Untrusted::from(from_outside).markdown()
}

/// Text of ours or already escaped text, as text.
pub(crate) fn escaped(text: &str) -> String {
    markdown_text(text)
}

/// A name as code if it has nothing but what names of scenarios and classes are made of, and as text otherwise.
pub(crate) fn name(from_outside: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.+=".contains(&byte);
    if !from_outside.is_empty() && from_outside.bytes().all(is_plain) {
        format!("`{from_outside}`")
    } else {
        text(from_outside)
    }
}

/// Strategies as a list.
pub(crate) fn strategies(all: &[Strategy]) -> String {
    let names: Vec<String> = all.iter().map(|one| format!("`{one}`")).collect();
    and(&names)
}

/// Parts as a sentence has them: `a, b and c`.
pub(crate) fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table. Its cells are Markdown already.
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// To which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

impl Table {
    pub(crate) fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn write(&self, to: &mut String) {
        let line = |to: &mut String, cells: &mut dyn Iterator<Item = &str>| {
            to.push('|');
            for cell in cells {
                let _ = write!(to, " {cell} |");
            }
            to.push('\n');
        };
        line(to, &mut self.columns.iter().map(|(name, _)| name.as_str()));
        let rule = |align: &Align| match align {
            Align::Left => "---",
            Align::Right => "--:",
        };
        line(to, &mut self.columns.iter().map(|(_, align)| rule(align)));
        for row in &self.rows {
            line(to, &mut row.iter().map(String::as_str));
        }
        to.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (65_536, "65,536"),
            (1 << 20, "1,048,576"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_name_that_could_be_markup_is_text() {
        assert_eq!(name("boundary/stdout-w4096"), "`boundary/stdout-w4096`");
        for hostile in [
            "a`b", "a|b", "<script>", "[x](y)", "a\nb", "# x", "", "@you", "é`",
        ] {
            let shown = name(hostile);
            let harmless = |c: char| !"`|<>[]#\n@*_~!\\".contains(c);
            let entities_apart = shown.replace("&#", "");
            assert!(entities_apart.chars().all(harmless), "{shown}");
        }
    }
}
