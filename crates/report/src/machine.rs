//! The section "machine, and how to reproduce".

use std::fmt::Write as _;

use pipeclog_scenario::machine::{Build, Machine};
use pipeclog_scenario::outcome::{Effort, Results};

use crate::markdown::{Align, Table, name, number};

pub(crate) fn write(to: &mut String, results: &Results) {
    to.push_str("## Machine, and how to reproduce\n\n");
    match &results.machine {
        Some(machine) => facts(to, machine),
        None => to.push_str("The results do not say which machine they come from.\n\n"),
    }
    let command = match results.effort {
        Some(Effort::Full) => "cargo pipeclog report",
        Some(Effort::Quick) => "cargo pipeclog report --quick",
        None => "cargo pipeclog prove",
    };
    let _ = writeln!(
        to,
        "From a clone of the project, on Linux:\n\n```sh\n{command}\n```\n"
    );
    to.push_str(
        "Verdicts and boundaries are those of the kernel and should be the same on each machine with the same pipes; times \
         are this machine's.\n",
    );
}

fn facts(to: &mut String, machine: &Machine) {
    let bytes = |bytes: Option<u64>| {
        bytes.map_or_else(
            || "not readable".to_owned(),
            |bytes| format!("{} bytes", number(bytes)),
        )
    };
    let heads = [("what", Align::Left), ("value", Align::Left)];
    let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
    let rows = [
        ("pipeclog", {
            let build = match machine.build {
                Build::Release => "release build",
                Build::Debug => "**debug build: its times say little**",
            };
            format!("{}, {build}", name(&machine.pipeclog.escaped()))
        }),
        (
            "kernel",
            format!("Linux {}", name(&machine.kernel.escaped())),
        ),
        ("architecture", name(&machine.architecture.escaped())),
        ("processors", number(u64::from(machine.cpus))),
        (
            "memory",
            format!("{} MiB", number(machine.memory_kib / 1024)),
        ),
        ("page", bytes(Some(u64::from(machine.page_bytes)))),
        (
            "capacity of a new pipe, measured",
            bytes(Some(machine.pipe_bytes)),
        ),
        ("`pipe-max-size`", bytes(machine.pipe_max_bytes)),
        (
            "`pipe-user-pages-soft`",
            machine.pipe_user_pages_soft.map_or_else(
                || "not readable".to_owned(),
                |pages| format!("{} pages", number(pages)),
            ),
        ),
    ];
    for (what, value) in rows {
        table.row([what.to_owned(), value]);
    }
    table.write(to);
}
