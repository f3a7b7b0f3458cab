//! Incidents that were published, acted out under the mistake that was made, and under its cure.
//!
//! The child is the chatty one; the parent is a wrapper in the language of the project where one is shipped, and else one of our strategies
//! that makes the same mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use libtest_mimic::Failed;
use pipeclog_harness::check;
use pipeclog_harness::check::shipped::Unready;
use pipeclog_harness::pool::Request;
use pipeclog_scenario::check::{Case, Child, Exit, Finding, Level, Orders, Output, Start};
use pipeclog_scenario::outcome::{Hang, Verdict};
use pipeclog_scenario::scenario::{Descendants, Scenario, read_family};
use pipeclog_scenario::strategy::Strategy;
use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::report::VerdictName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Suite, program};

/// A file of `fixtures/incidents`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Incident {
    project: String,
    reference: String,
    class: Class,
    what: String,
    script: Value,
    #[serde(default)]
    stdin: Value,
    #[serde(default)]
    fifos: Vec<String>,
    before: Way,
    after: Way,
    /// What the engine says of the hang.
    verdict: VerdictName,
    /// The class that the engine can tell from the kernel's view alone.
    diagnosed: Class,
}

/// A way to capture.
#[derive(Deserialize)]
struct Way {
    #[serde(flatten)]
    by: By,
    #[serde(default)]
    parent: Value,
    /// The child's script, where the cure is in the child.
    #[serde(default)]
    script: Value,
    #[serde(default)]
    cure: String,
}

/// Who captures.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// `pipeclog capture`.
    Strategy(Strategy),
    /// `language/name` of `fixtures/wrappers`.
    Wrapper(String),
}

/// What came of it.
enum Came {
    Hung(Box<Hang>),
    Ended,
    Otherwise(String),
    /// Why it cannot be run here.
    Skipped(String),
}

pub(crate) fn read(folder: &Path) -> BTreeMap<String, Incident> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("fixtures/incidents can be listed") {
        let path = entry.expect("an entry of a readable folder").path();
        let text = std::fs::read_to_string(&path).expect("an incident can be read");
        let incident: Incident = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        all.insert(name.into_owned(), incident);
    }
    assert!(all.len() >= 20, "twenty incidents at least");
    all
}

/// It hangs as it did, the diagnosis says why, and the cure lets it end with every byte.
pub(crate) fn act_out(suite: &Suite, name: &str, incident: &Incident) -> Result<(), Failed> {
    let hang = match run(suite, name, incident, &incident.before)? {
        Came::Hung(hang) => hang,
        Came::Ended => return Err("it was to hang, and ended".into()),
        Came::Otherwise(other) => return Err(format!("it was to hang: {other}").into()),
        Came::Skipped(why) => {
            println!("museum/{name}: skipped: {why}");
            return Ok(());
        }
    };
    let report = hang.diagnosis.as_ref().ok_or("the hang has no diagnosis")?;
    if report.verdict != incident.verdict || report.class != Some(incident.diagnosed) {
        let found = report.class.map_or("no class", Class::slug);
        return Err(format!("{found}: {}", report.headline).into());
    }
    match run(suite, name, incident, &incident.after)? {
        Came::Ended => Ok(()),
        Came::Hung(hang) => Err(format!("{}: it was to end: {hang}", incident.after.cure).into()),
        Came::Otherwise(other) => {
            Err(format!("{}: it was to end: {other}", incident.after.cure).into())
        }
        Came::Skipped(why) => {
            println!("museum/{name}: skipped, the cure: {why}");
            Ok(())
        }
    }
}

fn run(suite: &Suite, name: &str, incident: &Incident, way: &Way) -> Result<Came, Failed> {
    let scenario = scenario(name, incident, way)?;
    match &way.by {
        By::Strategy(strategy) => {
            let strategy = *strategy;
            Ok(
                match suite.pool.run(&Request { scenario, strategy }).verdict {
                    Verdict::Completed => Came::Ended,
                    Verdict::Hung(hang) => Came::Hung(Box::new(hang)),
                    other => Came::Otherwise(other.to_string()),
                },
            )
        }
        By::Wrapper(wrapper) => by_wrapper(suite, wrapper, scenario),
    }
}

fn by_wrapper(suite: &Suite, name: &str, scenario: Scenario) -> Result<Came, Failed> {
    let shipped = suite.wrappers.iter().find(|wrapper| wrapper.name == name);
    let shipped = shipped.ok_or_else(|| format!("there is no wrapper {name}"))?;
    let out = tempfile::tempdir()?;
    let wrapper = match shipped.prepare(out.path(), &program().with_file_name("peer")) {
        Ok(wrapper) => wrapper,
        Err(missing @ Unready::Missing(_)) => return Ok(Came::Skipped(missing.to_string())),
        Err(failed @ Unready::Build(_)) => return Err(failed.into()),
    };
    let case = case(scenario);
    Ok(match suite.pool.check(&check::Request { case, wrapper }) {
        Finding::Passed => Came::Ended,
        Finding::Hung(hang) => Came::Hung(hang),
        other => Came::Otherwise(other.to_string()),
    })
}

fn case(scenario: Scenario) -> Case {
    Case {
        id: scenario.name,
        group: "museum".to_owned(),
        level: Level::Must,
        title: scenario.title,
        reason: String::new(),
        references: scenario.references,
        child: Child::Script(scenario.script),
        stdin: scenario.stdin,
        descendants: Descendants::Killed,
        needs: BTreeSet::new(),
        start: Start::Usual,
        orders: Orders::default(),
        output: Output::Whole,
        exit: Exit::Same,
        idle: false,
    }
}

fn scenario(name: &str, incident: &Incident, way: &Way) -> Result<Scenario, Failed> {
    let script = if way.script.is_null() {
        &incident.script
    } else {
        &way.script
    };
    let mut file = json!({
        "class": incident.class,
        "title": incident.what,
        "imitates": incident.project,
        "references": [incident.reference],
        "script": script,
        "stdin": incident.stdin,
        "fifos": incident.fifos,
        "rules": [{"strategies": "all", "expect": {"outcome": "completes"}}],
    });
    if !way.parent.is_null() {
        file["parent"] = way.parent.clone();
    }
    let scenarios = read_family(name, &file.to_string())?;
    Ok(scenarios.into_iter().next().ok_or("no scenario")?)
}
