//! Puts the cases to the wrappers that come with the suite, for the report's section on languages.

use std::num::NonZeroU64;
use std::path::Path;

use pipeclog_scenario::check::edge::Edge;
use pipeclog_scenario::check::{Case, Checked, Expectations, Finding, Wrapper};
use pipeclog_scenario::languages::{Survey, Surveyed};
use pipeclog_scenario::outcome::Effort;
use pipeclog_scenario::script::Stream;

use crate::check::shipped::{Shipped, Unready};
use crate::check::{Request, bisect};
use crate::pool::Pool;

/// The group of cases that a quick run puts to each wrapper: who hangs on what a child writes.
const QUICK_GROUP: &str = "output";
/// The one of them that takes as long as all others.
const SLOW_CASE: &str = "stdout-64m";
/// The length of the child's writes when the byte is searched at which a wrapper hangs.
const WRITE_SIZE: NonZeroU64 = NonZeroU64::new(4096).expect("it is not zero");
/// The cases that tell whether there is such a byte.
const EDGES: [(&str, Stream); 2] = [
    ("stdout-65537", Stream::Stdout),
    ("stderr-65537", Stream::Stderr),
];

/// A wrapper that can be run here.
#[derive(Clone, Debug)]
pub struct Ready {
    name: String,
    wrapper: Wrapper,
    known: Expectations,
}

/// The cases that a run puts to each wrapper.
#[must_use]
pub fn choose(cases: Vec<Case>, effort: Effort) -> Vec<Case> {
    let is_quick = |case: &Case| case.group == QUICK_GROUP && case.id != SLOW_CASE;
    let chosen = cases.into_iter();
    match effort {
        Effort::Full => chosen.collect(),
        Effort::Quick => chosen.filter(is_quick).collect(),
    }
}

/// Makes a wrapper ready; `out` is for what is built, `peer` the binary of the Rust peers.
///
/// # Errors
///
/// The wrapper as one that was not run, if something is not installed or it cannot be built.
pub fn prepare(shipped: &Shipped, out: &Path, peer: &Path) -> Result<Ready, Surveyed> {
    let not_run = |survey| Surveyed {
        name: shipped.name.clone(),
        survey,
    };
    match shipped.prepare(out, peer) {
        Ok(wrapper) => Ok(Ready {
            name: shipped.name.clone(),
            wrapper,
            known: shipped.known.clone(),
        }),
        Err(missing @ Unready::Missing(_)) => Err(not_run(Survey::Skipped {
            why: missing.to_string(),
        })),
        Err(failed @ Unready::Build(_)) => Err(not_run(Survey::Failed {
            why: failed.to_string(),
        })),
    }
}

/// Puts one case to a wrapper.
pub fn put(pool: &Pool, ready: &Ready, case: &Case) -> Checked {
    let finding = pool.check(&Request {
        case: case.clone(),
        wrapper: ready.wrapper.clone(),
    });
    Checked::new(case.clone(), finding, ready.known.get(&case.id), false)
}

/// Gathers what came of a wrapper's cases, and searches the bytes at which it begins to hang on the streams on which it does.
pub fn conclude(pool: &Pool, ready: Ready, cases: Vec<Checked>) -> Surveyed {
    let hangs = |id: &str| {
        let of_id = cases.iter().find(|checked| checked.case.id == id);
        of_id.is_some_and(|checked| matches!(checked.finding, Finding::Hung(_)))
    };
    let search = |(_, stream)| bisect::search(pool, &ready.wrapper, stream, WRITE_SIZE);
    let edges: Vec<Edge> = EDGES
        .into_iter()
        .filter(|(id, _)| hangs(id))
        .map(search)
        .collect();
    Surveyed {
        name: ready.name,
        survey: Survey::Run { cases, edges },
    }
}
