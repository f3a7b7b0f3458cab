//! Manual pages, completions and metrics: each knows every command and every option.

use crate::run::{pipeclog, shell};

/// The visible commands, by `--help`.
fn commands() -> Vec<String> {
    let help = pipeclog(&["--help"]).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// The long options that `--help` of a command lists.
fn options(command: &str) -> Vec<String> {
    // The chatty child has a help of its own.
    if command == "chatty" {
        return Vec::new();
    }
    let help = pipeclog(&[command, "--help"]).stdout;
    help.lines()
        .filter_map(|line| line.trim_start().split_once("--"))
        .filter(|(before, _)| before.is_empty() || before.starts_with('-') && before.len() == 4)
        .filter_map(|(_, rest)| rest.split([' ', '=', '[', ',']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_a_manual_page_and_completions_with_all_of_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let ran = pipeclog(&["man", &folder.path().display().to_string()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let completions = ["bash", "zsh", "fish"].map(|shell| pipeclog(&["completions", shell]).stdout);
    let commands = commands();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let page = folder.path().join(format!("pipeclog-{command}.1"));
        let page = std::fs::read_to_string(&page).unwrap().replace('\\', "");
        for text in &completions {
            assert!(text.contains(&command), "{command}");
        }
        for option in options(&command) {
            assert!(
                page.contains(&format!("--{option}")),
                "{command} --{option}: {page}"
            );
            for text in &completions {
                assert!(text.contains(&option), "{command} --{option}");
            }
        }
    }
    let watch = options("watch");
    assert!(
        watch.iter().any(|option| option == "preserve-status"),
        "{watch:?}"
    );
}

#[test]
fn metrics_are_written_as_a_whole_and_count_what_is_stuck() {
    let ran = shell(
        "d=$(mktemp -d); pipeclog capture -s wait_then_read -- head -c 70000 /dev/zero >/dev/null & parent=$!; \
         until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent; done; \
         pipeclog diagnose --all --format openmetrics --out $d/pipeclog.prom; code=$?; \
         cat $d/pipeclog.prom; ls -A $d | wc -l; kill $parent $child; rm -r $d; exit $code",
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stdout
            .contains("pipeclog_stuck_class{class=\"wait-then-read\"}"),
        "{ran:?}"
    );
    assert!(ran.stdout.ends_with("# EOF\n1\n"), "{ran:?}");
    let ran = pipeclog(&["diagnose", "--all", "--out", "x"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn help_and_manual_page_end_in_the_same_table_of_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let ran = pipeclog(&["man", &folder.path().display().to_string()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let plain = |text: &str| {
        text.replace('\\', "")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    for command in ["prove", "report", "check", "diagnose", "watch", "rescue"] {
        let help = pipeclog(&[command, "--help"]).stdout;
        let (_, table) = help.split_once("\nExit codes:\n").unwrap();
        assert!(
            table.lines().count() > 2 && !table.contains("--help"),
            "{command}: {table}"
        );
        let page =
            std::fs::read_to_string(folder.path().join(format!("pipeclog-{command}.1"))).unwrap();
        for line in table.lines() {
            assert!(
                plain(&page).contains(&plain(line)),
                "{command}: {line}: {page}"
            );
        }
    }
}
