//! `--repro`: the line that shows one case by hand.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use pipeclog_scenario::check::{Case, Child, Question, Start, Wrapper};

/// What a child tells of the state that it was started in.
const STATE: &str = "ls -l /proc/$$/fd; grep -E '^Sig(Blk|Ign)' /proc/$$/status; exit 7";
/// The waits of strace's that got the exit of a child that ends with code 7, as wait4(2) and as waitid(2) have it.
const REAPED: &str = "STATUS.s. == 7|si_status=7";

pub(super) fn run(wrapper: &Wrapper, cases: &[Case], id: &str) -> anyhow::Result<ExitCode> {
    let case = cases.iter().find(|case| case.id == id);
    let case = case.with_context(|| {
        format!("there is no case {id:?}: `pipeclog check --list` shows them all")
    })?;
    if let Some(why) = wrapper.not_applicable(case) {
        bail!("{id} is not applicable to this wrapper: {why}");
    }
    println!("{}", line(wrapper, case)?);
    Ok(ExitCode::SUCCESS)
}

/// A line for a shell, which needs this program and the wrapper and no file. What neither shows by itself, it measures.
fn line(wrapper: &Wrapper, case: &Case) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let mut words = wrapper.words(case);
    match &case.child {
        Child::Script(script) => {
            let json: serde_json::Value = serde_json::from_str(&script.to_json()?)?;
            words.extend([program.display().to_string(), "chatty".to_owned()]);
            words.extend(["--script".to_owned(), json.to_string()]);
        }
        // Not at once: a shell reaps by chance whatever has ended when it waits for something else.
        Child::Probe(Question::Reaped) => {
            words.extend(["sh", "-c", "sleep 1; exit 7"].map(str::to_owned));
        }
        Child::Probe(
            Question::Descriptors
            | Question::Stdio
            | Question::Blocking
            | Question::Sigpipe
            | Question::SignalMask,
        ) => words.extend(["sh", "-c", STATE].map(str::to_owned)),
        Child::Missing => words.push("/nonexistent/pipeclog-no-such-command".to_owned()),
    }
    let line = shlex::try_join(words.iter().map(String::as_str))
        .context("failed to quote the command for a shell")?;
    let line = match case.start {
        Start::Usual => line,
        Start::StdinClosed => format!("{line} <&-"),
        Start::SigchldIgnored => format!("(trap '' CHLD; exec {line})"),
    };
    let line = match case.stdin {
        None if case.start == Start::StdinClosed => line,
        None => format!("{line} </dev/null"),
        Some(size) => format!("head -c {} /dev/zero | {line}", size.0),
    };
    Ok(match &case.child {
        Child::Probe(Question::Reaped) => format!(
            "strace -f -e trace=wait4,waitid -e signal=none {line} 2>&1 | grep -cE {} # 0: no wait got the child's exit, so nobody reaped it",
            shlex::try_quote(REAPED)?
        ),
        _ if case.idle => format!(
            "({line}; times) # the last line: what the processor did for the wrapper, in user and system time, while its child slept"
        ),
        _ => line,
    })
}
