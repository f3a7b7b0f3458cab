//! What `docs/wrapper-authors.md` shows, run as it stands there: the adapters, the workflow.

use std::path::Path;

use libtest_mimic::{Failed, Trial};
use pipeclog_capture::Command;

use crate::cli::{Ran, assert_that, run};

const PAGE: &str = include_str!("../../../../docs/wrapper-authors.md");

/// What each adapter is put to: exits, bytes, both streams, stdin.
const CASES: &str = "exit-1,signal-term,bytes-random,stdout-65537,stderr-65537,stdin-echo-4m";

/// How an adapter is run; `build` is a command of the shell, empty where there is nothing to build.
struct Adapter {
    language: &'static str,
    file: &'static str,
    tool: &'static str,
    build: &'static str,
    without: &'static str,
    run: &'static str,
}

const ADAPTERS: [Adapter; 5] = [
    adapter("python", "wrapper.py", "python3", "", "python3 wrapper.py"),
    Adapter {
        without: "--without stdin",
        ..adapter("js", "wrapper.js", "node", "", "node wrapper.js")
    },
    adapter(
        "go",
        "wrapper.go",
        "go",
        "go build -o wrapper wrapper.go",
        "./wrapper",
    ),
    adapter(
        "rust",
        "wrapper.rs",
        "rustc",
        "rustc --edition 2024 wrapper.rs",
        "./wrapper",
    ),
    adapter("ruby", "wrapper.rb", "ruby", "", "ruby wrapper.rb"),
];

const fn adapter(
    language: &'static str,
    file: &'static str,
    tool: &'static str,
    build: &'static str,
    run: &'static str,
) -> Adapter {
    Adapter {
        language,
        file,
        tool,
        build,
        without: "",
        run,
    }
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![Trial::test(
        "docs/the_workflow_checks_what_it_says",
        workflow,
    )];
    for adapter in ADAPTERS {
        let name = format!("docs/the_adapter_in_{}_works", adapter.language);
        tests.push(Trial::test(name, move || works(&adapter)));
    }
    tests
}

/// The page's first block in a language.
fn block(language: &str) -> Result<&'static str, Failed> {
    let begin = format!("```{language}\n");
    let (_, after) = PAGE
        .split_once(&begin)
        .ok_or("the page has no such block")?;
    let (block, _) = after.split_once("```").ok_or("the block has no end")?;
    Ok(block)
}

fn works(adapter: &Adapter) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    if !has(folder.path(), adapter.tool)? {
        println!(
            "docs/{}: skipped: {} is not installed",
            adapter.language, adapter.tool
        );
        return Ok(());
    }
    std::fs::write(folder.path().join(adapter.file), block(adapter.language)?)?;
    if !adapter.build.is_empty() {
        let built = shell(folder.path(), adapter.build)?;
        assert_that(built.code == Some(0), &built)?;
    }
    let line = format!(
        "pipeclog check --only {CASES} {} -- {}",
        adapter.without, adapter.run
    );
    let ran = shell(folder.path(), &line)?;
    assert_that(ran.code == Some(0) && !ran.stdout.contains("minor"), &ran)
}

/// Its YAML is read by a parser, and its check run as the page has it.
fn workflow() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    for (file, language) in [
        ("workflow.yml", "yaml"),
        ("known-failures.json", "json"),
        ("wrapper.py", "python"),
    ] {
        std::fs::write(folder.path().join(file), block(language)?)?;
    }
    for tool in ["ruby", "python3"] {
        if !has(folder.path(), tool)? {
            println!("docs/workflow: skipped: {tool} is not installed");
            return Ok(());
        }
    }
    let steps = r#"ruby -ryaml -e 'puts YAML.load_file("workflow.yml").dig("jobs", "pipeclog", "steps").map { |step| step["run"] }.compact'"#;
    let steps = shell(folder.path(), steps)?;
    assert_that(steps.code == Some(0), &steps)?;
    let check = steps
        .stdout
        .lines()
        .find(|line| line.starts_with("pipeclog check "));
    let ran = shell(folder.path(), check.ok_or("no step runs the check")?)?;
    let xml = std::fs::read_to_string(folder.path().join("check.xml"))?;
    let cases = pipeclog_harness::fixtures::cases()?.len();
    let all = xml.matches("<testcase ").count() == cases;
    assert_that(ran.code == Some(0) && all, &Ran { stdout: xml, ..ran })
}

fn has(folder: &Path, tool: &str) -> Result<bool, Failed> {
    Ok(shell(folder, &format!("command -v {tool}"))?.code == Some(0))
}

/// Runs a line in a folder, with this build's `pipeclog` in the path.
fn shell(folder: &Path, line: &str) -> Result<Ran, Failed> {
    let program = Path::new(env!("CARGO_BIN_EXE_pipeclog"));
    let path = program.parent().ok_or("the program has a folder")?;
    let line = format!(
        "PATH={}:$PATH; cd {} && {line}",
        path.display(),
        folder.display()
    );
    run(Command::new("sh").args(["-c", &line]))
}
