//! The cases, as their files say them.

use std::fs;
use std::path::{Path, PathBuf};

use pipeclog_waitgraph::class::Class;
use pipeclog_waitgraph::fixes::Language;
use pipeclog_waitgraph::report::{Confidence, VerdictName};
use serde::{Deserialize, Serialize};

/// A program, how it is run, and what must be said of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// Its name within its language.
    pub(crate) name: String,
    /// The name of its folder; filled in when it is read.
    #[serde(default)]
    pub(crate) language: String,
    /// The file beside the list; of a shape, the script itself.
    pub(crate) program: String,
    /// Its arguments.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// What runs the program: an interpreter with its options. Nothing for a program that is compiled or stands for itself.
    #[serde(default)]
    pub(crate) with: Vec<String>,
    /// Other interpreters to play it with as well, each a case of its own.
    #[serde(default, skip_serializing)]
    also_with: Vec<Vec<String>>,
    /// Options for its compiler.
    #[serde(default)]
    pub(crate) options: Vec<String>,
    /// Other commands that it needs, and files by their whole paths.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// What tasks of it must be seen in, all at once, before the question is asked: `child`, `write`, `poll`, `stopped`, …
    pub(crate) ready: Vec<String>,
    /// The name of the process to ask about, where that is not the one that was started.
    #[serde(default)]
    pub(crate) ask: Option<String>,
    /// For how many seconds `diagnose` is told to look.
    #[serde(default)]
    pub(crate) look_s: Option<u32>,
    /// What must be said of it.
    pub(crate) expect: Expect,
}

/// What must be said of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Expect {
    /// That it is deadlocked.
    Deadlock {
        /// At least this sure.
        confidence: Confidence,
        /// One of these classes; any, if there is none.
        #[serde(default)]
        class: Vec<Class>,
        /// The language of the fix.
        #[serde(default)]
        fix: Option<Language>,
    },
    /// One of these, and never a deadlock.
    LookAlike(Vec<VerdictName>),
    /// One of these, though it is stuck: what would tell it from a look-alike does not show outside.
    Undecidable(Vec<VerdictName>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    cases: Vec<Case>,
}

impl Case {
    /// Its name among all.
    pub(crate) fn title(&self) -> String {
        let runner = self.with.first().map(|with| format!("@{with}"));
        format!(
            "{}/{}{}",
            self.language,
            self.name,
            runner.unwrap_or_default()
        )
    }

    /// A case that is no file: what a shell is to run.
    pub(crate) fn of_script(
        language: &str,
        name: &str,
        script: String,
        ready: Vec<String>,
        expect: Expect,
    ) -> Self {
        Case {
            name: name.to_owned(),
            language: language.to_owned(),
            program: script,
            args: Vec::new(),
            with: Vec::new(),
            also_with: Vec::new(),
            options: Vec::new(),
            needs: vec!["perl".to_owned()],
            ready,
            ask: None,
            look_s: None,
            expect,
        }
    }

    /// Whether its program is a script for the shell itself.
    pub(crate) fn is_script(&self) -> bool {
        self.language == "shapes"
    }

    /// The file of its program.
    pub(crate) fn file(&self) -> PathBuf {
        folder().join(&self.language).join(&self.program)
    }

    fn under_each_interpreter(self) -> Vec<Case> {
        let also = self.also_with.iter().map(|with| Case {
            with: with.clone(),
            also_with: Vec::new(),
            ..self.clone()
        });
        let mut all: Vec<Case> = also.collect();
        all.insert(0, self);
        all
    }
}

/// Where the cases are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/live")
}

/// Every case of every language; a program that no case plays is an error.
pub(crate) fn all() -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for language in names(&folder())? {
        let list = folder().join(&language).join("cases.json");
        let text = fs::read_to_string(&list).map_err(|e| format!("{}: {e}", list.display()))?;
        let list: List =
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", list.display()))?;
        for program in names(&folder().join(&language))? {
            let played = list.cases.iter().any(|case| case.program == program);
            if program != "cases.json" && !played {
                return Err(format!("{language}/{program}: no case plays it"));
            }
        }
        cases.extend(list.cases.into_iter().flat_map(|case| {
            Case {
                language: language.clone(),
                ..case
            }
            .under_each_interpreter()
        }));
    }
    Ok(cases)
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}
