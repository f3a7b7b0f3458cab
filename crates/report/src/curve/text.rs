//! The curve for a terminal: dots of Braille, two by four to a character, so that 72 columns resolve 144 sizes.

use super::{Axis, Curve, binary, grouped};

const COLUMNS: usize = 64;
const ROWS: usize = 16;
/// Dots of one character, by row and column (Unicode's Braille patterns).
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
const BLANK_BRAILLE: u32 = 0x2800;
/// The width of the labels at the left.
const MARGIN: usize = 8;

impl Curve {
    /// A plot of 72 columns and 20 lines. No colour, no control characters.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.title());
        for (row, cells) in self.cells().iter().enumerate() {
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
        text.push_str(&self.axis());
        for tooth in self.teeth() {
            text.push_str(&format!(
                "{:>w$}  {}-byte writes: {} bytes\n",
                "",
                grouped(tooth.write_bytes),
                grouped(tooth.effective_bytes),
                w = MARGIN
            ));
        }
        text
    }

    /// Every column of dots is filled from the least to the most that its write sizes give.
    pub(super) fn cells(&self) -> Vec<Vec<u32>> {
        let axis = Axis::of(self);
        let (width, height) = (COLUMNS * 2, ROWS * 4);
        let mut cells = vec![vec![0; COLUMNS]; ROWS];
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
    fn axis(&self) -> String {
        let axis = Axis::of(self);
        let mut line = vec!['─'; COLUMNS];
        let mut labels = String::new();
        for tick in Axis::ticks(self) {
            let column = (axis.place(tick) * (COLUMNS - 1) as f64).round() as usize;
            line[column] = '┬';
            let label = binary(tick);
            let start = column.saturating_sub(label.chars().count() / 2);
            if start >= labels.chars().count() + 2 || labels.is_empty() {
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
