//! What `docs/wrapper-authors.md` shows, run as it stands there: the adapters, the workflow.

use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use pipeclog_capture::Command;

use crate::cli::{Ran, assert_that, run, run_within};

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
    let mut tests = vec![
        Trial::test("docs/the_workflow_checks_what_it_says", workflow),
        Trial::test("docs/the_workflow_installs_what_it_checks_with", install),
    ];
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

/// The page's files as its reader would have them; nothing, and a word on it, if a tool is missing.
fn lay_out(folder: &Path, tools: &[&str]) -> Result<bool, Failed> {
    for (file, language) in [
        ("workflow.yml", "yaml"),
        ("known-failures.json", "json"),
        ("wrapper.py", "python"),
    ] {
        std::fs::write(folder.join(file), block(language)?)?;
    }
    for tool in tools {
        if !has(folder, tool)? {
            println!("docs/workflow: skipped: {tool} is not installed");
            return Ok(false);
        }
    }
    Ok(true)
}

/// The commands of the workflow's steps, by a parser of YAML.
fn steps(folder: &Path) -> Result<Vec<String>, Failed> {
    let steps = r#"ruby -ryaml -e 'puts YAML.load_file("workflow.yml").dig("jobs", "pipeclog", "steps").map { |step| step["run"] }.compact'"#;
    let steps = shell(folder, steps)?;
    assert_that(steps.code == Some(0), &steps)?;
    Ok(steps.stdout.lines().map(str::to_owned).collect())
}

fn step(steps: &[String], begin: &str) -> Result<String, Failed> {
    let step = steps.iter().find(|step| step.starts_with(begin));
    Ok(step.ok_or("no step does that")?.clone())
}

/// Its check is run as the page has it, and so is the line that the page has beside it.
fn workflow() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    if !lay_out(folder.path(), &["ruby", "python3"])? {
        return Ok(());
    }
    let steps = steps(folder.path())?;
    assert_eq!(steps.len(), 2, "each step is run by a test: {steps:?}");
    let ran = shell(folder.path(), &step(&steps, "pipeclog check ")?)?;
    let xml = std::fs::read_to_string(folder.path().join("check.xml"))?;
    let cases = pipeclog_harness::fixtures::cases()?.len();
    let all = xml.matches("<testcase ").count() == cases;
    assert_that(ran.code == Some(0) && all, &Ran { stdout: xml, ..ran })?;
    let (_, summary) = PAGE
        .split_once("\n`--format markdown")
        .ok_or("no such line")?;
    let (summary, _) = summary.split_once('`').ok_or("it has no end")?;
    let line = format!(
        "GITHUB_STEP_SUMMARY=summary.md; pipeclog check --only exit-1 --format markdown{summary}"
    );
    let ran = shell(folder.path(), &line)?;
    let page = std::fs::read_to_string(folder.path().join("summary.md"))?;
    let told = page.starts_with("# python3 wrapper.py");
    assert_that(
        ran.code == Some(0) && told,
        &Ran {
            stdout: page,
            ..ran
        },
    )
}

/// How long the compiler may take, from nothing.
const INSTALL_BOUND: Duration = Duration::from_secs(1800);

/// From a clone of this repository, in place of the one that is published; without optimising.
fn install() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    if !lay_out(folder.path(), &["ruby", "python3", "git", "cargo"])? {
        return Ok(());
    }
    let steps = steps(folder.path())?;
    let (install, check) = (
        step(&steps, "cargo install ")?,
        step(&steps, "pipeclog check ")?,
    );
    let published = env!("CARGO_PKG_REPOSITORY");
    if !install.contains(published) {
        return Err(format!("{install} is not from {published}").into());
    }
    if std::env::var_os("PIPECLOG_TEST_INSTALL").is_none() {
        println!(
            "docs/the_workflow_installs: skipped: it compiles everything anew; PIPECLOG_TEST_INSTALL=1 runs it"
        );
        return Ok(());
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let install = install.replace(
        published,
        &format!("file://{}/clone", folder.path().display()),
    );
    let line = format!(
        "git clone --quiet {} clone && CARGO_TARGET_DIR={} {install} --debug --root installed && PATH=installed/bin:$PATH && {check}",
        repository.display(),
        concat!(env!("CARGO_TARGET_TMPDIR"), "/install"),
    );
    let command = Command::new("sh").args(["-c", &line]);
    let ran = run_within(command.current_dir(folder.path()), INSTALL_BOUND)?;
    assert_that(ran.code == Some(0), &ran)
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
