//! The way out of each class, in the language of the program that must change. The texts are data: `fixes.json`.

use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::report::Fix;
use crate::snapshot::{GoProgram, Process, Toolchain};
use crate::untrusted::Untrusted;

const TEXTS: &str = include_str!("fixes.json");

/// A language that fixes are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// CPython, PyPy.
    Python,
    /// Node and its kin.
    Node,
    /// Java and whatever runs on its machine.
    Java,
    /// Go.
    Go,
    /// Ruby.
    Ruby,
    /// Perl.
    Perl,
    /// PHP.
    Php,
    /// POSIX shells and bash, zsh, ksh.
    Shell,
    /// C and C++, and native programs of which no more is known.
    C,
    /// Rust.
    Rust,
    /// Tcl and Expect.
    Tcl,
    /// No language in particular.
    Any,
}

/// One entry of the data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The classes it is for.
    pub classes: Vec<Class>,
    /// The languages it is for.
    pub languages: Vec<Language>,
    /// What to do.
    pub advice: String,
    /// What many do, and why it hangs again.
    pub wrong_fix: Option<String>,
}

/// Every entry of the data.
///
/// # Errors
/// Only if the data that this crate was built with is broken, which a test excludes.
pub fn entries() -> Result<Vec<Entry>, serde_json::Error> {
    serde_json::from_str(TEXTS)
}

/// The fix for `class` in `language`, or in no language in particular.
pub fn fix(class: Class, language: Language) -> Option<Fix> {
    let entries = entries().ok()?;
    let find = |wanted: Language| {
        let entry = entries
            .iter()
            .find(|e| e.classes.contains(&class) && e.languages.contains(&wanted))?;
        Some(Fix {
            language: wanted,
            advice: entry.advice.clone(),
            wrong_fix: entry.wrong_fix.clone(),
        })
    };
    find(language).or_else(|| find(Language::Any))
}

/// The language of a process, by the name of the program that runs it, and by what is in it where somebody looked; any other native
/// program counts as C, whose fixes hold for C++ too.
pub fn language_of(process: &Process) -> Language {
    if process.go_program == GoProgram::Yes || process.toolchain == Toolchain::Go {
        return Language::Go;
    }
    let names = [
        process.exe.as_ref(),
        Some(&process.comm),
        process.cmdline.first(),
    ];
    let found = names
        .into_iter()
        .flatten()
        .find_map(|name| by_name(name.as_bytes()));
    found.unwrap_or_else(|| {
        if process.toolchain == Toolchain::Rust || looks_like_cargo(process) {
            Language::Rust
        } else {
            Language::C
        }
    })
}

/// The language that a program of this name, or at this path, runs.
pub(crate) fn by_name(path: &[u8]) -> Option<Language> {
    let base = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let base = base.strip_prefix(b"-").unwrap_or(base);
    // `python3.11`, `ruby3.1`, `tclsh8.6`: the letters before the version.
    let letters = base
        .split(|b| !b.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    Some(match letters {
        b"python" | b"pypy" | b"ipython" => Language::Python,
        b"node" | b"nodejs" | b"bun" | b"deno" | b"electron" => Language::Node,
        b"java" => Language::Java,
        b"ruby" | b"irb" => Language::Ruby,
        b"perl" => Language::Perl,
        b"php" => Language::Php,
        b"sh" | b"bash" | b"dash" | b"zsh" | b"ksh" | b"mksh" | b"lksh" | b"ash" | b"fish" => {
            Language::Shell
        }
        b"tclsh" | b"expect" | b"wish" => Language::Tcl,
        b"cargo" | b"rustc" | b"rustup" | b"chatty" | b"pipeclog" => Language::Rust,
        _ => return None,
    })
}

/// Where nobody looked into the program, it is Rust where cargo puts it.
fn looks_like_cargo(process: &Process) -> bool {
    let exe = process.exe.as_ref().map(Untrusted::as_bytes);
    exe.and_then(cargo_folder).is_some()
}

/// The folder of cargo's in which a program lies, if it lies in one.
pub(crate) fn cargo_folder(exe: &[u8]) -> Option<&'static str> {
    let folders = ["/target/debug/", "/target/release/", "/.cargo/bin/"];
    let has = |folder: &&str| exe.windows(folder.len()).any(|w| w == folder.as_bytes());
    folders.into_iter().find(has)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_texts_are_whole() {
        let entries = entries().unwrap();
        let mut seen = BTreeSet::new();
        for entry in &entries {
            assert!(!entry.advice.is_empty());
            for class in &entry.classes {
                for language in &entry.languages {
                    assert!(
                        seen.insert((*class, *language)),
                        "{class} twice in {language:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_class_of_a_hang_has_a_way_out() {
        for class in Class::ALL {
            assert!(fix(*class, Language::Any).is_some(), "{class}");
        }
    }

    #[test]
    fn the_commonest_classes_have_one_in_every_language() {
        let all = [
            Language::Python,
            Language::Node,
            Language::Java,
            Language::Go,
            Language::Ruby,
            Language::Perl,
            Language::Php,
            Language::Shell,
            Language::C,
            Language::Rust,
            Language::Tcl,
        ];
        let common = [
            Class::WaitThenRead,
            Class::SequentialRead,
            Class::WriteAllThenRead,
            Class::GrandchildHolds,
            Class::OwnWriteEnd,
            Class::StdinNeverClosed,
            Class::StdioBufferStandoff,
        ];
        for class in common {
            for language in all {
                let fix = fix(class, language).unwrap();
                assert_eq!(fix.language, language, "{class} in {language:?}");
                assert!(
                    fix.wrong_fix.is_some(),
                    "{class} in {language:?} warns of nothing"
                );
            }
        }
    }

    #[test]
    fn names_of_programs_tell_the_language() {
        let rows: [(&[u8], Option<Language>); 9] = [
            (b"/usr/bin/python3.11", Some(Language::Python)),
            (b"/usr/bin/node", Some(Language::Node)),
            (b"-bash", Some(Language::Shell)),
            (b"/usr/bin/tclsh8.6", Some(Language::Tcl)),
            (b"/usr/bin/php8.2", Some(Language::Php)),
            (b"/usr/bin/perl", Some(Language::Perl)),
            (b"/usr/bin/shuf", None),
            (b"", None),
            (b"/", None),
        ];
        for (path, language) in rows {
            assert_eq!(by_name(path), language, "{path:?}");
        }
    }
}
