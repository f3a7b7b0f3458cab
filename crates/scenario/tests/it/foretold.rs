//! What every scenario's file expects is what the simulation foretells.

use std::path::Path;

use pipeclog_scenario::plan::AfterExit;
use pipeclog_scenario::predict::{Ending, Parent, PipeFacts, Prediction, predict};
use pipeclog_scenario::scenario::{Expect, Scenario, read_family};
use pipeclog_scenario::strategy::Strategy;

/// Nobody waits so long: a parent that completes only later counts as one that hangs.
const PATIENCE_US: u64 = 60_000_000;

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/scenarios");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the scenarios' folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        all.extend(read_family(&name, &text).expect("scenarios"));
    }
    all
}

/// The parent of a trial, if it is one that the simulation knows: no deadline, no limit, no grace period.
fn parent_of(scenario: &Scenario, strategy: Strategy) -> Option<Parent> {
    let options = &scenario.parent;
    if options.deadline_ms.is_some() || options.limit.is_some() {
        return None;
    }
    let after_exit = match options.end.as_deref() {
        None | Some("eof") => AfterExit::EndOfFile,
        Some("drain") => AfterExit::Drain,
        Some(_) => return None,
    };
    Some(Parent {
        strategy,
        after_exit,
        stdin_bytes: scenario.stdin.map(|size| size.0),
    })
}

/// Whether a prediction is what is expected; nothing if one of them does not say.
fn agrees(prediction: &Prediction, expected: &Expect) -> Option<bool> {
    let hangs = match prediction.ending()? {
        Ending::Completes { after_us } => after_us > PATIENCE_US,
        Ending::ArtificialDeadlock
        | Ending::TrueDeadlock
        | Ending::PollsForEver
        | Ending::Leaks
        | Ending::Waits { .. }
        | Ending::Endless => true,
    };
    match expected {
        Expect::Completes => Some(!hangs),
        Expect::Hangs { .. } => Some(hangs),
        Expect::CutShort | Expect::Fails | Expect::NotApplicable { .. } => None,
    }
}

#[test]
fn the_simulation_foretells_what_every_scenario_expects() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for scenario in scenarios().iter().filter(|scenario| !scenario.is_slow()) {
        for strategy in Strategy::ALL {
            let expected = scenario.expectation(strategy).expect("a rule");
            let Some(parent) = parent_of(scenario, strategy) else {
                continue;
            };
            let prediction = predict(&scenario.script, &parent, PipeFacts::USUAL);
            match agrees(&prediction, expected) {
                Some(true) => compared += 1,
                Some(false) => wrong.push(format!(
                    "{}/{strategy}: expected: {expected}; foretold: {prediction}",
                    scenario.name
                )),
                None => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 1000, "only {compared} were compared");
}
