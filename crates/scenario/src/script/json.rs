//! Reads lists of operations so that an error names the operation.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::Op;

/// Each operation is read by itself, from a value: serde's own position in the text points at the end of a
/// tagged object, which names nothing.
pub(super) fn ops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Op>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    let mut ops = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let op = serde_json::from_value(value)
            .map_err(|error| de::Error::custom(format_args!("operation {index}: {error}")))?;
        ops.push(op);
    }
    Ok(ops)
}
