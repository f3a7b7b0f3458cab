//! This crate cannot inherit the workspace's lints, since it has unsafe code; so it repeats them.

use std::collections::BTreeSet;

#[test]
fn the_lints_are_the_workspaces_but_for_unsafe_code() {
    let ours = lints(include_str!("../../Cargo.toml"), "[lints.");
    let workspaces = lints(include_str!("../../../../Cargo.toml"), "[workspace.lints.");
    let unlike: Vec<_> = ours.symmetric_difference(&workspaces).collect();
    assert_eq!(
        unlike,
        [
            "rust]: unsafe_code = \"deny\"",
            "rust]: unsafe_code = \"forbid\""
        ]
    );
}

/// Every setting below a heading that begins so, with the heading's end before it.
fn lints(manifest: &str, heading: &str) -> BTreeSet<String> {
    let mut section = None;
    let mut found = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.strip_prefix(heading);
        } else if let Some(section) = section
            && line.contains('=')
            && !line.starts_with('#')
        {
            found.insert(format!("{section}: {line}"));
        }
    }
    found
}
