//! `pipeclog limits`: this machine's own facts about pipes, and how near this user is to its limits.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pipeclog_harness::machine::capacity_of_new_pipe;
use pipeclog_pipemodel::PageSize;
use pipeclog_pipemodel::limits::{Limits, NewPipe, Privilege, ShrunkPipe, SysctlFiles, UserPages};
use pipeclog_procscan::limits::{HeldPipes, PipeLimitFiles};
use pipeclog_waitgraph::render::Prose;
use serde_json::json;

use crate::table;

/// How to tell it.
#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    /// For a person or for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// For programs.
    Json,
}

pub(crate) fn run(args: &LimitsArgs) -> anyhow::Result<ExitCode> {
    let proc = Path::new("/proc");
    let files = PipeLimitFiles::read(proc)?;
    let sysctl = SysctlFiles {
        max_size: &files.max_size,
        user_pages_soft: &files.user_pages_soft,
        user_pages_hard: &files.user_pages_hard,
    };
    let page_bytes =
        u32::try_from(rustix::param::page_size()).context("the page size is out of range")?;
    let page = PageSize::new(page_bytes).context("the page size is no power of two")?;
    let limits = Limits::parse(sysctl, page, ShrunkPipe::parse(&files.osrelease)?)?;
    let privilege = Privilege::parse(&files.own_status, &files.own_uid_map)?;
    let held = HeldPipes::count(proc, rustix::process::getuid().as_raw())?;
    // Each pipe that is held counts as one of the usual size, which is the most likely; the kernel's own count is nowhere to be
    // read, so what a new pipe gets is measured, not computed.
    let held_pages = held.pipes.saturating_mul(u64::from(limits.usual_slots()));
    let new_pipe = capacity_of_new_pipe()?;
    match args.format {
        Format::Json => println!(
            "{:#}",
            json!({
                "schema_version": 1,
                "page_bytes": page_bytes,
                "new_pipe_bytes": new_pipe,
                "pipe_max_size_bytes": limits.max_bytes,
                "user_pages_soft": pages(limits.user_pages_soft),
                "user_pages_hard": pages(limits.user_pages_hard),
                "held_pipes": held.pipes,
                "held_pages_at_the_usual_size": held_pages,
                "unreadable_processes": held.unreadable,
                "usual_pipes_left": limits.usual_pipes_left(held_pages),
                "above_soft_limit_bytes": above_soft_limit(&limits),
                "exempt": privilege != Privilege::Ordinary,
            })
        ),
        Format::Text => tell(&limits, privilege, held, held_pages, new_pipe),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a pipe gets once the user is over the soft limit and has no privilege.
fn above_soft_limit(limits: &Limits) -> Option<u64> {
    let UserPages::AtMost(soft) = limits.user_pages_soft else {
        return None;
    };
    // At the soft limit itself: further on the hard one may refuse.
    match limits.new_pipe(soft, Privilege::Ordinary) {
        Ok(NewPipe::Usual(geometry) | NewPipe::Shrunk(geometry)) => Some(geometry.capacity_bytes()),
        Ok(NewPipe::Refused) | Err(_) => None,
    }
}

fn pages(limit: UserPages) -> Option<u64> {
    match limit {
        UserPages::Unlimited => None,
        UserPages::AtMost(pages) => Some(pages),
    }
}

fn tell(limits: &Limits, privilege: Privilege, held: HeldPipes, held_pages: u64, new_pipe: u64) {
    let limit = |limit| match limit {
        UserPages::Unlimited => "no limit".to_owned(),
        UserPages::AtMost(pages) => format!("{pages} pages"),
    };
    let mut text = Prose::new(table::text_width());
    let mut row = |what: &str, says: String| {
        text.hanging(&format!("{what:28} "), &says, "    ");
    };
    row("a new pipe gets now", format!("{new_pipe} bytes"));
    row(
        "it can be grown to",
        format!("{} bytes (pipe-max-size)", limits.max_bytes),
    );
    row(
        "soft limit of a user",
        format!("{} (pipe-user-pages-soft)", limit(limits.user_pages_soft)),
    );
    row(
        "hard limit of a user",
        format!("{} (pipe-user-pages-hard)", limit(limits.user_pages_hard)),
    );
    if let Some(bytes) = above_soft_limit(limits) {
        row(
            "a pipe above the soft limit",
            format!("{bytes} bytes, and growing it is refused"),
        );
    }
    row(
        "pipes that this user holds",
        format!(
            "{} ({held_pages} pages if all are of the usual size)",
            held.pipes
        ),
    );
    if let Some(left) = limits.usual_pipes_left(held_pages) {
        row("pipes of the usual size left", left.to_string());
    }
    if held.unreadable > 0 {
        row(
            "not counted",
            format!(
                "{} processes of this user that could not be read",
                held.unreadable
            ),
        );
    }
    match privilege {
        Privilege::Ordinary => {}
        Privilege::SysAdmin => {
            text.wrapped("this process is exempt from the limits of a user (CAP_SYS_ADMIN)");
        }
        Privilege::SysResource => {
            text.wrapped("this process is exempt from every limit (CAP_SYS_RESOURCE)");
        }
    }
    print!("{}", text.into_text());
}
