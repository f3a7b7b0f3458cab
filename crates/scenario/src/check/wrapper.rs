//! A wrapper that is not ours: how it is called, and what it cannot do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Capability, Case};
use crate::script::Size;

/// A wrapper, as its author describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    /// The program and its arguments; options of a case and then the command follow.
    pub command: Vec<String>,
    /// What it cannot do.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without: BTreeSet<Capability>,
    /// The most bytes of a stream that it is made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
    /// The words that give it a timeout: `{s}` and `{ms}` stand for the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeout_arg: Vec<String>,
    /// The words that give it a limit: `{bytes}` stands for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limit_arg: Vec<String>,
    /// The words that make it time out once and go on: `{s}` and `{ms}` stand for the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resume_arg: Vec<String>,
}

impl Wrapper {
    /// Why a case means nothing for this wrapper; nothing if it does.
    #[must_use]
    pub fn not_applicable(&self, case: &Case) -> Option<String> {
        if let Some(missing) = case
            .required()
            .into_iter()
            .find(|needed| self.lacks(*needed))
        {
            return Some(match missing {
                Capability::Timeout => "it takes no timeout (--timeout-arg)".to_owned(),
                Capability::Limit => "it takes no limit (--limit-arg)".to_owned(),
                Capability::Resume => "it does not go on after a timeout (--resume-arg)".to_owned(),
                other => format!("it is without {other}"),
            });
        }
        let largest = case.largest_stream();
        self.max_size
            .filter(|max| largest > max.0)
            .map(|max| format!("{largest} bytes are more than its maximal size, {max}"))
    }

    /// Whether it cannot do this.
    #[must_use]
    pub fn lacks(&self, capability: Capability) -> bool {
        let untold = match capability {
            Capability::Timeout => self.timeout_arg.is_empty(),
            Capability::Limit => self.limit_arg.is_empty(),
            Capability::Resume => self.resume_arg.is_empty(),
            Capability::Stdin
            | Capability::Stderr
            | Capability::Separate
            | Capability::Exit
            | Capability::Bytes => false,
        };
        untold || self.without.contains(&capability)
    }

    /// The words before the command of a case: the wrapper's own, and what it is told.
    #[must_use]
    pub fn words(&self, case: &Case) -> Vec<String> {
        let mut words = self.command.clone();
        let mut add = |template: &[String], value: Option<u64>, seconds: bool| {
            let Some(value) = value else { return };
            words.extend(template.iter().map(|word| {
                if seconds {
                    word.replace("{s}", &value.to_string())
                        .replace("{ms}", &(value * 1000).to_string())
                } else {
                    word.replace("{bytes}", &value.to_string())
                }
            }));
        };
        let orders = &case.orders;
        add(&self.timeout_arg, orders.timeout_s, true);
        add(&self.limit_arg, orders.limit.map(|size| size.0), false);
        add(&self.resume_arg, orders.resume_s, true);
        words
    }
}
