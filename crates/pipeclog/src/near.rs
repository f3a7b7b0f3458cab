//! Names that somebody who misspelt one may have meant.

use std::collections::BTreeSet;

/// As alike as clap's own hints for options must be.
const ALIKE: f64 = 0.7;
const MOST: usize = 3;

/// Those of `names` that are most like `wrong`, the likest first.
pub(crate) fn names<'a>(wrong: &str, names: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let mut alike: Vec<(f64, &str)> = names
        .iter()
        .map(|name| (strsim::jaro(wrong, name), *name))
        .filter(|(alike, _)| *alike > ALIKE)
        .collect();
    // Names of the same likeness stay in their order.
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    alike.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// `names` as a question to stand after what was wrong; nothing if there are none.
pub(crate) fn question(names: &[&str]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", names.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_and_a_word_of_another_world_finds_none() {
        let all = BTreeSet::from(["sequential-read", "wait-then-read", "threads", "tokio"]);
        assert_eq!(
            names("sequental-read", &all).first(),
            Some(&"sequential-read")
        );
        assert_eq!(names("thread", &all).first(), Some(&"threads"));
        assert_eq!(names("tokyo", &all).first(), Some(&"tokio"));
        assert!(names("12345", &all).is_empty());
        assert_eq!(question(&[]), "");
        assert_eq!(question(&["a", "b"]), " (did you mean a or b?)");
    }
}
