//! The whole document, of small results made by hand.

use pipeclog_scenario::bound::Bound;
use pipeclog_scenario::boundary::{Boundary, Found, Layout};
use pipeclog_scenario::capacity::Filled;
use pipeclog_scenario::expect::{Expect, ExpectedHang, Told};
use pipeclog_scenario::machine::{Build, Machine};
use pipeclog_scenario::outcome::{
    Blocked, Cell, Effort, EndedBy, Hang, Outcome, Results, Role, Verdict, Written,
};
use pipeclog_scenario::predict::Foretold;
use pipeclog_scenario::strategy::Strategy;
use pipeclog_scenario::throughput::{Sample, Samples, Series, Throughput};
use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::classes::Classes;
use pipeclog_waitgraph::report::Report;
use pipeclog_waitgraph::snapshot::Untrusted;
use proptest::prelude::*;

/// The report with the texts that come with the suite.
fn markdown(results: &Results) -> String {
    let texts = include_str!("../../../../fixtures/classes.json");
    super::document(results, &Classes::read(texts).unwrap(), "REPORT").markdown
}

fn hang(comm: &str) -> Hang {
    let blocked = |pid, role, call: &str| Blocked {
        pid,
        comm: Untrusted::from(comm),
        role,
        call: call.to_owned(),
        descriptor: None,
        object: None,
        holders: Vec::new(),
    };
    let mut child = blocked(8, Role::Child, "write");
    child.descriptor = Some(1);
    child.object = Some("pipe:[4711]".to_owned());
    child.holders = vec!["sh (7)".to_owned()];
    Hang {
        ended_by: EndedBy::Proof,
        after_ms: 30,
        blocked: vec![blocked(7, Role::Parent, "wait for a child"), child],
        diagnosis: Some(Box::new(proven())),
    }
}

/// What the engine says of such a hang, without the parts that a document of outcomes does not show.
fn proven() -> Report {
    let report = serde_json::json!({
        "schema_version": 1, "verdict": "deadlocked", "confidence": "proven", "finding": "proven",
        "deadlock": "artificial", "class": "wait-then-read", "related": [], "headline": "deadlock, proven: sh (7) waits for sh (8) to exit; sh (8) waits to write to pipe:[4711], which only sh (7) reads",
        "target": {
            "task": {"pid": 7, "tid": 7}, "start_ticks": 0, "name": "sh", "thread": null, "command": [], "age_ms": 30
        },
        "members": [], "culprit": null, "fix": null, "inside": [], "assumptions": [], "closed_world": [],
        "gaps": [], "beside": [], "looks": 2, "observed_ms": 10, "certificate": null
    });
    serde_json::from_value(report).unwrap()
}

fn cell(scenario: &str, size: Option<u64>, strategy: Strategy, verdict: Verdict) -> Cell {
    let expected = match verdict {
        Verdict::Hung(_) => Expect::Hangs(ExpectedHang::new(Class::WaitThenRead, Told::Proven)),
        Verdict::CutShort { .. } => Expect::CutShort,
        _ => Expect::Completes,
    };
    Cell {
        scenario: size.map_or_else(|| scenario.to_owned(), |size| format!("{scenario}-{size}")),
        row: scenario.to_owned(),
        size,
        strategy,
        expected,
        predicted: None,
        outcome: Outcome {
            verdict,
            measured: None,
            written: Written::default(),
            seen: None,
        },
    }
}

fn sample(wall_ns: u64) -> Sample {
    Sample {
        wall_ns,
        used_ns: wall_ns + 1000,
        parent_cpu_us: 40,
        child_cpu_us: 0,
    }
}

fn series(strategy: Strategy, bytes: u64, walls: &[u64], peak: u64) -> Series {
    Series {
        strategy,
        bytes,
        measured: Samples::Taken {
            rounds: walls.iter().copied().map(sample).collect(),
            peak_kib: Some(peak),
        },
    }
}

fn boundary(strategy: Strategy, layout: Layout, predicted: Option<u64>, found: Found) -> Boundary {
    Boundary {
        strategy,
        layout,
        write_size: 4096,
        stdin: 0,
        predicted,
        found,
        trials: 2,
    }
}

/// Two strategies, one of which hangs; everything as expected.
fn results() -> Results {
    let hung = || Verdict::Hung(hang("sh"));
    let (wait, poll) = (Strategy::WaitThenRead, Strategy::Poll);
    let at = Found::At {
        completes: 65_536,
        hang: hang("sh"),
    };
    Results {
        foretold: Foretold::default(),
        effort: Some(Effort::Quick),
        boundaries: vec![
            boundary(wait, Layout::Stdout, Some(65_536), at.clone()),
            boundary(wait, Layout::Stderr, Some(65_536), at),
        ],
        throughput: Some(Throughput {
            baseline: poll,
            write_size: 65_536,
            series: vec![
                series(poll, 0, &[100_000, 101_000, 102_000], 2000),
                series(Strategy::Threads, 0, &[99_000, 102_000, 103_000], 2000),
                series(poll, 1 << 20, &[500_000, 510_000, 520_000], 3000),
                series(
                    Strategy::Threads,
                    1 << 20,
                    &[1_000_000, 1_020_000, 1_100_000],
                    3100,
                ),
            ],
        }),
        filled: vec![
            Filled {
                write_bytes: 1,
                held_bytes: 65_536,
            },
            Filled {
                write_bytes: 2049,
                held_bytes: 32_784,
            },
        ],
        machine: Some(Machine {
            kernel: Untrusted::from("6.18.44"),
            architecture: Untrusted::from("x86_64"),
            cpus: 2,
            memory_kib: 2 << 20,
            page_bytes: 4096,
            pipe_bytes: 65_536,
            pipe_max_bytes: Some(1 << 20),
            pipe_user_pages_soft: None,
            pipeclog: Untrusted::from("0.1.0"),
            build: Build::Release,
        }),
        ..Results::of_cells(vec![
            cell("boundary/stdout", Some(65_536), wait, Verdict::Completed),
            cell("boundary/stdout", Some(65_537), wait, hung()),
            cell("boundary/stdout", Some(65_536), poll, Verdict::Completed),
            cell("boundary/stdout", Some(65_537), poll, Verdict::Completed),
        ])
    }
}

#[test]
fn the_report_answers_first_and_then_shows_why() {
    insta::assert_snapshot!(markdown(&results()), @r##"
# Which ways to capture output hang, and at which byte

<!-- Generated by `pipeclog report`. Not to be edited: the next run writes it anew. -->

**1 of 2 ways to capture a child's output hang once the child has written enough: `wait_then_read`. 1 never did.** A pipe is a bounded buffer: when it is full, the child's write waits until somebody reads. A parent that first waits for something else (the child's exit, the end of the other stream, room for its own input) waits for ever.

This is a quick run: where scenarios come in many sizes and write sizes, only 65,536 and 65,537 bytes in writes of 4,096 were run; and the boundary was searched for fewer write sizes and layouts, and the cost measured for fewer sizes and in fewer rounds, than in a full run.

| hangs | when the child fills | completes with at most | with the worst write size, at most |
| --- | --- | --: | --: |
| `wait_then_read` | stdout or stderr | 65,536 bytes | 65,536 bytes (4,096 a write) |

One byte more hangs. Bytes are those of one stream.

**Use instead** one of those that none of the sizes that were run made hang:

- gets stdout and stderr, each by itself: `poll`

With 1,048,576 bytes the fastest of the first kind to hand them over was `poll`, 510 µs in the median. [The costs](#what-it-costs-when-it-works) are below.

## Strategy by scenario

| scenario | `wait_then_read` | `poll` |
| --- | --: | --: |
| `boundary`: `stdout` | **≥ 65,537** | ok |

**ok**: the parent ends with the child's exit code and every byte. **≥ N**: hangs with N bytes, the smallest of the sizes run here that does, and with all larger ones, and is ok with the smaller ones ([the boundary itself](#the-boundary-to-the-byte) is below). **hangs**: with every size. **cut**: ends in time with a right part of the output, as it was told to; **cut ≥ N**: only with N bytes and more. **varies**: ends in several ways, each as expected. **harms**: a background child meets a broken pipe, as it must here. **–**: has no meaning here, or was not run.

4 trials came out as expected, 0 did not, 0 were skipped.

## The post, settled

The claims of the post were not put to the test in this run.

## The boundary, to the byte

Each figure is the most bytes **to each stream that is written** with which the capture still completes; with one byte more it hangs. Both were run on real processes; the model of the pipe only says where to look first, and where it is wrong a bisection finds the byte and the table says what the model thought.

**`wait_then_read`**

| bytes a write | stdout alone | stderr alone |
| --: | --: | --: |
| 4,096 | 65,536 | 65,536 |

2 searches took 4 trials. In 2 of the 2 hangs that ended them the kernel showed the child in write on a pipe.

### Slots, not bytes

A pipe is full when its slots are, not its bytes: each slot holds a page at most, and a write shares a slot with the one before only if what is left of it after whole pages fits there entirely (pipe(7); `anon_pipe_write` in the kernel's `fs/pipe.c`). So small odd writes fill a pipe with far fewer bytes than its capacity says.

![Bytes that a pipe holds when its writer blocks, by the size of the writes](REPORT.capacity.svg)

Pipes of this kernel were filled with writes of 2 sizes; the least of them held 32,784 bytes, in writes of 2,049. `pipeclog predict --sweep` draws the curve, `pipeclog predict --write-size N` gives one point of it.

## What the kernel says of each hang

What the engine says of the 1 expected hangs, from `/proc` alone:

| verdict | hangs |
| --- | --: |
| **deadlock, proven**: by a certificate, checked by code of its own, that names for each task what it waits for and everybody who could wake it | 1 |

Here is one of each class; processes and pipes have names in the place of their numbers.

### `wait-then-read`

The parent waits for the child to exit, the child waits for room in a pipe, and the only reader of that pipe is the parent.

Seen with `wait_then_read` on `boundary/stdout-65537`. The child had written 0 bytes to stdout and 0 to stderr. It was ended by the proof that it would never end.

> deadlock, proven: the parent waits for the child to exit; the child waits to write to pipe A, which only the parent reads.

- The parent (sh): wait for a child.
- The child (sh): write on descriptor 1, pipe A; the other end is held by the parent.

**The cure.** Read to the end of file, then wait; or let a library do both at once (communicate, Command&#58;&#58;output, Open3.capture3). Where nobody wants the output, give the child /dev/null or a file.

**What does not cure it.** A timeout on the wait turns the hang into a false failure, since the child cannot exit unread. A bigger pipe moves the size at which it hangs.

References: rust-lang/rust&#35;27152; ziglang/zig&#35;14264; sheredom/subprocess.h&#35;82; python: subprocess documentation, warning at Popen.wait; pipe(7).

No trial of this run hung in `polling-waiter`, `sequential-read`, `unread-stream`, `write-all-then-read`, `oversized-write-after-pollout`, `back-pressure-forgotten`, `join-order`, `diamond`, `queue-feeder`, `slots-full`, `shrunk-pipe`, `sink-stalled`, `pty-unread`, `socketpair-full`, `grandchild-holds`, `leaked-to-sibling`, `own-write-end`, `stdin-never-closed`, `stdio-buffer-standoff`, `coprocess-standoff`, `fifo-open-order`, `fork-lock` and `jobserver-tokens`; `pipeclog explain` has half a page on each.

## Published incidents, acted out

None was acted out.

## Languages

No wrapper of another language was run.

## What it costs when it works

The child writes so many bytes to stdout, 65,536 at a time, and the strategies capture it in turn: one at a time, in one process, in rounds whose order rotates. A ratio is to `poll` in the same round; given are the median and, in brackets, where the middle half lies. **≈** marks a ratio whose middle half includes 1: this run cannot tell the two apart. `discard` sends the output to `/dev/null`: it is what the child alone takes.

![Time of a capture by its bytes, for each strategy](REPORT.times.svg)

| × the time of the baseline, by bytes | 0 | 1,048,576 |
| --- | --: | --: |
| `poll` | 101 µs | 510 µs |
| `threads` | ≈ 1.01 | 2.00 |

<details><summary>0 bytes, 3 rounds</summary>

| strategy | capture | × baseline | use and free | MiB/s | CPU of the parent | CPU of the child | memory, KiB |
| --- | --: | --: | --: | --: | --: | --: | --: |
| `threads` | 102 µs (101–103) | ≈ 1.01 (1.00–1.01) | 103 µs (102–104) | – | 40.0 µs | below 1 µs | ≤ 2,000 |
| `poll` | 101 µs (101–102) | ≈ 1.00 (1.00–1.00) | 102 µs (102–103) | – | 40.0 µs | below 1 µs | ≤ 2,000 |

</details>

<details><summary>1,048,576 bytes, 3 rounds</summary>

| strategy | capture | × baseline | use and free | MiB/s | CPU of the parent | CPU of the child | memory, KiB |
| --- | --: | --: | --: | --: | --: | --: | --: |
| `threads` | 1.02 ms (1.01–1.06) | 2.00 (2.00–2.06) | 1.02 ms (1.01–1.06) | 980 | 40.0 µs | below 1 µs | 3,100 |
| `poll` | 510 µs (505–515) | ≈ 1.00 (1.00–1.00) | 511 µs (506–516) | 1,961 | 40.0 µs | below 1 µs | 3,000 |

</details>

*Capture* ends with the child's last byte and its exit. *Use and free* goes on until each byte was read once and its memory given back: `temp_file` and `memfd` hand over mapped memory, whose pages are filled only then. *CPU* is user and system time. *Memory* is the peak of a process that does this capture and nothing else, where every byte was verified; **≤** marks those that cannot be told from a process that captures nothing. A rate is given where the capture takes at least three times as long as that of no bytes; below, starting the child is most of the time, and the rate would tell of that.

### Beside other crates

Not measured: that takes a full run by `cargo` from a clone, which builds those crates.

## Machine, and how to reproduce

| what | value |
| --- | --- |
| pipeclog | `0.1.0`, release build |
| kernel | Linux `6.18.44` |
| architecture | `x86_64` |
| processors | 2 |
| memory | 2,048 MiB |
| page | 4,096 bytes |
| capacity of a new pipe, measured | 65,536 bytes |
| `pipe-max-size` | 1,048,576 bytes |
| `pipe-user-pages-soft` | not readable |

From a clone of the project, on Linux:

```sh
cargo pipeclog report --quick
```

Verdicts and boundaries are those of the kernel and should be the same on each machine with the same pipes; times are this machine's.
"##);
}

#[test]
fn saved_results_give_the_same_bytes() {
    let results = results();
    let saved = serde_json::to_string(&results).unwrap();
    let read: Results = serde_json::from_str(&saved).unwrap();
    assert_eq!(markdown(&read), markdown(&results));
}

#[test]
fn results_without_a_part_say_so() {
    let text = markdown(&Results::of_cells(Vec::new()));
    for missing in [
        "No scenario was run",
        "No boundary was searched",
        "No scenario hung",
        "Nothing was measured",
        "do not say which machine",
    ] {
        assert!(text.contains(missing), "{missing}: {text}");
    }
}

#[test]
fn what_is_not_as_expected_is_told_by_name() {
    let mut results = results();
    assert!(results.all_as_expected());
    let lost = Verdict::Lost {
        stream: "stdout".to_owned(),
        what: "byte 7 is missing".to_owned(),
    };
    results
        .cells
        .push(cell("spill", None, Strategy::Memfd, lost));
    let never = Found::Never { tried: 2 << 20 };
    let (wait, layout) = (Strategy::WaitThenRead, Layout::Both);
    results
        .boundaries
        .push(boundary(wait, layout, Some(65_536), never));
    if let Some(throughput) = &mut results.throughput {
        throughput.series.push(Series {
            strategy: Strategy::Tokio,
            bytes: 1 << 20,
            measured: Samples::Failed {
                why: "no runtime".to_owned(),
            },
        });
    }
    assert!(!results.all_as_expected());
    let text = markdown(&results);
    let told = text
        .split("## What is not as expected\n\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .unwrap();
    insta::assert_snapshot!(told, @r##"
- `spill` under `memfd`: loses bytes of stdout: byte 7 is missing; expected: completes
- the boundary of `wait_then_read` (both, 4,096 bytes a write): completes with 2097152 bytes; predicted: 65,536 bytes complete
- measuring `tokio` with 1,048,576 bytes: no runtime
"##);
    assert!(text.contains("(**the model says 65,536**)"), "{text}");
}

#[test]
fn a_hang_against_expectation_makes_no_hazard_and_clears_nobody() {
    let mut results = results();
    let hung = Verdict::Hung(hang("sh"));
    let mut odd = cell("boundary/stdout", Some(65_537), Strategy::Pty, hung);
    odd.expected = Expect::Completes;
    results.cells.push(odd);
    let text = markdown(&results);
    let answer = text.lines().find(|line| line.starts_with("**")).unwrap();
    assert!(
        answer.contains("enough: `wait_then_read`. 1 never did; what was run leaves the question open for `pty`.**"),
        "{answer}"
    );
}

#[test]
fn a_row_that_is_cut_from_a_size_on_does_not_hang() {
    let cut = || Verdict::CutShort {
        by: Bound::Limit,
        why: "limit".to_owned(),
    };
    let of = |strategy, small, large| {
        [
            cell("limits/head", Some(65_536), strategy, small),
            cell("limits/head", Some(65_537), strategy, large),
        ]
    };
    let cells = [
        of(Strategy::Poll, Verdict::Completed, cut()),
        of(Strategy::Pty, cut(), Verdict::Completed),
        of(
            Strategy::WaitThenRead,
            Verdict::Completed,
            Verdict::Hung(hang("sh")),
        ),
    ];
    let text = markdown(&Results::of_cells(cells.into_iter().flatten().collect()));
    assert!(
        text.contains("| `limits`: `head` | **≥ 65,537** | cut ≥ 65,537 | varies |"),
        "{text}"
    );
}

#[test]
fn equal_strategies_share_a_column_and_equal_rows_a_line() {
    let mut cells = Vec::new();
    for row in ["pair/a", "pair/b", "alone"] {
        for strategy in [Strategy::Threads, Strategy::Poll, Strategy::Epoll] {
            cells.push(cell(row, None, strategy, Verdict::Completed));
        }
        cells.push(cell(
            row,
            None,
            Strategy::WaitThenRead,
            Verdict::Hung(hang("sh")),
        ));
    }
    let text = markdown(&Results::of_cells(cells));
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("| scenario"));
    let table: Vec<&str> = lines.take_while(|line| line.starts_with('|')).collect();
    insta::assert_snapshot!(table.join("\n"), @r##"
| scenario | `wait_then_read` | **A** |
| --- | --: | --: |
| `pair`: `a` and `b` | **hangs** | ok |
| `alone` | **hangs** | ok |
"##);
    assert!(
        text.contains("**A**: `threads`, `poll` and `epoll`."),
        "{text}"
    );
}

/// The characters that Markdown, HTML or GitHub could take for more than text.
fn structure(text: &str) -> Vec<char> {
    text.chars()
        .filter(|c| "\n\r\t`|<>[]*_~!\\@${}".contains(*c))
        .collect()
}

fn named(name: &str) -> Results {
    let mut results = results();
    let wrong = Verdict::WrongExit {
        expected: name.to_owned(),
        found: name.to_owned(),
    };
    results.cells.push(cell(name, None, Strategy::Poll, wrong));
    let skipped = Verdict::Skipped {
        why: name.to_owned(),
    };
    results
        .cells
        .push(cell(name, None, Strategy::Tokio, skipped));
    for cell in &mut results.cells {
        if let Verdict::Hung(hung) = &mut cell.outcome.verdict {
            *hung = hang(name);
            for blocked in &mut hung.blocked {
                blocked.call = name.to_owned();
                blocked.object = Some(format!("FIFO {name}"));
                blocked.holders = vec![name.to_owned()];
            }
        }
    }
    results
}

proptest! {
    #[test]
    fn no_name_adds_to_the_structure_of_the_document(
        name in "[é@`|<>#*_\\[\\]()!~&$\\\\\\n\\r\\t\\x1b\u{202e}a-c:.]{0,12}",
    ) {
        // With a letter that no plain name has, so that it is text and not code.
        let hostile = markdown(&named(&format!("é{name}")));
        prop_assert_eq!(structure(&hostile), structure(&markdown(&named("é"))));
        let is_hidden = |c: char| c == '\u{1b}' || c == '\u{202e}';
        prop_assert!(!hostile.contains(is_hidden));
    }
}
