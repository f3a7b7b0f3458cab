//! The section "published incidents": each acted out under its mistake and under its cure.

use std::fmt::Write as _;

use pipeclog_scenario::incidents::{ActedOut, Came, Standing};
use pipeclog_scenario::outcome::Hang;
use pipeclog_waitgraph::report::VerdictName;

use crate::markdown::{Align, Table, escaped, name, number};

pub(crate) fn write(to: &mut String, all: &[ActedOut]) {
    to.push_str("## Published incidents, acted out\n\n");
    let run = all.iter().filter(|one| one.standing() != Standing::NotRun);
    let run: Vec<&ActedOut> = run.collect();
    if run.is_empty() {
        to.push_str("None was acted out.\n\n");
        return;
    }
    let holding = run.iter().filter(|one| one.standing() == Standing::Holds);
    let holding: Vec<_> = holding.collect();
    let others = holding
        .iter()
        .filter(|one| one.incident.diagnosed != one.incident.class);
    let _ = writeln!(
        to,
        "{} hangs that people published (`fixtures/incidents`), each with a child that writes what the program wrote then, under \
         the mistake that was made and then under its cure. **{} of them hang under the mistake, are diagnosed from `/proc` \
         alone, and end with every byte under the cure.** The diagnosis of {} of these names the hang by another class than the mistake \
         is known by, since what tells the two apart is in no table of the kernel; the mistake's own class is in brackets.\n",
        number(run.len() as u64),
        number(holding.len() as u64),
        number(others.count() as u64),
    );
    let heads = ["where", "what happened", "diagnosed", "the cure", "then"];
    let mut table = Table::new(heads.map(|head| (head.to_owned(), Align::Left)));
    for one in all {
        table.row(row(one));
    }
    table.write(to);
}

fn row(acted: &ActedOut) -> [String; 5] {
    let incident = &acted.incident;
    [
        format!(
            "**{}**, {}",
            escaped(&incident.project),
            reference(&incident.reference)
        ),
        escaped(&incident.what),
        before(acted),
        escaped(&incident.after.cure),
        after(acted),
    ]
}

fn before(acted: &ActedOut) -> String {
    let by = name(&acted.incident.before.by.to_string());
    match &acted.before {
        Came::Hung(hang) if acted.incident.is_diagnosed(hang) => {
            format!("{} with {by}", verdict(acted, hang))
        }
        Came::Hung(hang) => format!("**otherwise than it was to be**: {}", verdict(acted, hang)),
        Came::Ended => format!("**not at all: it ended** with {by}"),
        Came::Otherwise { what } => format!("**it did not hang**: {}", what.markdown()),
        Came::Skipped { why } => format!("not run: {}", why.markdown()),
    }
}

/// The verdict, and the class; where the kernel's view alone cannot tell the mistake from another, both.
fn verdict(acted: &ActedOut, hang: &Hang) -> String {
    let Some(report) = &hang.diagnosis else {
        return "no diagnosis".to_owned();
    };
    let verdict = match report.verdict {
        VerdictName::Deadlocked => "deadlock",
        VerdictName::Leaked => "leak",
        VerdictName::Stalled => "stalled",
        VerdictName::Stopped => "stopped",
        VerdictName::Waiting => "waiting",
        VerdictName::Progressing => "progressing",
        VerdictName::Unproven => "unproven",
    };
    let class = report.class.map_or_else(
        || "no class".to_owned(),
        |class| {
            let own = acted.incident.class;
            if class == own {
                name(class.slug())
            } else {
                format!("{} (a {})", name(class.slug()), name(own.slug()))
            }
        },
    );
    format!("{verdict}, {class},")
}

fn after(acted: &ActedOut) -> String {
    let by = name(&acted.incident.after.by.to_string());
    match &acted.after {
        Came::Ended => format!("ends with {by}"),
        Came::Hung(_) => format!("**still hangs** with {by}"),
        Came::Otherwise { what } => format!("**fails** with {by}: {}", what.markdown()),
        Came::Skipped { why } => format!("not run: {}", why.markdown()),
    }
}

/// A link where it is `owner/repository#number` of the site that nearly all of them stand on, and words otherwise.
fn reference(reference: &str) -> String {
    let link = || {
        let (repository, issue) = reference.split_once('#')?;
        let (owner, project) = repository.split_once('/')?;
        let is_plain = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !text.is_empty() && text.bytes().all(plain)
        };
        let is_number = !issue.is_empty() && issue.bytes().all(|byte| byte.is_ascii_digit());
        (is_plain(owner) && is_plain(project) && is_number).then(|| {
            format!(
                "[{}](https://github.com/{owner}/{project}/issues/{issue})",
                escaped(reference)
            )
        })
    };
    link().unwrap_or_else(|| escaped(reference))
}

#[cfg(test)]
mod tests {
    use pipeclog_scenario::incidents::Incident;
    use pipeclog_waitgraph::snapshot::Untrusted;

    use super::*;

    fn acted(before: Came, after: Came) -> ActedOut {
        let text = include_str!("../../../fixtures/incidents/moon-1855.json");
        let incident = Incident::read("moon-1855", text).unwrap();
        ActedOut {
            incident,
            before,
            after,
        }
    }

    fn text_of(all: &[ActedOut]) -> String {
        let mut text = String::new();
        write(&mut text, all);
        text
    }

    #[test]
    fn a_mistake_that_did_not_hang_is_not_counted_as_one_that_did() {
        let one = acted(Came::Ended, Came::Ended);
        assert_eq!(one.standing(), Standing::Differs);
        let text = text_of(&[one]);
        assert!(
            text.contains("**0 of them hang under the mistake"),
            "{text}"
        );
        assert!(text.contains("**not at all: it ended**"), "{text}");
        assert!(
            text.contains("(https://github.com/moonrepo/moon/issues/1855)"),
            "{text}"
        );
    }

    #[test]
    fn what_was_not_run_is_no_incident_that_was_acted_out() {
        let why = Untrusted::from("</td>|`x`");
        let skipped = Came::Skipped { why };
        let text = text_of(&[acted(skipped.clone(), Came::Ended)]);
        assert!(text.contains("None was acted out."), "{text}");
        let with_another = text_of(&[acted(skipped, Came::Ended), acted(Came::Ended, Came::Ended)]);
        assert!(with_another.contains("not run: "), "{with_another}");
        assert!(!with_another.contains("</td>"), "{with_another}");
    }

    #[test]
    fn only_a_plain_reference_becomes_a_link() {
        for hostile in [
            "a/b#1)[x](y",
            "a/b#",
            "/b#1",
            "a b/c#1",
            "a/b/c#1",
            "the post",
        ] {
            assert!(!reference(hostile).contains("https"), "{hostile}");
        }
    }
}
