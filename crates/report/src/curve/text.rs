//! The curve for a terminal: dots of Braille, two by four to a character, so that 72 columns resolve 144 sizes.

use super::{Axis, Curve, binary, number};

/// More dots show no more.
const MOST_COLUMNS: usize = 64;
/// Fewer show nothing.
const LEAST_COLUMNS: usize = 8;
const ROWS: usize = 16;
/// Dots of one character, by row and column (Unicode's Braille patterns).
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
const BLANK_BRAILLE: u32 = 0x2800;
/// The width of the labels at the left.
const MARGIN: usize = 8;
/// The axis, and a blank before it.
const RULE: usize = 2;

impl Curve {
    /// A plot for a terminal of so many columns, of which it takes 75 at most, and 20 lines. No colour, no control characters.
    #[must_use]
    pub fn text(&self, columns: usize) -> String {
        let width = columns
            .saturating_sub(MARGIN + RULE)
            .clamp(LEAST_COLUMNS, MOST_COLUMNS);
        let mut text = format!("{}\n\n", wrapped(&self.title(), columns));
        for (row, cells) in self.cells(width).iter().enumerate() {
            let label = self.row_label(row);
            let line: String = cells
                .iter()
                .filter_map(|dots| char::from_u32(BLANK_BRAILLE + dots))
                .collect();
            text.push_str(&format!(
                "{label:>MARGIN$} ┤{}\n",
                line.trim_end_matches('\u{2800}')
            ));
        }
        text.push_str(&self.axis(width));
        for tooth in self.teeth() {
            let line = format!(
                "{}-byte writes: {} bytes",
                number(tooth.write_bytes),
                number(tooth.effective_bytes)
            );
            // Where it does not fit beside the margin it stands without.
            let margin = (MARGIN + RULE).min(columns.saturating_sub(line.len()));
            text.push_str(&format!("{:margin$}{line}\n", ""));
        }
        text
    }

    /// Every column of dots is filled from the least to the most that its write sizes give.
    pub(super) fn cells(&self, columns: usize) -> Vec<Vec<u32>> {
        let axis = Axis::of(self);
        let (width, height) = (columns * 2, ROWS * 4);
        let mut cells = vec![vec![0; columns]; ROWS];
        for x in 0..width {
            let place = |x: usize| x as f64 / (width - 1) as f64;
            // A column without a size of its own continues the size before: it is a step.
            let first = axis.size_at(place(x)).min(self.largest_write()).max(1);
            let step = if axis.place(first) > place(x) && first > 1 {
                first - 1
            } else {
                first
            };
            let end = axis.size_at(place(x + 1));
            let Some((least, most)) = self.range(step, end) else {
                continue;
            };
            for y in self.level(least, height)..=self.level(most, height) {
                let down = height - 1 - y;
                cells[down / 4][x / 2] |= DOTS[down % 4][x % 2];
            }
        }
        cells
    }

    fn level(&self, bytes: u64, height: usize) -> usize {
        let share = bytes as f64 / self.capacity_bytes.max(1) as f64;
        ((share * (height - 1) as f64).round() as usize).min(height - 1)
    }

    /// The top, the quarters and the bottom.
    fn row_label(&self, row: usize) -> String {
        match row {
            0 => binary(self.capacity_bytes),
            row if row == ROWS - 1 => "0".to_owned(),
            row if row % (ROWS / 4) == 0 => {
                binary(self.capacity_bytes * (ROWS - row) as u64 / ROWS as u64)
            }
            _ => String::new(),
        }
    }

    /// The line below, the sizes at their places, and what they are.
    fn axis(&self, columns: usize) -> String {
        let axis = Axis::of(self);
        let mut line = vec!['─'; columns];
        let mut labels = String::new();
        for tick in Axis::ticks(self) {
            let column = (axis.place(tick) * (columns - 1) as f64).round() as usize;
            line[column] = '┬';
            let label = binary(tick);
            let start = column.saturating_sub(label.chars().count() / 2);
            let fits = start + label.chars().count() <= columns;
            if fits && (start >= labels.chars().count() + 2 || labels.is_empty()) {
                labels.push_str(&" ".repeat(start - labels.chars().count()));
                labels.push_str(&label);
            }
        }
        let line: String = line.into_iter().collect();
        format!(
            "{:>w$} └{line}\n{:>w$}  {labels}\n{:>w$}  bytes of each write(2)\n\n",
            "",
            "",
            "",
            w = MARGIN
        )
    }
}

/// Words in lines of so many columns, where no word is longer.
fn wrapped(text: &str, columns: usize) -> String {
    let mut lines = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if used > 0 && used + 1 + len > columns {
            lines.push('\n');
            used = 0;
        } else if used > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += len;
    }
    lines
}
