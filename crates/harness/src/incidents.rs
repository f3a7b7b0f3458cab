//! Acts out published incidents: under the mistake, and under its cure.

use std::path::Path;

use pipeclog_scenario::check::Finding;
use pipeclog_scenario::incidents::{ActedOut, By, Came, Incident, Way, case};
use pipeclog_scenario::outcome::Verdict;
use pipeclog_scenario::scenario::Scenario;

use crate::check;
use crate::check::shipped::{Shipped, Unready};
use crate::pool::{Pool, Request};

/// What acting out takes.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// Who runs the trials.
    pub pool: &'a Pool,
    /// The wrappers that incidents can name.
    pub wrappers: &'a [Shipped],
    /// The binary of the Rust peers.
    pub peer: &'a Path,
    /// A folder for what is built.
    pub out: &'a Path,
}

impl Stage<'_> {
    /// Acts one out, both ways.
    #[must_use]
    pub fn act_out(&self, incident: &Incident) -> ActedOut {
        ActedOut {
            before: self.under(incident, &incident.before),
            after: self.under(incident, &incident.after),
            incident: incident.clone(),
        }
    }

    fn under(&self, incident: &Incident, way: &Way) -> Came {
        let scenario = match incident.scenario(way) {
            Ok(Some(scenario)) => scenario,
            Ok(None) => return otherwise("there is no scenario in it"),
            Err(error) => return otherwise(&error.to_string()),
        };
        match &way.by {
            By::Strategy(strategy) => {
                let strategy = *strategy;
                match self.pool.run(&Request { scenario, strategy }).verdict {
                    Verdict::Completed => Came::Ended,
                    Verdict::Hung(hang) => Came::Hung(Box::new(hang)),
                    Verdict::Skipped { why } => skipped(&why),
                    other => otherwise(&other.to_string()),
                }
            }
            By::Wrapper(name) => match self.wrappers.iter().find(|wrapper| wrapper.name == *name) {
                Some(shipped) => self.under_wrapper(scenario, shipped),
                None => otherwise(&format!("there is no wrapper {name}")),
            },
        }
    }

    fn under_wrapper(&self, scenario: Scenario, shipped: &Shipped) -> Came {
        let wrapper = match shipped.prepare(self.out, self.peer) {
            Ok(wrapper) => wrapper,
            Err(missing @ Unready::Missing(_)) => return skipped(&missing.to_string()),
            Err(failed @ Unready::Build(_)) => return otherwise(&failed.to_string()),
        };
        let case = case(scenario);
        match self.pool.check(&check::Request { case, wrapper }) {
            Finding::Passed => Came::Ended,
            Finding::Hung(hang) => Came::Hung(hang),
            other => otherwise(&other.to_string()),
        }
    }
}

fn otherwise(what: &str) -> Came {
    Came::Otherwise { what: what.into() }
}

fn skipped(why: &str) -> Came {
    Came::Skipped { why: why.into() }
}
