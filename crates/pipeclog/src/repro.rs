//! `--repro FILE`: a scenario that hangs as the program at hand does.

use std::path::Path;

use anyhow::Context as _;
use pipeclog_harness::fixtures;
use pipeclog_scenario::repro;
use pipeclog_waitgraph::report::Report;

use crate::run::replace;

/// Writes it, and says how it is run.
pub(crate) fn write(path: &Path, report: &Report) -> anyhow::Result<String> {
    let class = report
        .class
        .context("failed to find a scenario for it: what it hangs on has no class")?;
    let scenarios = fixtures::scenarios().context("failed to read the built-in scenarios")?;
    let (scenario, strategy) = repro::of(&scenarios, class).with_context(|| {
        format!(
            "failed to find a scenario for it: none acts out {class} (`pipeclog explain {class}` says what it is)"
        )
    })?;
    let text = serde_json::to_string_pretty(&scenario)? + "\n";
    replace(path, &text)?;
    Ok(format!(
        "a scenario of the same class, {class}, under {strategy}, is in {0}: pipeclog prove --scenario {0}",
        path.display()
    ))
}
