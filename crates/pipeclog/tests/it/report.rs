//! `pipeclog report`, of results that a short run has written.

use std::fs;
use std::path::Path;

use crate::run::{pipeclog, shell};

/// Writes the results of a hang and of captures to `folder`, and gives the file.
fn results(folder: &Path) -> String {
    let file = folder.join("results.json").display().to_string();
    let ran = pipeclog(&["prove", "wait-then-read", "--json", &file]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    file
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_same_results_give_the_same_bytes_and_the_summary_of_the_step_too() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, file) = (folder.path(), results(folder.path()));
    let [one, other, summary] = ["one.md", "other.md", "summary.md"].map(|name| folder.join(name));
    for output in [&one, &other] {
        let ran = shell(&format!(
            "GITHUB_STEP_SUMMARY={} pipeclog report --from {file} --output {}",
            summary.display(),
            output.display()
        ));
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    }
    let report = text(&one);
    assert!(report.contains("deadlock, proven: the parent waits for the child to exit"));
    // The names of the figures follow that of the report.
    assert_eq!(report, text(&other).replace("other.", "one."));
    assert!(text(&summary).starts_with("# Which ways to capture output hang"));
    assert_eq!(
        text(&folder.join("one.verdicts.json")),
        text(&folder.join("other.verdicts.json"))
    );
}

#[test]
fn results_that_are_none_are_wrong_usage_and_leave_the_old_report() {
    let folder = tempfile::tempdir().unwrap();
    let [bad, report] = ["bad.json", "REPORT.md"].map(|name| folder.path().join(name));
    fs::write(&report, "old").unwrap();
    for (content, said) in [
        ("{", "EOF"),
        (r#"{"schema_version": 2}"#, "missing field"),
        (r#"{"schema_version": 99, "cells": []}"#, "version 99"),
    ] {
        fs::write(&bad, content).unwrap();
        let arguments = ["report", "--from", &bad.display().to_string(), "--output"];
        let ran = pipeclog(&[&arguments[..], &[&report.display().to_string()]].concat());
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        assert_eq!(text(&report), "old");
    }
}

/// What a browser finds of the page: the script is the test's; the page has none.
const QUESTIONS: &str = "<script>addEventListener('load', () => {
    const images = [...document.images];
    const loaded = images.filter(image => image.complete && image.naturalWidth > 0);
    const fetched = performance.getEntriesByType('resource').filter(entry => !entry.name.startsWith('data:'));
    const inside = document.documentElement.scrollWidth <= window.innerWidth;
    document.title = `${loaded.length} of ${images.length} images, ${fetched.length} fetched, inside: ${inside}`;
})</script>";

#[test]
fn a_browser_shows_the_page_with_every_picture_and_fetches_nothing() {
    let browsers = ["chromium-headless-shell", "chromium", "google-chrome"];
    let is_there = |browser: &&str| shell(&format!("command -v {browser}")).code == 0;
    let Some(browser) = browsers.into_iter().find(is_there) else {
        println!("skipped: no headless Chromium here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = results(folder.path());
    let page = folder.path().join("page.html");
    let ran = pipeclog(&[
        "report",
        "--from",
        &file,
        "--format",
        "html",
        "--output",
        &page.display().to_string(),
    ]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let content = text(&page);
    assert!(!content.contains("<script"), "it is to run no script");
    let images = content.matches("<img ").count();
    fs::write(&page, format!("{content}{QUESTIONS}")).unwrap();
    let home = folder.path().display();
    let ran = shell(&format!(
        "HOME={home} {browser} --headless --no-sandbox --disable-gpu --user-data-dir={home}/profile --window-size=1200,900 \
         --dump-dom file://{}",
        page.display()
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let title = ran.stdout.split("<title>").nth(1);
    let title = title.and_then(|rest| rest.split("</title>").next());
    // The graph of each class that hung is in the page itself.
    assert!(images > 0, "{content}");
    let expected = format!("{images} of {images} images, 0 fetched, inside: true");
    assert_eq!(title, Some(expected.as_str()), "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("<h1 id=\"which-ways-to-capture-output-hang")
    );
}
