//! Families of scenarios: one file, axes of values, and every combination of them expanded from the data.
//!
//! A family is JSON in which a string `"$name"` stands for the value of an axis. Where the value is a list and the
//! string is an element of a list, its elements are spliced in; an object member `"$merge": "$name"` merges an
//! object in. A value that is an object binds each of its members, so that facts that belong together (a write
//! size and the capacity measured for it) are one value of one axis.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

/// Values by the name that stands for them.
type Bindings = BTreeMap<String, Value>;

/// One axis of a family: a name, and the values it takes in turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The name that `"$name"` refers to.
    pub axis: String,
    /// A scalar, labelled by its text; or an object with a `label` and the names it binds.
    pub values: Vec<Value>,
}

/// One combination of the axes' values.
#[derive(Clone, Debug)]
pub struct Point {
    /// The label of each axis' value, by the axis' name.
    labels: BTreeMap<String, String>,
    bindings: Bindings,
}

/// Why a family cannot be expanded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FamilyError {
    /// A value of an axis is neither a scalar nor an object with a label.
    #[error("axis {axis:?}: value {index} must be a scalar, or an object with a \"label\"")]
    Value {
        /// The axis' name.
        axis: String,
        /// The value's place, from 0.
        index: usize,
    },
    /// Two axes, or two members of values, bind one name.
    #[error("the name {name:?} is bound twice: each name must belong to one axis")]
    BoundTwice {
        /// The name.
        name: String,
    },
    /// A reference to a name that no axis binds.
    #[error("\"${name}\" is bound by no axis")]
    Unbound {
        /// The name.
        name: String,
    },
    /// `$merge` of something that is not an object.
    #[error("\"$merge\" needs the name of an object, not {found}")]
    Merge {
        /// What stands there.
        found: String,
    },
    /// An axis that nothing refers to: every combination would be the same scenario again.
    #[error("nothing refers to axis {axis:?}: remove it, or use what it binds")]
    Unused {
        /// The axis' name.
        axis: String,
    },
}

/// Every combination of the axes' values, the last axis turning fastest. No axis gives one point.
///
/// # Errors
///
/// When an axis' value has no label, or a name is bound twice.
pub fn points(axes: &[Axis]) -> Result<Vec<Point>, FamilyError> {
    let mut points = vec![Point {
        labels: BTreeMap::new(),
        bindings: Bindings::new(),
    }];
    for axis in axes {
        let mut wider = Vec::with_capacity(points.len() * axis.values.len());
        for point in &points {
            for (index, value) in axis.values.iter().enumerate() {
                wider.push(point.with(axis, index, value)?);
            }
        }
        points = wider;
    }
    Ok(points)
}

impl Point {
    fn with(&self, axis: &Axis, index: usize, value: &Value) -> Result<Self, FamilyError> {
        let malformed = || FamilyError::Value {
            axis: axis.axis.clone(),
            index,
        };
        let mut point = self.clone();
        let label = match value {
            Value::Object(members) => {
                for (name, bound) in members.iter().filter(|(name, _)| *name != "label") {
                    point.bind(name, bound)?;
                }
                members
                    .get("label")
                    .and_then(Value::as_str)
                    .ok_or_else(malformed)?
                    .to_owned()
            }
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(_) | Value::Null | Value::Array(_) => return Err(malformed()),
        };
        if !value.is_object() {
            point.bind(&axis.axis, value)?;
        }
        point.labels.insert(axis.axis.clone(), label);
        Ok(point)
    }

    fn bind(&mut self, name: &str, value: &Value) -> Result<(), FamilyError> {
        match self.bindings.insert(name.to_owned(), value.clone()) {
            None => Ok(()),
            Some(_) => Err(FamilyError::BoundTwice {
                name: name.to_owned(),
            }),
        }
    }

    /// The point's own name: the labels of its values in the order of the axes, joined by `-`, that of the axis
    /// `without` left out.
    #[must_use]
    pub fn name(&self, axes: &[Axis], without: &str) -> String {
        let labels: Vec<&str> = axes
            .iter()
            .filter(|axis| axis.axis != without)
            .filter_map(|axis| self.labels.get(&axis.axis).map(String::as_str))
            .filter(|label| !label.is_empty())
            .collect();
        labels.join("-")
    }

    /// What a name is bound to here; null if nothing binds it.
    #[must_use]
    pub fn value(&self, name: &str) -> Value {
        self.bindings.get(name).cloned().unwrap_or(Value::Null)
    }

    /// The template with every reference replaced by what this point binds.
    ///
    /// # Errors
    ///
    /// When a reference is unbound, or `$merge` names something that is no object.
    pub fn fill(&self, template: &Value) -> Result<Value, FamilyError> {
        match template {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) => self.fill(self.bound(name)?),
                None => Ok(template.clone()),
            },
            Value::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for item in items {
                    let is_reference = item.as_str().is_some_and(|text| text.starts_with('$'));
                    match self.fill(item)? {
                        Value::Array(spliced) if is_reference => filled.extend(spliced),
                        other => filled.push(other),
                    }
                }
                Ok(Value::Array(filled))
            }
            Value::Object(members) => self.fill_object(members).map(Value::Object),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(template.clone()),
        }
    }

    fn fill_object(&self, members: &Map<String, Value>) -> Result<Map<String, Value>, FamilyError> {
        let mut filled = Map::new();
        for (name, value) in members {
            let value = self.fill(value)?;
            if name == "$merge" {
                match value {
                    Value::Object(merged) => filled.extend(merged),
                    other => {
                        return Err(FamilyError::Merge {
                            found: other.to_string(),
                        });
                    }
                }
            } else {
                filled.insert(name.clone(), value);
            }
        }
        Ok(filled)
    }

    fn bound(&self, name: &str) -> Result<&Value, FamilyError> {
        self.bindings.get(name).ok_or_else(|| FamilyError::Unbound {
            name: name.to_owned(),
        })
    }
}

/// That each axis is referred to, directly or through a value of another.
///
/// # Errors
///
/// Names the first axis that is not.
pub fn check_used(axes: &[Axis], templates: &[&Value]) -> Result<(), FamilyError> {
    let mut referred = BTreeSet::new();
    for value in templates
        .iter()
        .copied()
        .chain(axes.iter().flat_map(|axis| &axis.values))
    {
        references(value, &mut referred);
    }
    for axis in axes {
        let binds = axis.values.iter().any(|value| match value {
            Value::Object(members) => members.keys().any(|name| referred.contains(name.as_str())),
            _ => referred.contains(axis.axis.as_str()),
        });
        if !binds {
            return Err(FamilyError::Unused {
                axis: axis.axis.clone(),
            });
        }
    }
    Ok(())
}

fn references<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => into.extend(text.strip_prefix('$')),
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        Value::Object(members) => members.values().for_each(|member| references(member, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn axes(value: Value) -> Vec<Axis> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_combination_is_made_and_named_in_the_order_of_the_axes() {
        let axes = axes(json!([
            {"axis": "layout", "values": ["out", "err"]},
            {"axis": "size", "values": [0, 1, 65537]},
        ]));
        let names: Vec<String> = points(&axes)
            .unwrap()
            .iter()
            .map(|point| point.name(&axes, ""))
            .collect();
        assert_eq!(
            names,
            ["out-0", "out-1", "out-65537", "err-0", "err-1", "err-65537"]
        );
    }

    #[test]
    fn a_value_that_is_an_object_binds_each_of_its_members_and_they_may_refer_to_other_axes() {
        let axes = axes(json!([
            {"axis": "layout", "values": [{"label": "both", "op": {"stdout": "$size", "stderr": "$size"}, "more": ["$size", 7]}]},
            {"axis": "size", "values": [5]},
        ]));
        let points = points(&axes).unwrap();
        let filled = points[0]
            .fill(&json!({"ops": [{"op": "write", "$merge": "$op"}], "list": [1, "$more"]}))
            .unwrap();
        assert_eq!(
            filled,
            json!({"ops": [{"op": "write", "stdout": 5, "stderr": 5}], "list": [1, 5, 7]})
        );
    }

    #[test]
    fn faults_of_a_family_are_named() {
        let twice = axes(
            json!([{"axis": "a", "values": [1]}, {"axis": "b", "values": [{"label": "x", "a": 2}]}]),
        );
        assert_eq!(
            points(&twice).unwrap_err(),
            FamilyError::BoundTwice { name: "a".into() }
        );
        let bare = axes(json!([{"axis": "a", "values": [{"no": "label"}]}]));
        assert_eq!(
            points(&bare).unwrap_err(),
            FamilyError::Value {
                axis: "a".into(),
                index: 0
            }
        );
        let fine = axes(json!([{"axis": "a", "values": [1]}]));
        let point = &points(&fine).unwrap()[0];
        assert_eq!(
            point.fill(&json!("$b")).unwrap_err(),
            FamilyError::Unbound { name: "b".into() }
        );
        assert!(matches!(
            point.fill(&json!({"$merge": "$a"})),
            Err(FamilyError::Merge { .. })
        ));
        assert_eq!(
            check_used(&fine, &[&json!({"x": 1})]),
            Err(FamilyError::Unused { axis: "a".into() })
        );
        assert_eq!(check_used(&fine, &[&json!({"x": ["$a"]})]), Ok(()));
    }
}
