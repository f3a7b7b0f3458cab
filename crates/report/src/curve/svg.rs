//! The curve as a picture, set by hand: two axes and one shape need no plotting library.
//!
//! It has no background, and its colours follow the reader's scheme, so that it stands on a light page as on a dark one.

use std::fmt::Write as _;

use pipeclog_scenario::capacity::Filled;

use super::{Axis, Curve, binary, number};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 64.0;
/// Points of the shape for each unit of width: finer than a screen shows.
const POINTS_A_UNIT: f64 = 2.0;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #444c56 }
.title { font-size: 16px; font-weight: 600; fill: #1f2328 }
.label { font-weight: 600; fill: #b4330a }
.grid { stroke: #8c959f; stroke-opacity: .35 }
.limit { stroke: #8c959f; stroke-dasharray: 5 4 }
.curve { fill: #0969da; fill-opacity: .28; stroke: #0969da; stroke-width: 1.4; stroke-linejoin: round }
.dot { fill: #b4330a }
.kernel { fill: #1f2328 }
@media (prefers-color-scheme: dark) {
text { fill: #adb5be }
.title { fill: #f0f3f6 }
.label { fill: #ffa57a }
.curve { fill: #58a6ff; stroke: #58a6ff }
.dot { fill: #ffa57a }
.kernel { fill: #f0f3f6 }
}
";

impl Curve {
    /// An SVG document of 960 by 440 units.
    #[must_use]
    pub fn svg(&self) -> String {
        self.svg_with(&[])
    }

    /// The same, with what the kernel's own pipe held as points upon the curve.
    #[must_use]
    pub fn svg_with(&self, measured: &[Filled]) -> String {
        let title = self.title();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"title desc\">\n\
             <title id=\"title\">{title}</title>\n\
             <desc id=\"desc\">{}</desc>\n\
             <style>\n{STYLE}</style>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n",
            self.description()
        );
        svg.push_str(&self.levels());
        svg.push_str(&self.sizes());
        let _infallible = writeln!(svg, "<path class=\"curve\" d=\"{}\"/>", self.shape());
        svg.push_str(&self.points(measured));
        svg.push_str(&self.labels());
        svg.push_str("</svg>\n");
        svg
    }

    fn description(&self) -> String {
        let teeth: Vec<_> = self
            .teeth()
            .iter()
            .map(|tooth| {
                format!(
                    "{} bytes with {}-byte writes",
                    number(tooth.effective_bytes),
                    number(tooth.write_bytes)
                )
            })
            .collect();
        format!(
            "The pipe has {} slots of {} bytes. Its writer blocks after {}.",
            self.slots,
            number(u64::from(self.page_bytes)),
            teeth.join(", ")
        )
    }

    /// The vertical axis: bytes in the pipe when the writer blocks.
    fn levels(&self) -> String {
        let mut svg = String::new();
        for quarter in 0..=4 {
            let bytes = self.capacity_bytes * quarter / 4;
            let y = self.y(bytes);
            let class = if quarter == 4 { "limit" } else { "grid" };
            let _infallible = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 10.0,
                y + 4.5,
                binary(bytes)
            );
        }
        let _infallible = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"46\">bytes in the pipe when its writer blocks</text>"
        );
        svg
    }

    /// The horizontal axis: the size of each write.
    fn sizes(&self) -> String {
        let mut svg = String::new();
        let floor = HEIGHT - BOTTOM;
        for size in Axis::ticks(self) {
            let x = self.x(size);
            let _infallible = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{floor:.1}\" y2=\"{:.1}\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                floor + 6.0,
                floor + 22.0,
                binary(size)
            );
        }
        let _infallible = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">bytes of each write(2), logarithmic</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 14.0
        );
        svg
    }

    /// Where sizes lie closer than points, the shape has the width from the least to the most of them.
    fn shape(&self) -> String {
        let axis = Axis::of(self);
        let points = ((WIDTH - LEFT - RIGHT) * POINTS_A_UNIT) as u32;
        let mut most = Vec::new();
        let mut least = Vec::new();
        let mut first = 1;
        for point in 1..=points {
            let end = axis.size_at(f64::from(point) / f64::from(points));
            let end = if point == points { end + 1 } else { end };
            if end <= first {
                continue;
            }
            let Some((low, high)) = self.range(first, end) else {
                break;
            };
            // A size holds until the next one: steps, not slopes.
            let (from, to) = (self.x(first), self.x(end.min(self.largest_write())));
            for x in [from, to] {
                most.push((x, self.y(high)));
                least.push((x, self.y(low)));
            }
            first = end;
        }
        let outline = most.into_iter().chain(least.into_iter().rev());
        let mut path = String::new();
        let mut last = None;
        for (x, y) in outline {
            let text = format!("{x:.1} {y:.1}");
            let command = if path.is_empty() { "M" } else { "L" };
            if last.as_ref() != Some(&text) {
                path.push_str(command);
                path.push_str(&text);
            }
            last = Some(text);
        }
        path.push('Z');
        path
    }

    /// What was measured, and what tells it from what was computed.
    fn points(&self, measured: &[Filled]) -> String {
        let mut svg = String::new();
        for filled in measured {
            let _infallible = writeln!(
                svg,
                "<circle class=\"kernel\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>",
                self.x(filled.write_bytes),
                self.y(filled.held_bytes)
            );
        }
        if !measured.is_empty() {
            let right = WIDTH - RIGHT;
            let _infallible = writeln!(
                svg,
                "<circle class=\"kernel\" cx=\"{:.1}\" cy=\"41.5\" r=\"2\"/>\n\
                 <text x=\"{right:.1}\" y=\"46\" text-anchor=\"end\">points: this kernel · line: the model</text>",
                right - 232.0
            );
        }
        svg
    }

    /// The teeth, each with its numbers, where the curve leaves room.
    fn labels(&self) -> String {
        let mut svg = String::new();
        for (index, tooth) in self.teeth().iter().enumerate() {
            let (x, y) = (self.x(tooth.write_bytes), self.y(tooth.effective_bytes));
            let (dx, dy, anchor) = match (self.packet_mode, index) {
                // In the corner of the axes: above the curve.
                (true, 0) => (10.0, -12.0, "start"),
                // The curve comes down from the right, with the next tooth.
                (false, 0) => (-10.0, 10.0, "end"),
                _ => (10.0, 18.0, "start"),
            };
            let _infallible = writeln!(
                svg,
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\n\
                 <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}-byte writes: {}</text>",
                x + dx,
                y + dy,
                number(tooth.write_bytes),
                number(tooth.effective_bytes)
            );
        }
        svg
    }

    fn x(&self, write_bytes: u64) -> f64 {
        LEFT + Axis::of(self).place(write_bytes) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, bytes: u64) -> f64 {
        let share = bytes as f64 / self.capacity_bytes.max(1) as f64;
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}
