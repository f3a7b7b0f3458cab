//! The pictures of the report.

use pipeclog_pipemodel::{Geometry, PageSize, WriteMode};
use pipeclog_scenario::outcome::Results;
use pipeclog_scenario::throughput::Throughput;

use crate::curve::{Curve, binary};
use crate::plot::{Line, Plot};
use crate::throughput as times_of;

/// A picture in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The name of the file, beside the report.
    pub file: String,
    /// An SVG document.
    pub svg: String,
    /// What is to be seen, in a sentence.
    pub says: String,
}

impl Figure {
    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        format!("![{}]({})\n\n", self.says, self.file)
    }
}

/// What a pipe of this machine holds by write size, as the model has it, with what the kernel's own held.
pub(crate) fn capacity(results: &Results, stem: &str) -> Option<Figure> {
    let machine = results.machine.as_ref()?;
    let page = PageSize::new(machine.page_bytes).ok()?;
    let pipe = Geometry::from_request(page, machine.pipe_bytes).ok()?;
    let largest = results
        .filled
        .iter()
        .map(|filled| filled.write_bytes)
        .max()?;
    let curve = Curve::new(pipe, WriteMode::Stream, largest);
    Some(Figure {
        file: format!("{stem}.capacity.svg"),
        svg: curve.svg_with(&results.filled),
        says: "Bytes that a pipe holds when its writer blocks, by the size of the writes"
            .to_owned(),
    })
}

/// Times of the strategies by size.
pub(crate) fn times(throughput: Option<&Throughput>, stem: &str) -> Option<Figure> {
    let throughput = throughput?;
    let sizes = apart(times_of::sizes(throughput));
    let line = |strategy| Line {
        name: format!("{strategy}"),
        points: sizes
            .iter()
            .filter_map(|bytes| {
                let spread = times_of::wall(throughput, strategy, *bytes)?;
                Some((*bytes as f64, spread.median / 1e6))
            })
            .collect(),
    };
    let plot = Plot {
        title: "What a capture takes, by bytes".to_owned(),
        x: format!(
            "bytes of stdout in writes of {}, logarithmic",
            binary(throughput.write_size)
        ),
        y: "milliseconds from spawn to last byte and exit, median, logarithmic".to_owned(),
        ticks: sizes
            .iter()
            .map(|bytes| (*bytes as f64, binary(*bytes)))
            .collect(),
        lines: times_of::strategies(throughput)
            .into_iter()
            .map(line)
            .collect(),
    };
    Some(Figure {
        file: format!("{stem}.times.svg"),
        svg: plot.svg()?,
        says: "Time of a capture by its bytes, for each strategy".to_owned(),
    })
}

/// The sizes that an axis can show apart: nothing has no place on a logarithmic one, and a byte more is the same point.
fn apart(sizes: Vec<u64>) -> Vec<u64> {
    let mut kept: Vec<u64> = Vec::new();
    for bytes in sizes {
        if bytes > 0 && kept.last().is_none_or(|last| bytes - last > last / 4) {
            kept.push(bytes);
        }
    }
    kept
}
