//! Lines over two logarithmic axes as a picture, set by hand: each line is named at its end, so that no legend has to be
//! matched by colour.
//!
//! It has no background, and its colours follow the reader's scheme, so that it stands on a light page as on a dark one.

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 76.0;
/// Room for the names of the lines.
const RIGHT: f64 = 150.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 62.0;
/// Between the names of two lines, at least.
const LINE_HEIGHT: f64 = 17.0;
/// Colours of lines (Okabe and Ito, told apart by colour-blind people), on light and on dark.
const COLOURS: [(&str, &str); 7] = [
    ("#0072b2", "#56b4e9"),
    ("#b4330a", "#ff9b6a"),
    ("#007a5a", "#2fc89b"),
    ("#a8487f", "#e593c2"),
    ("#8a6100", "#e6b637"),
    ("#444c56", "#c3cad1"),
    ("#5b4bb5", "#a99bf5"),
];
/// Dashes of the second and third round of colours.
const DASHES: [&str; 3] = ["none", "6 4", "2 3"];

/// A picture of lines.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What the horizontal axis shows, with its unit.
    pub(crate) x: String,
    /// What the vertical axis shows, with its unit.
    pub(crate) y: String,
    /// Values of the horizontal axis that are marked, with their names.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) lines: Vec<Line>,
}

/// One line. Its points are positive, and their order is that of the horizontal axis.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// From a range of positive values to a range of the picture.
struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        let share = (value.ln() - self.from.ln()) / (self.to.ln() - self.from.ln());
        self.start + share * (self.end - self.start)
    }
}

impl Plot {
    /// An SVG document of 960 by 520 units; nothing if there is nothing to draw.
    pub(crate) fn svg(&self) -> Option<String> {
        let (xs, ys) = self.scales()?;
        let title = escape(&self.title);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"title\">\n\
             <title id=\"title\">{title}</title>\n<style>\n{}</style>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n\
             <text x=\"{LEFT}\" y=\"48\">{}</text>\n",
            style(self.lines.len()),
            escape(&self.y)
        );
        self.levels(&mut svg, &ys);
        self.ticks(&mut svg, &xs);
        self.draw(&mut svg, &xs, &ys);
        svg.push_str("</svg>\n");
        Some(svg)
    }

    fn scales(&self) -> Option<(Scale, Scale)> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (left, right) = range(
            points()
                .map(|(x, _)| *x)
                .chain(self.ticks.iter().map(|(x, _)| *x)),
        )?;
        let (low, high) = range(points().map(|(_, y)| *y))?;
        let decade = |value: f64, round: fn(f64) -> f64| 10_f64.powf(round(value.log10()));
        let (low, high) = (decade(low, f64::floor), decade(high, f64::ceil));
        let xs = Scale {
            from: left,
            to: if right > left { right } else { left * 10.0 },
            start: LEFT,
            end: WIDTH - RIGHT,
        };
        let ys = Scale {
            from: low,
            to: if high > low { high } else { low * 10.0 },
            start: HEIGHT - BOTTOM,
            end: TOP,
        };
        Some((xs, ys))
    }

    /// A line for each power of ten, and a lighter one for its halves and fifths.
    fn levels(&self, svg: &mut String, ys: &Scale) {
        let mut decade = ys.from;
        while decade <= ys.to * 1.001 {
            for (factor, class) in [(1.0, "grid"), (2.0, "fine"), (5.0, "fine")] {
                let value = decade * factor;
                if value > ys.to * 1.001 {
                    break;
                }
                let y = ys.place(value);
                let _ = writeln!(
                    svg,
                    "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n\
                     <text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    WIDTH - RIGHT,
                    LEFT - 9.0,
                    y + 4.5,
                    value_text(value)
                );
            }
            decade *= 10.0;
        }
    }

    fn ticks(&self, svg: &mut String, xs: &Scale) {
        let floor = HEIGHT - BOTTOM;
        for (value, name) in &self.ticks {
            let x = xs.place(*value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                floor + 6.0,
                floor + 22.0,
                escape(name)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 14.0,
            escape(&self.x)
        );
    }

    fn draw(&self, svg: &mut String, xs: &Scale, ys: &Scale) {
        let at = |(x, y): &(f64, f64)| (xs.place(*x), ys.place(*y));
        let mut names: Vec<(usize, f64, f64)> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let Some(last) = line.points.last() else {
                continue;
            };
            let points: Vec<String> = line
                .points
                .iter()
                .map(at)
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline class=\"line c{index}\" points=\"{}\"/>",
                points.join(" ")
            );
            let (x, y) = at(last);
            names.push((index, x, y));
        }
        for (index, x, y, shifted) in apart(names) {
            let Some(line) = self.lines.get(index) else {
                continue;
            };
            let start = WIDTH - RIGHT + 14.0;
            let _ = writeln!(
                svg,
                "<polyline class=\"lead c{index}\" points=\"{x:.1},{y:.1} {:.1},{shifted:.1}\"/>\n\
                 <text class=\"name c{index}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                start - 3.0,
                start,
                shifted + 4.5,
                escape(&line.name)
            );
        }
    }
}

/// The least and the most; nothing of nothing, or of what has no logarithm.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values: Vec<f64> = values
        .filter(|value| value.is_finite() && *value > 0.0)
        .collect();
    let least = values.iter().copied().reduce(f64::min)?;
    let most = values.iter().copied().reduce(f64::max)?;
    Some((least, most))
}

/// Puts names as near to the ends of their lines as they can be without touching each other or leaving the frame: from
/// the top down each is pushed below the one before it, then from the bottom up.
fn apart(mut names: Vec<(usize, f64, f64)>) -> Vec<(usize, f64, f64, f64)> {
    names.sort_by(|one, other| one.2.total_cmp(&other.2));
    let mut places: Vec<f64> = names.iter().map(|(_, _, y)| *y).collect();
    let mut free = TOP;
    for place in &mut places {
        *place = place.max(free);
        free = *place + LINE_HEIGHT;
    }
    let mut limit = HEIGHT - BOTTOM;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LINE_HEIGHT;
    }
    names
        .into_iter()
        .zip(places)
        .map(|((index, x, y), place)| (index, x, y, place))
        .collect()
}

fn style(lines: usize) -> String {
    let mut light = String::from(
        "text { font: 13px system-ui, sans-serif; fill: #444c56 }\n\
         .title { font-size: 16px; font-weight: 600; fill: #1f2328 }\n\
         line.grid { stroke: #8c959f; stroke-opacity: .35 }\n\
         line.fine { stroke: #8c959f; stroke-opacity: .15 }\n\
         text.fine { font-size: 11px; fill-opacity: .75 }\n\
         .line { fill: none; stroke-width: 2; stroke-linejoin: round }\n\
         .lead { fill: none; stroke-width: 1; stroke-opacity: .45 }\n",
    );
    let mut dark = String::from("text { fill: #adb5be }\n.title { fill: #f0f3f6 }\n");
    for index in 0..lines {
        let (on_light, on_dark) = COLOURS[index % COLOURS.len()];
        let dash = DASHES[(index / COLOURS.len()) % DASHES.len()];
        let _ = writeln!(
            light,
            ".line.c{index} {{ stroke: {on_light}; stroke-dasharray: {dash} }} .lead.c{index} {{ stroke: {on_light} }} .name.c{index} {{ fill: {on_light} }}"
        );
        let _ = writeln!(
            dark,
            ".line.c{index}, .lead.c{index} {{ stroke: {on_dark} }} .name.c{index} {{ fill: {on_dark} }}"
        );
    }
    format!("{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n")
}

fn value_text(value: f64) -> String {
    if value >= 1.0 {
        crate::markdown::number(value.round() as u64)
    } else {
        format!("{value}")
    }
}

/// Text within an element of XML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(lines: Vec<Line>) -> Plot {
        Plot {
            title: "a < b & c".to_owned(),
            x: "bytes".to_owned(),
            y: "ms".to_owned(),
            ticks: vec![(1.0, "1".to_owned()), (1000.0, "1 K".to_owned())],
            lines,
        }
    }

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line {
            name: name.to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(plot(Vec::new()).svg(), None);
        assert_eq!(plot(vec![line("none", &[])]).svg(), None);
        assert_eq!(plot(vec![line("zero", &[(1.0, 0.0)])]).svg(), None);
    }

    #[test]
    fn names_do_not_touch_and_stay_within_the_frame() {
        let crowd = (0..20).map(|index| {
            (
                index,
                800.0,
                HEIGHT - BOTTOM - f64::from(u32::try_from(index).unwrap()),
            )
        });
        let placed = apart(crowd.collect());
        for pair in placed.windows(2) {
            assert!(pair[1].3 - pair[0].3 >= LINE_HEIGHT - 0.001, "{pair:?}");
        }
        assert!(placed.iter().all(|name| name.3 <= HEIGHT - BOTTOM + 0.001));
    }

    #[test]
    fn foreign_text_stays_text() {
        let svg = plot(vec![line("<script>", &[(1.0, 5.0), (1000.0, 50.0)])])
            .svg()
            .unwrap();
        assert!(
            svg.contains("&lt;script&gt;") && svg.contains("a &lt; b &amp; c"),
            "{svg}"
        );
        assert!(!svg.contains("<script"), "{svg}");
    }

    #[test]
    fn every_point_is_within_the_frame() {
        let svg = plot(vec![line(
            "one",
            &[(1.0, 5.0), (10.0, 2000.0), (1000.0, 50.0)],
        )])
        .svg()
        .unwrap();
        let points = svg
            .split("class=\"line c0\" points=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!(
                (LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y),
                "{point}"
            );
        }
    }
}
