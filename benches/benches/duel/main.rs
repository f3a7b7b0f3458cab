//! The goals of speed, measured in one run: `cargo bench -p pipeclog-benches --bench duel`.
//!
//! In a duel all methods take their turn in one process, in an order that rotates, and what counts is the ratio of two
//! of them in the same round: what else the machine does then, it does to both. Absolute times are printed beside
//! and mean little. `-- --quick` runs fewer rounds, `-- --json FILE` writes the result for programs, and any other word
//! is the name of a duel, and only those that are named run.
#![expect(clippy::print_stdout, reason = "a table is what a bench is for")]

mod arena;
mod detection;
mod goals;
mod machine;
mod memory;
mod statistics;

use std::collections::BTreeMap;
use std::process::ExitCode;

use pipeclog_benches::child;

use crate::arena::{Arena, Times};
use crate::goals::{DUELS, GOALS};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, rest @ ..] = arguments.as_slice()
        && mode == memory::MODE
    {
        return memory::child(rest);
    }
    if let Some(code) = detection::be_started(&arguments) {
        return code;
    }
    let options = match Options::read(&arguments) {
        Ok(options) => options,
        Err(message) => {
            println!("{message}");
            return ExitCode::from(2);
        }
    };
    let arena = Arena {
        program: child::compile(env!("CARGO_TARGET_TMPDIR")),
        effort: options.effort,
    };
    let mut measured: BTreeMap<&str, Times> = BTreeMap::new();
    for duel in DUELS.iter().filter(|duel| options.wants(duel.name)) {
        let times = arena.fight(duel);
        print!("{}", times.table(duel));
        measured.insert(duel.name, times);
    }
    let peaks = memory::measure(&arena, |name| options.wants(name));
    let mut results = goals::judge(GOALS, &measured, &peaks);
    results.extend(machine::measure(arena.effort, |name| options.wants(name)));
    results.extend(detection::measure(arena.effort, |name| options.wants(name)));
    let about = goals::machine();
    print!("{}", goals::table(&results, &about));
    let Some(file) = options.json else {
        return ExitCode::SUCCESS;
    };
    let json = goals::json(results, &about, &measured).map_err(std::io::Error::from);
    match json.and_then(|json| std::fs::write(&file, json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            println!("failed to write {file}: {cause}");
            ExitCode::from(125)
        }
    }
}

/// What is measured besides duels.
const OTHERS: [&str; 3] = [memory::NAME, machine::NAME, detection::NAME];

/// What the command line asks for.
struct Options {
    effort: Effort,
    json: Option<String>,
    words: Vec<String>,
}

/// How many rounds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For figures to be quoted.
    Full,
    /// For a look.
    Quick,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            effort: Effort::Full,
            json: None,
            words: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // cargo's own.
                "--bench" => {}
                "--quick" => options.effort = Effort::Quick,
                "--json" => {
                    let file = arguments.next().ok_or("--json: to which file?")?;
                    options.json = Some(file.clone());
                }
                other if other.starts_with('-') => {
                    return Err(format!(
                        "{other}: no such option; there are --quick and --json FILE"
                    ));
                }
                word if DUELS.iter().any(|duel| duel.name == word) || OTHERS.contains(&word) => {
                    options.words.push(word.to_owned());
                }
                word => {
                    let names: Vec<&str> = DUELS.iter().map(|duel| duel.name).collect();
                    return Err(format!(
                        "no duel is named {word:?}; there are {names:?} and {OTHERS:?}"
                    ));
                }
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| word == name)
    }
}
