//! JSON schemas of the types that write their JSON by hand.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::untrusted::Untrusted;
use crate::wait::SignalSet;

impl JsonSchema for Untrusted {
    fn schema_name() -> Cow<'static, str> {
        "Untrusted".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Bytes that somebody else chose, escaped without loss: what is not printable text stands as \
                            a Rust escape (`\\n`, `\\u{202e}`, `\\xff`), and a backslash as two."
        })
    }
}

impl JsonSchema for SignalSet {
    fn schema_name() -> Cow<'static, str> {
        "SignalSet".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9a-f]{16}$",
            "description": "A set of signals as status writes it: signal N is bit N - 1."
        })
    }
}
