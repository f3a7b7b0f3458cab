//! No byte from outside reaches a sink that could take it for an instruction.

use pipeclog_waitgraph::report::Report;
use pipeclog_waitgraph::snapshot::Peek;
use pipeclog_waitgraph::{Untrusted, render};
use proptest::prelude::*;

use crate::deadlocks::wait_then_read;

/// Any bytes, and more often than chance what sinks take for instructions.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let nasty = proptest::sample::select(vec![
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\n::error::pwned",
        "\r",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{feff}",
        "\u{85}",
        "\u{9b}31m",
        "```",
        "</code>",
        "<script>",
        "| a | b",
        "[x](http://e)",
        "https://e",
        "www.e.com",
        "@you",
        "#1",
        "**",
        "\\",
        "\\n",
        "\"",
        "'",
        "\"]; evil [label=\"",
        "\"]\n  x-->y",
        "#quot;",
        "%0A",
        "::set",
        "&lt;",
        "&#60;",
        "\0",
        "\x7f",
        "é",
        "語",
        "e\u{301}",
        "\u{e000}",
        "\u{10ffff}",
        "end",
        "{{x}}",
        "$(x)",
        "`x`",
    ]);
    let piece = prop_oneof![
        nasty.prop_map(|s| s.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
        "[a-z ]{0,6}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Payloads for each encoder; `PIPECLOG_CASES` raises it.
fn cases() -> u32 {
    let raised = std::env::var("PIPECLOG_CASES").ok();
    raised
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(15_000)
}

/// What a terminal may take for more than a letter.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn hostile(payload: &[u8]) -> Report {
    let mut scene = wait_then_read();
    for pid in [812, 813] {
        scene.edit(pid).with(|p| {
            p.comm = Untrusted::new(payload);
            p.exe = Some(Untrusted::new(payload));
            p.cmdline = vec![Untrusted::new(payload); 2];
            p.tasks[0].comm = Untrusted::new(payload);
        });
    }
    scene.peeks.push(Peek {
        inode: 9,
        unread_bytes: Some(1),
        capacity_bytes: Some(1),
        // A head that is empty is not shown, and the tame report is one that shows it.
        head: [b"head ", payload].concat().into(),
    });
    scene.diagnose(812).report().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn escaped_text_is_printable_on_one_line_and_lossless(payload in payloads()) {
        let bytes = Untrusted::new(payload);
        let text = bytes.escaped();
        prop_assert!(!text.chars().any(is_dangerous), "{text:?}");
        prop_assert_eq!(Untrusted::from_escaped(&text), Ok(bytes.clone()));
        let json = serde_json::to_string(&bytes).unwrap();
        prop_assert_eq!(serde_json::from_str::<Untrusted>(&json).unwrap(), bytes);
    }

    #[test]
    fn reading_back_any_text_never_panics(text in "\\PC*|(\\\\[xu0-9a-f{}nrt\\\\]{0,6}){0,4}") {
        if let Ok(bytes) = Untrusted::from_escaped(&text) {
            prop_assert_eq!(Untrusted::from_escaped(&bytes.escaped()), Ok(bytes));
        }
    }

    #[test]
    fn terminal_text_keeps_its_limit(payload in payloads(), limit in 1usize..30) {
        let text = Untrusted::new(payload).terminal(limit);
        prop_assert!(text.chars().count() <= limit);
        prop_assert!(!text.chars().any(is_dangerous));
    }

    #[test]
    fn markdown_text_has_no_markup(payload in payloads()) {
        let text = Untrusted::new(payload).markdown();
        let entity_free = remove_between(&text, "&#", ';');
        let markup = ['<', '>', '`', '*', '_', '[', ']', '|', '@', '#', '\\', '&', '~', '!', '$', '{'];
        prop_assert!(!entity_free.contains(markup), "{}", entity_free);
        prop_assert!(!entity_free.contains("://") && !entity_free.to_lowercase().contains("www."), "{entity_free}");
    }

    #[test]
    fn dot_text_stays_within_its_quotes(payload in payloads()) {
        let text = Untrusted::new(payload).dot();
        let unescaped = text.replace("\\\\", "").replace("\\\"", "");
        prop_assert!(!unescaped.contains(['"', '\\', '<', '>', '\n']), "{}", text);
    }

    #[test]
    fn mermaid_text_stays_within_its_quotes(payload in payloads()) {
        let text = Untrusted::new(payload).mermaid();
        let entity_free = remove_between(&text, "#", ';');
        let markup = ['"', '`', '#', '[', ']', '<', '>', '|', '{', '}', ';', '\n'];
        prop_assert!(!entity_free.contains(markup), "{}", text);
    }

    #[test]
    fn a_workflow_command_cannot_be_begun_or_left(payload in payloads()) {
        let text = Untrusted::new(payload).workflow();
        prop_assert!(!text.contains([':', ',', '\n', '\r']));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whole_reports_with_hostile_names_stay_harmless(payload in payloads()) {
        let report = hostile(&payload);
        let tame = hostile(b"tame");
        let human = render::human(&report, render::Width::Columns(100));
        prop_assert!(!human.replace('\n', "").chars().any(is_dangerous));
        // A foreign name adds no line and no statement.
        prop_assert_eq!(render::dot(&report).lines().count(), render::dot(&tame).lines().count());
        prop_assert_eq!(render::mermaid(&report).lines().count(), render::mermaid(&tame).lines().count());
        prop_assert_eq!(render::markdown(&report).lines().count(), render::markdown(&tame).lines().count());
        let cells = |text: &str| text.lines().filter(|l| l.starts_with('|')).map(|l| l.matches('|').count()).collect::<Vec<_>>();
        prop_assert_eq!(cells(&render::markdown(&report)), cells(&render::markdown(&tame)));
        let json = render::json(&report).unwrap();
        prop_assert!(!json.replace('\n', "").chars().any(is_dangerous));
        let read: Report = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read, report);
    }
}

/// `text` without each piece from `start` to the next `end`.
fn remove_between(text: &str, start: &str, end: char) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once(start) {
        kept.push_str(before);
        rest = after.split_once(end).map_or("", |(_, r)| r);
    }
    kept + rest
}

#[test]
fn the_encoders_by_example() {
    let rows: [(&[u8], &str, &str); 6] = [
        (b"plain name", "plain name", "plain name"),
        (b"a\nb", "a\\nb", "a&#92;nb"),
        (b"\x1b[31m", "\\u{1b}[31m", "&#92;u&#123;1b&#125;&#91;31m"),
        (b"\xff\xfe", "\\xff\\xfe", "&#92;xff&#92;xfe"),
        (
            "\u{202e}evil".as_bytes(),
            "\\u{202e}evil",
            "&#92;u&#123;202e&#125;evil",
        ),
        (b"it's \"q\"", "it's \"q\"", "it's \"q\""),
    ];
    for (bytes, escaped, markdown) in rows {
        let bytes = Untrusted::from(bytes);
        assert_eq!(bytes.escaped(), escaped);
        assert_eq!(bytes.markdown(), markdown);
    }
}

#[test]
fn words_of_a_command_are_quoted_once() {
    let rows: [(&[u8], &str); 9] = [
        (b"--from=/tmp/x.json", "--from=/tmp/x.json"),
        (b"", "''"),
        (b"two words", "'two words'"),
        (b"it's", "'it'\\''s'"),
        (b"say \"hi\"", "'say \"hi\"'"),
        (b"a\\b", "'a\\b'"),
        (b"a b\n\\", "$'a b\\n\\\\'"),
        (b"it's\x1b[31m\xff", "$'it\\'s\\u001b[31m\\xff'"),
        (b"$(rm x)", "'$(rm x)'"),
    ];
    for (bytes, word) in rows {
        assert_eq!(Untrusted::from(bytes).shell_word(), word);
    }
}
