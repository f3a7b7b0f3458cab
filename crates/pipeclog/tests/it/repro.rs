//! `--repro FILE`: what it writes acts out the same wait-for graph, or says why it cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use pipeclog_harness::fixtures::scenarios;
use pipeclog_scenario::expect::{Expect, Told};
use pipeclog_scenario::plan::Wiring;
use pipeclog_scenario::scenario::{Parent, Scenario};
use pipeclog_scenario::strategy::Strategy;
use serde::Deserialize;

use crate::leaked::is_here;
use crate::run::{Ran, shell};

/// Hangs whose graph cannot be acted out, and why: `fixtures/repro.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassOnly {
    /// The class that the engine names.
    class: String,
    /// The strategy.
    strategy: Strategy,
    /// A part of what is said.
    why: String,
}

/// A hang of the built-in matrix.
struct Hang {
    scenario: Scenario,
    strategy: Strategy,
    class: String,
    told: Told,
}

/// One hang for each class that the engine names, each way in which it tells it, each kind of channel to the parent, and each call that the
/// parent begins with; with io_uring besides, which looks like none of them.
fn hangs() -> Vec<Hang> {
    let mut known = BTreeSet::new();
    let mut hangs = Vec::new();
    for scenario in scenarios().expect("fixtures/scenarios is well-formed") {
        for strategy in Strategy::ALL {
            let Some(Expect::Hangs(hang)) = scenario.expectation(strategy) else {
                continue;
            };
            let engine = hang.engine.as_ref().map(|engine| engine.class);
            let class = engine.unwrap_or(hang.class).to_string();
            let plan = strategy.plan();
            let channel = match plan.wiring {
                Wiring::Pipes(_) | Wiring::OnePipe(_) => "pipe",
                Wiring::Terminal => "terminal",
                Wiring::Sockets => "socket",
                Wiring::Files | Wiring::Nothing | Wiring::Inherited => "none",
            };
            let first = format!("{:?} {}", plan.steps.first(), strategy == Strategy::IoUring);
            // What moves has no graph.
            let is_told = hang.told != Told::Alive && scenario.parent == Parent::default();
            if is_told
                && !scenario.is_slow()
                && known.insert((class.clone(), hang.told, channel, first))
            {
                let scenario = scenario.clone();
                hangs.push(Hang {
                    scenario,
                    strategy,
                    class,
                    told: hang.told,
                });
            }
        }
    }
    hangs
}

/// Plants it, diagnoses it, writes a scenario of it, ends it, and proves the scenario.
fn acted_out(hang: &Hang) -> Ran {
    let script = hang
        .scenario
        .script
        .to_json()
        .expect("a checked script is JSON")
        .replace('\'', "'\\''");
    let stdin = hang.scenario.stdin.map_or_else(String::new, |size| {
        format!("head -c {} /dev/zero >input; ", size.0)
    });
    let option = match hang.scenario.stdin {
        Some(_) => "--stdin-file input",
        None => "",
    };
    let fifos: String = hang
        .scenario
        .fifos
        .iter()
        .map(|name| format!("mkfifo {name}; "))
        .collect();
    shell(&format!(
        "d=$(mktemp -d); cd $d; {fifos}{stdin}printf %s '{script}' >script; \
         pipeclog watch --timeout 100 --on-deadlock wait -- bash -c 'for fd in /proc/$$/fd/*; do \
             n=${{fd##*/}}; [ $n -le 2 ] || [ $n = 255 ] || eval \"exec $n>&-\"; done; echo $$ >pid.new; mv pid.new pid; \
             exec pipeclog capture -s {strategy} {option} -- pipeclog chatty --script script' </dev/null >/dev/null 2>told & watch=$!; \
         until [ -s pid ]; do kill -0 $watch || exit 99; done; \
         for i in 1 2 3 4 5 6 7 8; do \
             pipeclog diagnose --look {look} --repro repro --format json $(cat pid) >json 2>err; code=$?; \
             grep -q '\"class\": \"{class}\"' json && break; done; \
         kill -KILL $watch; wait $watch 2>/dev/null; cat err >&2; echo diagnosed $code; \
         [ ! -e repro ] || {{ pipeclog prove --scenario repro >proved 2>&1 && echo proved || cat proved; }}; cd /; rm -r $d",
        strategy = hang.strategy,
        class = hang.class,
        // A stall takes looks over a second, anything else two.
        look = if hang.told == Told::Stalled {
            "1500ms"
        } else {
            "200ms"
        },
    ))
}

#[test]
fn every_hang_of_the_matrix_is_acted_out_with_its_own_graph_or_it_is_known_why_not() {
    let text = include_str!("../../../../fixtures/repro.json");
    let class_only: Vec<ClassOnly> = serde_json::from_str(text).unwrap();
    let hangs = hangs();
    let next = AtomicUsize::new(0);
    let ran: BTreeMap<usize, Ran> = std::thread::scope(|scope| {
        let worker = || {
            let mut ran = BTreeMap::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(hang) = hangs.get(at) else {
                    return ran;
                };
                ran.insert(at, acted_out(hang));
            }
        };
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (hang, ran) in hangs.iter().zip(ran.values()) {
        let is_known = |known: &&(usize, &ClassOnly)| {
            known.1.class == hang.class && known.1.strategy == hang.strategy
        };
        let listed: Vec<_> = class_only.iter().enumerate().collect();
        let excuse = listed.iter().find(is_known);
        let is_right = match excuse {
            // What is written then has the class, and says that it has no more.
            Some((at, known)) => {
                used.insert(*at);
                ran.stderr.contains(&known.why) && ran.stdout.contains("diagnosed 5")
            }
            None => {
                ran.stderr.contains("acts out the same wait-for graph")
                    && ran.stdout.ends_with("proved\n")
            }
        };
        if !is_right {
            wrong.push(format!(
                "{}/{}: {}: {ran:?}",
                hang.scenario.name, hang.strategy, hang.class
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        hangs.len()
    );
    assert_eq!(
        used.len(),
        class_only.len(),
        "entries of fixtures/repro.json are not met"
    );
}

/// Programs that hang as no strategy of ours does, each with an edge of its graph.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "import socket
a, b = socket.socketpair()
p = subprocess.Popen([\"head\", \"-c\", \"900000\", \"/dev/zero\"], stdout=b); b.close(); p.wait()",
        "1 waits for 0 (write, room of a socket)",
    ),
    (
        "m, s = os.openpty()
p = subprocess.Popen([\"head\", \"-c\", \"900000\", \"/dev/zero\"], stdout=s); os.close(s); p.wait()",
        "1 waits for 0 (write, room of a pty)",
    ),
    (
        "p = subprocess.Popen([\"cat\"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
threading.Thread(target=lambda: p.stdin.write(bytes(900000))).start(); p.wait()",
        "0 waits for 1 (write, room of a pipe); 0 waits for 1 (wait, exit); 1 waits for 0 (write, room of a pipe)",
    ),
    (
        "p = subprocess.Popen([\"sort\"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
p.stdin.write(b\"x\"); p.stdin.flush(); p.stdout.read()",
        "0 waits for 1 (read, data of a pipe); 1 waits for 0 (read, data of a pipe)",
    ),
];

#[test]
fn sockets_terminals_threads_and_names_of_filters_are_acted_out_too() {
    if !is_here("python3") {
        return;
    }
    for (program, graph) in PROGRAMS {
        let ran = shell(&format!(
            "d=$(mktemp -d); pipeclog watch --timeout 20 --repro $d/repro -- \
             python3 -c 'import os, subprocess, threading\n{program}' </dev/null; \
             pipeclog prove --scenario $d/repro; code=$?; rm -r $d; exit $code",
            program = program
        ));
        assert_eq!(ran.code, 0, "{program}: {ran:?}");
        assert!(ran.stderr.contains(graph), "{program}: {ran:?}");
    }
}

#[test]
fn what_cannot_be_acted_out_is_said_and_what_is_no_scenario_is_refused() {
    // An open of a FIFO waits for anybody at all, and the look does not say whom.
    let ran = shell(
        "d=$(mktemp -d); mkfifo $d/fifo; cat $d/fifo & child=$!; until grep -q '^257 ' /proc/$child/syscall; do kill -0 $child || exit 99; done; \
         pipeclog diagnose --repro $d/repro $child >/dev/null; echo $?; kill $child; \
         pipeclog prove --scenario $d/repro | grep same-class; \
         pipeclog prove --scenario $d/none; echo $?; echo '{}' >$d/bad; pipeclog prove --scenario $d/bad; echo $?; rm -r $d",
    );
    assert!(ran.stdout.starts_with("5\n"), "{ran:?}");
    assert!(ran.stdout.ends_with("2\n2\n"), "{ran:?}");
    assert!(
        ran.stderr
            .contains("its wait-for graph cannot be acted out")
            && ran.stderr.contains("not a scenario file")
            && ran.stderr.contains("failed to read the scenario in"),
        "{ran:?}"
    );
}

#[test]
fn a_scenario_with_another_graph_is_not_as_expected() {
    let ran = shell(
        "d=$(mktemp -d); pipeclog watch --timeout 20 --repro $d/repro -- \
             pipeclog capture -s wait_then_read -- pipeclog chatty --stdout 300000 >/dev/null; \
         sed 's/\"over\": \"pipe\"/\"over\": \"fifo\"/' $d/repro >$d/other; cmp -s $d/repro $d/other && exit 98; \
         pipeclog prove --scenario $d/other; code=$?; rm -r $d; exit $code",
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("DIFFERS"), "{ran:?}");
}
