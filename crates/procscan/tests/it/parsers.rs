//! Every parser on what a kernel printed, with damage done to it. `PIPECLOG_CASES` raises how often.

use std::path::Path;

use pipeclog_procscan::parse;
use proptest::prelude::*;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/proc");

/// The parsers, all of which must take any bytes.
const PARSERS: [fn(&[u8]); 16] = [
    |text| _ = parse::word_size(text),
    |text| _ = parse::CallLine::parse(text),
    |text| _ = parse::cgroups(text).count(),
    |text| _ = parse::is_frozen(parse::Hierarchy::Unified, text),
    |text| _ = parse::is_frozen(parse::Hierarchy::Freezer, text),
    |text| _ = parse::FdInfo::parse(text),
    |text| _ = parse::LinkName::parse(text),
    |text| _ = parse::Lock::parse_all(text),
    |text| _ = parse::timer_counts(text),
    |text| _ = parse::boot_ms(text),
    |text| _ = parse::forks(text),
    |text| _ = parse::Maps::parse(text),
    |text| _ = parse::Mounts::parse(text),
    |text| _ = parse::Stat::parse(text),
    |text| _ = parse::Status::parse(text),
    |text| _ = parse::timer_signals(text),
];

/// What kernels printed: every recorded file, and the text of every link.
fn texts() -> Vec<Vec<u8>> {
    fn gather(directory: &Path, texts: &mut Vec<Vec<u8>>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() {
                let text = std::fs::read_link(path).unwrap();
                texts.push(text.into_os_string().into_encoded_bytes());
            } else if path.is_dir() {
                gather(&path, texts);
            } else if path.extension().is_none_or(|extension| extension != "json") {
                texts.push(std::fs::read(path).unwrap());
            }
        }
    }
    let mut texts = Vec::new();
    gather(Path::new(CASES), &mut texts);
    texts.sort();
    texts.dedup();
    assert!(texts.len() > 50, "{} texts in {CASES}", texts.len());
    texts
}

/// One piece of damage.
#[derive(Debug, Clone)]
enum Damage {
    Cut,
    Byte(u8),
    Insert(Vec<u8>),
    Remove(usize),
    Repeat(usize),
}

fn damages() -> impl Strategy<Value = (Damage, prop::sample::Index)> {
    let number = prop::sample::select(vec![
        "-1",
        "0",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999",
        "ffffffffffffffff",
        "\n",
        "\0",
        " ",
        "\t",
        ")",
        "(",
        ":",
        "[",
        "]",
        "\\040",
        "\\777",
    ]);
    let damage = prop_oneof![
        Just(Damage::Cut),
        any::<u8>().prop_map(Damage::Byte),
        number.prop_map(|text| Damage::Insert(text.as_bytes().to_vec())),
        (1_usize..40).prop_map(Damage::Remove),
        (1_usize..200).prop_map(Damage::Repeat),
    ];
    (damage, any::<prop::sample::Index>())
}

fn damaged(mut text: Vec<u8>, damage: &Damage, place: prop::sample::Index) -> Vec<u8> {
    if text.is_empty() {
        return text;
    }
    let at = place.index(text.len());
    let until = |len: usize| (at + len).min(text.len());
    match damage {
        Damage::Cut => text.truncate(at),
        Damage::Byte(byte) => text[at] = *byte,
        Damage::Insert(bytes) => drop(text.splice(at..at, bytes.iter().copied())),
        Damage::Remove(len) => drop(text.drain(at..until(*len))),
        Damage::Repeat(len) => {
            let again = text[at..until(*len)].to_vec();
            text.extend(again);
        }
    }
    text
}

fn cases() -> u32 {
    let raised = std::env::var("PIPECLOG_CASES").ok();
    raised.and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_parser_panics_on_a_damaged_text(
        text in prop::sample::select(texts()),
        damage in prop::collection::vec(damages(), 1..6),
    ) {
        let text = damage.iter().fold(text, |text, (damage, place)| damaged(text, damage, *place));
        for parser in PARSERS {
            parser(&text);
        }
    }
}
