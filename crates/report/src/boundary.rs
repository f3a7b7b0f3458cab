//! The section "the boundary": for each hazard, the most bytes that complete, by write size and layout.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::num::NonZeroU64;

use pipeclog_pipemodel::capacity::Fill;
use pipeclog_pipemodel::{Geometry, PageSize, WriteMode};
use pipeclog_scenario::boundary::{Boundary, Found, Layout};
use pipeclog_scenario::capacity::{Filled, Held, Transport};
use pipeclog_scenario::machine::Machine;
use pipeclog_scenario::outcome::{Hang, Role};
use pipeclog_scenario::strategy::Strategy;

use crate::figure::Figure;
use crate::markdown::{Align, Table, number, strategies, text};

pub(crate) fn write(to: &mut String, boundaries: &[Boundary]) {
    to.push_str("## The boundary, to the byte\n\n");
    if boundaries.is_empty() {
        to.push_str("No boundary was searched.\n\n");
        return;
    }
    to.push_str(
        "Each figure is the most bytes **to each stream that is written** with which the capture still completes; with \
         one byte more it hangs. Both were run on real processes; the model of the pipe only says where to look \
         first, and where it is wrong a bisection finds the byte and the table says what the model thought.\n\n",
    );
    for (group, table) in groups(boundaries) {
        let _ = writeln!(
            to,
            "**{}**{}\n",
            strategies(&group),
            stdin(boundaries, &group)
        );
        table.write(to);
    }
    evidence(to, boundaries);
}

/// What a pipe holds, by write size: what the model says, and what this kernel's own pipes held.
pub(crate) fn write_curve(to: &mut String, filled: &[Filled], figure: Option<&Figure>) {
    to.push_str(
        "### Slots, not bytes\n\n\
         A pipe is full when its slots are, not its bytes: each slot holds a page at most, and a write shares a slot \
         with the one before only if what is left of it after whole pages fits there entirely (pipe(7); \
         `anon_pipe_write` in the kernel's `fs/pipe.c`). So small odd writes fill a pipe with far fewer bytes than its \
         capacity says.\n\n",
    );
    let Some(figure) = figure else {
        to.push_str("No pipe was filled in this run.\n\n");
        return;
    };
    to.push_str(&figure.markdown());
    let least = filled.iter().min_by_key(|filled| filled.held_bytes);
    if let Some(least) = least {
        let _ = writeln!(
            to,
            "Pipes of this kernel were filled with writes of {} sizes; the least of them held {} bytes, in writes of {}. \
             `pipeclog predict --sweep` draws the curve, `pipeclog predict --write-size N` gives one point of it.\n",
            number(filled.len() as u64),
            number(least.held_bytes),
            number(least.write_bytes),
        );
    }
}

/// What stands in a pipe's place, and how much of it fits there.
pub(crate) fn write_transports(to: &mut String, held: &[Held], machine: Option<&Machine>) {
    if held.is_empty() {
        return;
    }
    to.push_str(
        "### Smaller pipes, packets, sockets and terminals\n\n\
         What else may stand between child and parent was filled in the same way. A user whose pipes take more pages than \
         `pipe-user-pages-soft` gets pipes of two pages (before Linux 5.14: of one); in packet mode (O_DIRECT) each write takes a \
         slot of its own; Node gives its children socket pairs, which count the kernel's overhead for each write; a terminal \
         holds a buffer of its line discipline and what a worker of the kernel has moved on, so its figure varies.\n\n",
    );
    let sizes: BTreeSet<u64> = held.iter().map(|held| held.filled.write_bytes).collect();
    let heads = sizes.iter().map(|size| match size {
        1 => "by single bytes".to_owned(),
        size => format!("by {}", number(*size)),
    });
    let heads = std::iter::once(("bytes held".to_owned(), Align::Left))
        .chain(heads.map(|head| (head, Align::Right)));
    let mut table = Table::new(heads);
    let mut transports: Vec<Transport> = Vec::new();
    for held in held {
        if !transports.contains(&held.transport) {
            transports.push(held.transport);
        }
    }
    let mut differs = false;
    for transport in transports {
        let cells = sizes.iter().map(|size| {
            let found = held
                .iter()
                .find(|held| held.transport == transport && held.filled.write_bytes == *size);
            let Some(held) = found else {
                return "–".to_owned();
            };
            let bytes = held.filled.held_bytes;
            match foretold(held, machine) {
                Some(foretold) if foretold != bytes => {
                    differs = true;
                    format!("**{}, not {}**", number(bytes), number(foretold))
                }
                _ => number(bytes),
            }
        });
        let cells: Vec<String> = cells.collect();
        table.row(std::iter::once(name_of(transport)).chain(cells));
    }
    table.write(to);
    to.push_str(if differs {
        "**Bold is where the model of the pipe says otherwise.**\n\n"
    } else {
        "Each figure of a pipe is what the model of the pipe says; sockets and terminals it does not know.\n\n"
    });
}

fn name_of(transport: Transport) -> String {
    match transport {
        Transport::Pipe { capacity_bytes } => {
            format!("a pipe of {} bytes", number(capacity_bytes))
        }
        Transport::PacketPipe { capacity_bytes } => {
            format!("a pipe of {} bytes in packet mode", number(capacity_bytes))
        }
        Transport::SocketPair => "a socket pair".to_owned(),
        Transport::Terminal => "a terminal".to_owned(),
    }
}

/// What the model says of a pipe.
fn foretold(held: &Held, machine: Option<&Machine>) -> Option<u64> {
    let (capacity_bytes, mode) = match held.transport {
        Transport::Pipe { capacity_bytes } => (capacity_bytes, WriteMode::Stream),
        Transport::PacketPipe { capacity_bytes } => (capacity_bytes, WriteMode::Packet),
        Transport::SocketPair | Transport::Terminal => return None,
    };
    let page = PageSize::new(machine?.page_bytes).ok()?;
    let geometry = Geometry::from_request(page, capacity_bytes).ok()?;
    let size = NonZeroU64::new(held.filled.write_bytes)?;
    Some(Fill::of_writes(geometry, mode, size).bytes)
}

/// Strategies whose figures are all the same, with their table.
fn groups(boundaries: &[Boundary]) -> Vec<(Vec<Strategy>, Table)> {
    let mut known: Vec<(Vec<Strategy>, Vec<Entry>)> = Vec::new();
    for strategy in Strategy::ALL {
        let own: Vec<Entry> = boundaries
            .iter()
            .filter(|boundary| boundary.strategy == strategy)
            .map(Entry::of)
            .collect();
        if own.is_empty() {
            continue;
        }
        match known.iter_mut().find(|(_, figures)| *figures == own) {
            Some((group, _)) => group.push(strategy),
            None => known.push((vec![strategy], own)),
        }
    }
    known
        .into_iter()
        .map(|(group, figures)| (group, table(&figures)))
        .collect()
}

#[derive(PartialEq)]
struct Entry {
    layout: Layout,
    write_size: u64,
    shown: String,
}

impl Entry {
    fn of(boundary: &Boundary) -> Self {
        let mut shown = match &boundary.found {
            Found::At { completes, .. } => number(*completes),
            Found::Always { .. } => "**always hangs**".to_owned(),
            Found::Never { tried } => format!("no hang (up to {})", number(*tried)),
            Found::Unclear { bytes, why } => {
                format!("unclear at {}: {}", number(*bytes), text(why))
            }
        };
        if !boundary.agrees() {
            let predicted = boundary
                .predicted
                .map_or_else(|| "no hang".to_owned(), number);
            let _ = write!(shown, " (**the model says {predicted}**)");
        }
        Self {
            layout: boundary.layout,
            write_size: boundary.write_size,
            shown,
        }
    }
}

fn table(figures: &[Entry]) -> Table {
    let has = |layout: &Layout| figures.iter().any(|figure| figure.layout == *layout);
    let layouts: Vec<Layout> = Layout::ALL.into_iter().filter(has).collect();
    let mut sizes: Vec<u64> = figures.iter().map(|figure| figure.write_size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let heads = layouts
        .iter()
        .map(|layout| (in_words(*layout).to_owned(), Align::Right));
    let first = ("bytes a write".to_owned(), Align::Right);
    let mut table = Table::new([first].into_iter().chain(heads));
    for size in sizes {
        let cells = layouts.iter().map(|layout| {
            figures
                .iter()
                .find(|figure| (figure.layout, figure.write_size) == (*layout, size))
                .map_or_else(|| "–".to_owned(), |figure| figure.shown.clone())
        });
        table.row([number(size)].into_iter().chain(cells));
    }
    table
}

/// The layout, as the head of a column.
fn in_words(layout: Layout) -> &'static str {
    match layout {
        Layout::Stdout => "stdout alone",
        Layout::Stderr => "stderr alone",
        Layout::Both => "stdout, then stderr",
        Layout::Alternating => "a write to each in turn",
    }
}

fn stdin(boundaries: &[Boundary], group: &[Strategy]) -> String {
    let mut with_stdin = Vec::new();
    for strategy in group {
        let own = boundaries
            .iter()
            .find(|boundary| boundary.strategy == *strategy && boundary.stdin > 0);
        if let Some(boundary) = own {
            with_stdin.push(format!(
                "`{strategy}` with {} bytes of stdin to write, which the child reads after it has written",
                number(boundary.stdin)
            ));
        }
    }
    if with_stdin.is_empty() {
        String::new()
    } else {
        format!(" ({})", with_stdin.join("; "))
    }
}

/// What the kernel said of all these hangs, as a count.
fn evidence(to: &mut String, boundaries: &[Boundary]) {
    let hangs: Vec<&Hang> = boundaries.iter().filter_map(hang).collect();
    let writes = hangs.iter().filter(|hang| child_writes_to_pipe(hang));
    let trials: u64 = boundaries.iter().map(|found| u64::from(found.trials)).sum();
    let _ = writeln!(
        to,
        "{} searches took {} trials. In {} of the {} hangs that ended them the kernel showed the child in write on a pipe.\n",
        number(boundaries.len() as u64),
        number(trials),
        number(writes.count() as u64),
        number(hangs.len() as u64),
    );
}

fn hang(boundary: &Boundary) -> Option<&Hang> {
    match &boundary.found {
        Found::At { hang, .. } | Found::Always { hang } => Some(hang),
        Found::Never { .. } | Found::Unclear { .. } => None,
    }
}

fn child_writes_to_pipe(hang: &Hang) -> bool {
    hang.blocked.iter().any(|blocked| {
        let object = blocked.object.as_deref();
        blocked.role == Role::Child
            && blocked.call == "write"
            && object.is_some_and(|object| object.starts_with("pipe:"))
    })
}
