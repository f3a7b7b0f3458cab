//! `--bisect`: the byte at which a wrapper begins to hang.

use std::num::NonZeroU64;
use std::process::ExitCode;

use anyhow::{bail, ensure};
use pipeclog_harness::check::bisect;
use pipeclog_harness::pool::Pool;
use pipeclog_scenario::boundary::Found;
use pipeclog_scenario::check::Wrapper;
use pipeclog_scenario::check::edge::{self, Edge};
use pipeclog_scenario::script::Stream;
use pipeclog_waitgraph::Untrusted;

use super::Format;
use crate::run;

/// Characters of a line that may quote a program.
const LINE_CHARS: usize = 2000;

/// What the wrapper takes of each stream; an error if nothing could be told of one.
pub(super) fn run(
    pool: &Pool,
    wrapper: &Wrapper,
    jobs: usize,
    format: Format,
) -> anyhow::Result<ExitCode> {
    if format == Format::Junit {
        bail!("--format junit is for cases that pass or fail: --bisect has none");
    }
    let sizes = || bisect::WRITE_SIZES.into_iter().filter_map(NonZeroU64::new);
    let streams = [Stream::Stdout, Stream::Stderr];
    let searches: Vec<_> = streams
        .into_iter()
        .flat_map(|stream| sizes().map(move |size| (stream, size)))
        .collect();
    let bar = run::progress(searches.len(), "searches");
    let edges = run::each(&searches, jobs, &bar, |(stream, size)| {
        bisect::search(pool, wrapper, *stream, *size)
    })?;
    let of_streams = edges.chunk_by(|one, next| one.stream == next.stream);
    let lines = of_streams.flat_map(edge::lines).map(Untrusted::new);
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&edges)?),
        Format::Markdown => lines.for_each(|line| println!("- {}", line.markdown())),
        Format::Human | Format::Junit => {
            lines.for_each(|line| println!("{}", line.terminal(LINE_CHARS)));
        }
    }
    let unclear = |edge: &&Edge| matches!(edge.found, Found::Unclear { .. });
    let unclear = edges.iter().filter(unclear).count();
    ensure!(
        unclear == 0,
        "{unclear} of {} searches came to nothing, since the wrapper fails otherwise than by a hang: mend that first, or declare it (--without)",
        edges.len()
    );
    Ok(ExitCode::SUCCESS)
}
