//! `pipeclog predict`: what a pipe holds, and what would come of a script, before anything runs.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pipeclog_chatty::read_script;
use pipeclog_harness::machine;
use pipeclog_pipemodel::capacity::Fill;
use pipeclog_pipemodel::{Geometry, WriteMode};
use pipeclog_report::curve::Curve;
use pipeclog_scenario::bound::{Limit, LimitPolicy};
use pipeclog_scenario::plan::AfterExit;
use pipeclog_scenario::predict::{Parent, PipeFacts, Prediction, predict};
use pipeclog_scenario::script::Size;
use pipeclog_scenario::strategy::{Kind, Strategy};
use serde::Serialize;
use serde_json::json;

use crate::table;
use crate::units::{count, duration};

/// Either a write size or a sweep over them, or a script and a strategy.
///
/// Exit codes: 0 foretold, 1 the script would hang under the strategy or be cut short, 2 wrong usage, 3 it is not foretold, or more
/// than one outcome is possible.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct PredictArgs {
    /// What the pipe holds when all writes have this size.
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true, conflicts_with_all = ["sweep", "script"])]
    write_size: Option<Size>,
    /// What it holds for each write size from 1 to --largest.
    #[arg(long, conflicts_with = "script")]
    sweep: bool,
    /// The last write size of a sweep.
    #[arg(long, value_name = "SIZE", default_value = "64k", requires = "sweep", conflicts_with_all = ["write_size", "script"])]
    largest: Size,
    /// What comes of this script: a file's path, or the JSON itself, as `chatty --script` takes it.
    #[arg(long, value_name = "FILE|JSON", requires = "strategy")]
    script: Option<PathBuf>,
    /// Under this strategy.
    // What conflicts with a required argument is excused from requiring it: so both are said.
    #[arg(long, short, value_name = "NAME", requires = "script", conflicts_with_all = ["write_size", "sweep"])]
    strategy: Option<Strategy>,
    /// With so many bytes of stdin; without it, /dev/null.
    #[arg(long, value_name = "SIZE", requires = "script", conflicts_with_all = ["write_size", "sweep"])]
    stdin: Option<Size>,
    /// What ends the parent's reading after the child's exit: eof, drain, or a grace period as in grace=50ms [default: eof].
    #[arg(long, value_name = "WHEN", requires = "script", conflicts_with_all = ["write_size", "sweep"])]
    end: Option<AfterExit>,
    /// The parent ends the child after this long (500ms, 10s, 2m).
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "script", conflicts_with_all = ["write_size", "sweep"])]
    deadline: Option<Duration>,
    /// The parent keeps at most this many bytes of each stream.
    #[arg(long, value_name = "SIZE", requires = "script", conflicts_with_all = ["write_size", "sweep"])]
    limit: Option<Size>,
    /// What happens to output beyond the limit: head, tail, spill, kill or error [default: head].
    #[arg(long, value_name = "POLICY", requires = "limit")]
    limit_policy: Option<LimitPolicy>,
    /// The capacity of a new pipe, rounded up as F_SETPIPE_SZ does, whether or not this machine would grant it [default: what it
    /// gives one now].
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    capacity: Option<Size>,
    /// The pipe is in packet mode (O_DIRECT).
    #[arg(long, conflicts_with = "script")]
    packet: bool,
    /// How to tell it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// For programs.
    Json,
    /// The curve of a sweep as a picture.
    Svg,
}

/// Of the JSON forms; raised when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

const NOT_TO_THE_END: u8 = 1;
const NOT_FORETOLD: u8 = 3;

pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    let facts = facts(args)?;
    let geometry = facts.new_pipe;
    let mode = if args.packet {
        WriteMode::Packet
    } else {
        WriteMode::Stream
    };
    if args.format == Format::Svg && !args.sweep {
        anyhow::bail!("--format svg draws the curve of a --sweep; use text or json");
    }
    match (&args.script, args.strategy, args.write_size) {
        (Some(script), Some(strategy), _) => foretell(args, script, strategy, facts),
        (_, _, Some(size)) => one_size(args, geometry, mode, size),
        _ if args.sweep => sweep(args, geometry, mode),
        _ => anyhow::bail!(
            "say what to foretell: --write-size SIZE, --sweep, or --script FILE --strategy NAME"
        ),
    }
}

/// What pipes are like on this machine, but for the capacity that was asked for.
fn facts(args: &PredictArgs) -> anyhow::Result<PipeFacts> {
    let facts = machine::pipes(&machine::describe(env!("CARGO_PKG_VERSION"))?)?;
    let Some(capacity) = args.capacity else {
        return Ok(facts);
    };
    let new_pipe = Geometry::from_request(facts.new_pipe.page(), capacity.0)
        .with_context(|| format!("--capacity {capacity} is none that a pipe can have"))?;
    Ok(PipeFacts { new_pipe, ..facts })
}

fn one_size(
    args: &PredictArgs,
    geometry: Geometry,
    mode: WriteMode,
    size: Size,
) -> anyhow::Result<ExitCode> {
    let size = NonZeroU64::new(size.0)
        .context("a write of no bytes never blocks: give --write-size 1 or more")?;
    let fill = Fill::of_writes(geometry, mode, size);
    match args.format {
        Format::Json => println!(
            "{}",
            json!({
                "schema_version": SCHEMA_VERSION,
                "capacity_bytes": geometry.capacity_bytes(),
                "page_bytes": geometry.page().bytes(),
                "slots": geometry.slots(),
                "packet_mode": args.packet,
                "write_bytes": size,
                "effective_bytes": fill.bytes,
                "whole_writes": fill.writes,
            })
        ),
        Format::Text | Format::Svg => println!("{}", holds(geometry, mode, size, fill)),
    }
    Ok(ExitCode::SUCCESS)
}

fn holds(geometry: Geometry, mode: WriteMode, size: NonZeroU64, fill: Fill) -> String {
    let in_mode = match mode {
        WriteMode::Stream => "",
        WriteMode::Packet => " in packet mode",
    };
    let next = match fill.bytes - fill.writes * size.get() {
        0 => "the next one blocks".to_owned(),
        part => format!("{} of the next one, which blocks", count(part, "byte")),
    };
    format!(
        "in writes of {} a pipe of {}{in_mode} holds {}: {}, and {next}",
        count(size.get(), "byte"),
        count(geometry.capacity_bytes(), "byte"),
        fill.bytes,
        count(fill.writes, "whole write"),
    )
}

fn sweep(args: &PredictArgs, geometry: Geometry, mode: WriteMode) -> anyhow::Result<ExitCode> {
    if args.largest.0 == 0 || args.largest.0 > LARGEST_SWEEP {
        anyhow::bail!(
            "a sweep goes to a write size from 1 to {LARGEST_SWEEP}, not {}: give such a one to --largest",
            args.largest.0
        );
    }
    let curve = Curve::new(geometry, mode, args.largest.0);
    let text = match args.format {
        Format::Text => curve.text(table::text_columns()),
        Format::Json => curve.json()?,
        Format::Svg => curve.svg(),
    };
    println!("{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// 16 MiB: a point for each size, and nobody writes more at once.
const LARGEST_SWEEP: u64 = 16 << 20;

fn foretell(
    args: &PredictArgs,
    script: &Path,
    strategy: Strategy,
    facts: PipeFacts,
) -> anyhow::Result<ExitCode> {
    let script = read_script(script).map_err(anyhow::Error::msg)?;
    let parent = Parent {
        strategy,
        after_exit: args.end.unwrap_or(AfterExit::EndOfFile),
        stdin_bytes: args.stdin.map(|size| size.0),
        deadline_us: args
            .deadline
            .map(|deadline| u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX)),
        limit: args.limit.map(|size| Limit {
            bytes: size.0,
            policy: args.limit_policy.unwrap_or(LimitPolicy::Head),
        }),
    };
    let bounded = parent.after_exit != AfterExit::EndOfFile
        || parent.deadline_us.is_some()
        || parent.limit.is_some();
    anyhow::ensure!(
        strategy.kind() == Kind::Safe || !bounded,
        "{strategy} is kept to hang: it takes no --end, --deadline or --limit; name a safe strategy"
    );
    let prediction = predict(&script, &parent, facts);
    match args.format {
        Format::Json => {
            let told = Told {
                schema_version: SCHEMA_VERSION,
                strategy,
                capacity_bytes: facts.new_pipe.capacity_bytes(),
                prediction: &prediction,
            };
            println!("{}", serde_json::to_string_pretty(&told)?);
        }
        Format::Text | Format::Svg => println!("{prediction}"),
    }
    Ok(ExitCode::from(code(&prediction)))
}

/// A prediction as JSON, with what it holds for.
#[derive(Serialize)]
struct Told<'a> {
    schema_version: u32,
    strategy: Strategy,
    /// Of a new pipe.
    capacity_bytes: u64,
    #[serde(flatten)]
    prediction: &'a Prediction,
}

fn code(prediction: &Prediction) -> u8 {
    use pipeclog_scenario::predict::Ending;
    match prediction.ending() {
        Some(Ending::Completes { .. }) => 0,
        Some(
            Ending::ArtificialDeadlock
            | Ending::TrueDeadlock
            | Ending::PollsForEver
            | Ending::Leaks
            | Ending::Waits { .. }
            | Ending::Endless
            | Ending::CutShort { .. },
        ) => NOT_TO_THE_END,
        None => NOT_FORETOLD,
    }
}
