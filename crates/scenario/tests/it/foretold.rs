//! What every scenario's file expects is what the simulation foretells.

use std::path::Path;

use pipeclog_scenario::expect::Expect;
use pipeclog_scenario::predict::{Ending, Foretold, PipeFacts, Prediction};
use pipeclog_scenario::scenario::{Scenario, read_family};
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

#[derive(PartialEq)]
enum Come {
    Completes,
    CutShort,
    Hangs,
}

/// Whether a prediction is what is expected; nothing if one of them does not say.
fn agrees(prediction: &Prediction, expected: &Expect) -> Option<bool> {
    let come = match prediction.ending()? {
        Ending::Completes { after_us } if after_us > PATIENCE_US => Come::Hangs,
        Ending::Completes { .. } => Come::Completes,
        Ending::CutShort { .. } => Come::CutShort,
        Ending::ArtificialDeadlock
        | Ending::TrueDeadlock
        | Ending::PollsForEver
        | Ending::Leaks
        | Ending::Waits { .. }
        | Ending::Endless => Come::Hangs,
    };
    match expected {
        Expect::Completes => Some(come == Come::Completes),
        Expect::Hangs { .. } => Some(come == Come::Hangs),
        Expect::CutShort => Some(come == Come::CutShort),
        Expect::Harms | Expect::NotApplicable { .. } => None,
    }
}

#[test]
fn the_simulation_foretells_what_every_scenario_expects_and_nearly_always_one_outcome() {
    let mut predictions = Vec::new();
    let mut wrong = Vec::new();
    for scenario in scenarios().iter().filter(|scenario| !scenario.is_slow()) {
        for strategy in Strategy::ALL {
            let expected = scenario.expectation(strategy).expect("a rule");
            if matches!(expected, Expect::NotApplicable { .. }) {
                continue;
            }
            let prediction = scenario.foretell(strategy, PipeFacts::USUAL);
            if agrees(&prediction, expected) == Some(false) {
                wrong.push(format!(
                    "{}/{strategy}: expected: {expected}; foretold: {prediction}",
                    scenario.name
                ));
            }
            predictions.push(prediction);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let counts: Foretold = predictions.iter().collect();
    let all = counts.decided + counts.several + counts.not_modelled;
    assert!(
        counts.not_modelled * 1000 <= all * 5 && counts.decided * 1000 >= all * 990,
        "{counts:?}"
    );
}
