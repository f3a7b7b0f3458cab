//! The section "languages": the usual ways to capture output, and which of them hang, lose or harm.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pipeclog_scenario::boundary::Found;
use pipeclog_scenario::check::edge::Edge;
use pipeclog_scenario::check::{Checked, FindingName, Standing};
use pipeclog_scenario::languages::{Survey, Surveyed};
use pipeclog_scenario::script::Stream;

use crate::markdown::{Align, Table, and, name, number, text};

/// The kinds of failure, each a column.
const KINDS: [(FindingName, &str); 5] = [
    (FindingName::Hang, "hangs"),
    (FindingName::Loss, "loses or alters bytes"),
    (FindingName::Exit, "wrong exit"),
    (FindingName::Harm, "harms a background child"),
    (FindingName::Imposition, "imposes on others"),
];

pub(crate) fn write(to: &mut String, parents: &[Surveyed]) {
    to.push_str("## Languages\n\n");
    let run: Vec<_> = parents.iter().filter_map(Run::of).collect();
    if run.is_empty() {
        to.push_str("No wrapper of another language was run.\n\n");
        skipped(to, parents);
        return;
    }
    introduction(to, &run);
    table(&run).write(to);
    edges(to, &run);
    failures(to, &run);
    skipped(to, parents);
}

/// A wrapper that was run.
struct Run<'a> {
    parent: &'a Surveyed,
    cases: &'a [Checked],
    edges: &'a [Edge],
}

impl<'a> Run<'a> {
    fn of(parent: &'a Surveyed) -> Option<Self> {
        match &parent.survey {
            Survey::Run { cases, edges } => Some(Self {
                parent,
                cases,
                edges,
            }),
            Survey::Skipped { .. } | Survey::Failed { .. } => None,
        }
    }

    fn failing(&self, kind: FindingName) -> impl Iterator<Item = &'a Checked> {
        self.cases
            .iter()
            .filter(move |checked| checked.finding.name() == kind)
    }
}

fn introduction(to: &mut String, run: &[Run<'_>]) {
    let languages: BTreeSet<&str> = run.iter().map(|one| one.parent.language()).collect();
    let cases = run.iter().map(|one| one.cases.len()).max().unwrap_or(0);
    let hang = run
        .iter()
        .filter(|one| one.failing(FindingName::Hang).next().is_some())
        .count();
    let _ = writeln!(
        to,
        "{} usual ways to capture output in {} languages, as small wrappers (`fixtures/wrappers`), under up to {} cases of \
         `pipeclog check` each: **{} of them hang in some case**. A case that a way cannot do by its nature (it has no stdin to \
         give, say) is not counted. Each number is that of failed cases, which are named below.\n",
        number(run.len() as u64),
        number(languages.len() as u64),
        number(cases as u64),
        number(hang as u64),
    );
}

fn table(run: &[Run<'_>]) -> Table {
    let heads = [("way", Align::Left), ("passed", Align::Right)];
    let kinds = KINDS.map(|(_, head)| (head, Align::Right));
    let heads = heads.into_iter().chain(kinds);
    let mut table = Table::new(heads.map(|(head, align)| (head.to_owned(), align)));
    for one in run {
        let passed = one.failing(FindingName::Pass).count();
        let counted = one
            .cases
            .iter()
            .filter(|checked| checked.standing != Standing::Idle)
            .count();
        let mut row = vec![
            name(&one.parent.name),
            format!("{} of {}", number(passed as u64), number(counted as u64)),
        ];
        row.extend(KINDS.map(|(kind, _)| match one.failing(kind).count() {
            0 => "–".to_owned(),
            some => format!("**{}**", number(some as u64)),
        }));
        table.row(row);
    }
    table
}

/// Those that hang at the same byte in one line.
fn edges(to: &mut String, run: &[Run<'_>]) {
    let mut ways: Vec<(String, Vec<String>)> = Vec::new();
    for one in run {
        for edge in one.edges {
            let stream = match edge.stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            };
            let (found, way) = (
                came(&edge.found),
                format!("{} ({stream})", name(&one.parent.name)),
            );
            match ways.iter_mut().find(|(known, _)| *known == found) {
                Some((_, ways)) => ways.push(way),
                None => ways.push((found, vec![way])),
            }
        }
    }
    if ways.is_empty() {
        return;
    }
    to.push_str(
        "At which byte, for those that hang under a case of one long stream, in writes of 4,096:\n\n",
    );
    for (found, ways) in ways {
        let _ = writeln!(to, "- {found}: {}", and(&ways));
    }
    to.push('\n');
}

fn came(found: &Found) -> String {
    match found {
        Found::At { completes, .. } => format!(
            "completes with {} bytes and hangs with {}",
            number(*completes),
            number(completes + 1)
        ),
        Found::Always { .. } => "hangs without a byte".to_owned(),
        Found::Never { tried } => format!("completed with {} bytes", number(*tried)),
        Found::Unclear { bytes, why } => format!(
            "neither completes nor hangs with {} bytes, {}",
            number(*bytes),
            text(why)
        ),
    }
}

/// Who failed what, by way; folded away, for it is long.
fn failures(to: &mut String, run: &[Run<'_>]) {
    to.push_str("<details><summary>Each failure</summary>\n\n");
    for one in run {
        for (kind, head) in KINDS {
            let titles: Vec<String> = one.failing(kind).map(title).collect();
            if !titles.is_empty() {
                let _ = writeln!(
                    to,
                    "- {} {head}: {}",
                    name(&one.parent.name),
                    titles.join("; ")
                );
            }
        }
        for checked in one.failing(FindingName::Broken) {
            let _ = writeln!(
                to,
                "- {} could not be tried on {}: {}",
                name(&one.parent.name),
                name(&checked.case.id),
                text(&checked.finding.to_string())
            );
        }
    }
    to.push_str("\n</details>\n\n");
}

fn title(checked: &Checked) -> String {
    let class = match checked.finding.class() {
        Some(class) => format!(" ({})", name(class.slug())),
        None => String::new(),
    };
    let unexpected = match checked.standing {
        Standing::Known => "",
        _ => ", **which was not known of it**",
    };
    format!("{}{class}{unexpected}", name(&checked.case.id))
}

/// Those that lack the same in one line.
fn skipped(to: &mut String, parents: &[Surveyed]) {
    let mut missing: Vec<(String, Vec<String>)> = Vec::new();
    for parent in parents {
        let (Survey::Skipped { why } | Survey::Failed { why }) = &parent.survey else {
            continue;
        };
        let (why, name) = (text(why), name(&parent.name));
        match missing.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => missing.push((why, vec![name])),
        }
    }
    if missing.is_empty() {
        return;
    }
    to.push_str("Not run on this machine:\n\n");
    for (why, names) in missing {
        let _ = writeln!(to, "- {}: {why}", and(&names));
    }
    to.push('\n');
}

#[cfg(test)]
mod tests {
    use pipeclog_scenario::check::{Case, Expected, Finding, Known};
    use pipeclog_scenario::script::Script;

    use super::*;

    fn checked(id: &str, finding: Finding, known: Option<FindingName>) -> Checked {
        let case = Case::of_script(id, Script::new(Vec::new()));
        let known = known.map(|name| Known::One(Expected { name, class: None }));
        Checked::new(case, finding, known.as_ref(), false)
    }

    fn lost(what: &str) -> Finding {
        Finding::Lost {
            stream: "stdout".to_owned(),
            what: what.to_owned(),
        }
    }

    fn surveyed(name: &str, survey: Survey) -> Surveyed {
        Surveyed {
            name: name.to_owned(),
            survey,
        }
    }

    fn text_of(parents: &[Surveyed]) -> String {
        let mut text = String::new();
        write(&mut text, parents);
        text
    }

    #[test]
    fn a_row_counts_what_failed_and_the_list_names_it() {
        let cases = vec![
            checked("empty", Finding::Passed, None),
            checked("bytes-nul", lost("a byte"), Some(FindingName::Loss)),
            checked(
                "no-stdin",
                Finding::NotApplicable { why: String::new() },
                None,
            ),
        ];
        let edges = vec![Edge {
            stream: Stream::Stderr,
            write_size: 4096,
            found: Found::Never { tried: 4 << 20 },
        }];
        let one = surveyed("tcl/exec", Survey::Run { cases, edges });
        assert!(one.is_as_known());
        let text = text_of(&[one]);
        assert!(
            text.contains("| `tcl/exec` | 1 of 2 | – | **1** | – | – | – |"),
            "{text}"
        );
        assert!(
            text.contains("- `tcl/exec` loses or alters bytes: `bytes-nul`\n"),
            "{text}"
        );
        assert!(
            text.contains("- completed with 4,194,304 bytes: `tcl/exec` (stderr)"),
            "{text}"
        );
        assert!(text.contains("**0 of them hang in some case**"), "{text}");
    }

    #[test]
    fn a_failure_that_was_not_known_is_said_to_be_one() {
        let cases = vec![checked("empty", lost("all"), None)];
        let edges = Vec::new();
        let one = surveyed("c/popen", Survey::Run { cases, edges });
        assert!(!one.is_as_known());
        let text = text_of(&[one]);
        assert!(
            text.contains("`empty`, **which was not known of it**"),
            "{text}"
        );
    }

    #[test]
    fn who_was_not_run_is_named_and_cannot_become_markup() {
        let why = "</details><b>|`x`".to_owned();
        let text = text_of(&[surveyed("java/x", Survey::Skipped { why })]);
        assert!(
            text.contains("No wrapper of another language was run."),
            "{text}"
        );
        assert!(
            text.contains("Not run on this machine:\n\n- `java/x`: "),
            "{text}"
        );
        assert!(
            !text.contains("<b>") && !text.contains("</details>"),
            "{text}"
        );
    }
}
