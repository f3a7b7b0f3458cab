//! Whatever a saved file says, it is refused or diagnosed, told in each format, redacted and saved again; nothing panics.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use pipeclog_waitgraph::{bundle, diagnose_all, redact, render};

fuzz_target!(|text: &str| {
    let Ok(mut looks) = bundle::load(text) else {
        return;
    };
    for diagnosis in diagnose_all(&looks) {
        let report = diagnosis.report();
        black_box(render::human(report, render::Width::Columns(80)));
        black_box(render::markdown(report));
        black_box(render::dot(report));
        black_box(render::mermaid(report));
        drop(black_box(render::json(report)));
    }
    redact::redact(&mut looks);
    drop(black_box(bundle::save(&looks)));
});
