//! Shapes: programs put together at random from a seed, planted with a hang or healthy for all that they look alike.
//!
//! `PIPECLOG_SHAPES=1000 cargo test --test live shapes/` plays as many of each; a few are played otherwise. A shape's number is
//! its seed, so that one which fails can be played again by its name.

use std::env;

use pipeclog_waitgraph::report::{Confidence, VerdictName};

use crate::case::{Case, Expect};

/// Of each kind, unless `PIPECLOG_SHAPES` says another number.
const USUALLY: u64 = 6;

/// The seeded choices of one shape (splitmix64, as its author published it).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        let at = self.next() % all.len() as u64;
        usize::try_from(at)
            .ok()
            .and_then(|at| all.get(at))
            .copied()
            .unwrap_or_default()
    }
}

/// A shape: what a shell runs, and in what calls its tasks must be before the question is asked.
struct Shape {
    script: String,
    ready: Vec<&'static str>,
}

/// As many shapes of each kind as are asked for, as cases.
pub(crate) fn all() -> Result<Vec<Case>, String> {
    let count = match env::var("PIPECLOG_SHAPES") {
        Err(_) => USUALLY,
        Ok(text) => text
            .parse()
            .map_err(|_| format!("PIPECLOG_SHAPES is {text:?}, and no number"))?,
    };
    let planted = (0..count).map(|seed| {
        let expect = Expect::Deadlock {
            confidence: Confidence::Probable,
            class: Vec::new(),
            fix: None,
        };
        case("planted", seed, planted(&mut Dice(seed)), expect)
    });
    let healthy = (0..count).map(|seed| {
        use VerdictName::{Leaked, Progressing, Stalled, Stopped, Unproven, Waiting};
        let never = vec![Leaked, Progressing, Stalled, Stopped, Unproven, Waiting];
        let shape = healthy(&mut Dice(seed));
        case("healthy", seed, shape, Expect::LookAlike(never))
    });
    Ok(planted.chain(healthy).collect())
}

fn case(kind: &str, seed: u64, shape: Shape, expect: Expect) -> Case {
    let ready = shape.ready.into_iter().map(str::to_owned).collect();
    Case::of_script(
        "shapes",
        &format!("{kind}-{seed}"),
        shape.script,
        ready,
        expect,
    )
}

/// More than a pipe holds, in writes of any size.
fn too_much(dice: &mut Dice) -> String {
    let size = dice.within(140_000, 900_000);
    match dice.within(0, 3) {
        0 => format!("head -c {size} /dev/zero"),
        1 => format!(
            "dd if=/dev/zero bs={} count=20000 status=none",
            dice.within(100, 9000)
        ),
        2 => format!(
            "pipeclog chatty --stdout {size} --write-size {}",
            dice.within(50, 70_000)
        ),
        _ => format!("perl -e 'syswrite STDOUT, q(x) x {size}'"),
    }
}

fn filters(dice: &mut Dice) -> String {
    let mut filters = String::new();
    for _ in 0..dice.within(0, 3) {
        filters.push_str(" | ");
        filters.push_str(dice.one_of(&["cat", "tr a b", "sed s/a/b/", "dd bs=4096 status=none"]));
    }
    filters
}

/// Shells around a command, each of which waits for what it has started.
fn wrapped(dice: &mut Dice, script: String) -> String {
    let mut script = script;
    for _ in 0..dice.within(0, 2) {
        let shell = dice.one_of(&["sh", "bash", "dash"]);
        script = format!("{shell} -c {}; :", quoted(&script));
    }
    script
}

fn quoted(script: &str) -> String {
    format!("'{}'", script.replace('\'', r"'\''"))
}

/// A parent in Perl that starts `child` and does `then` with `$out` and `$err`, its output's ends, and `$in`.
fn parent(child: &str, then: &str) -> String {
    let child = child.replace('\'', "\"");
    format!(
        "CHILD={} perl -MIPC::Open3 -MSymbol -e 'my $err = gensym; my $pid = open3(my $in, my $out, $err, \"sh\", \"-c\", $ENV{{CHILD}}); {then}'",
        quoted(&child)
    )
}

fn planted(dice: &mut Dice) -> Shape {
    let much = format!("{}{}", too_much(dice), filters(dice));
    let script = match dice.within(0, 7) {
        0 => parent(&much, "close $in; waitpid $pid, 0"),
        1 => parent(&format!("{{ {much}; }} >&2"), "close $in; my @all = <$out>"),
        2 => parent("cat", "print $in q(x) x 900000; close $in"),
        3 => parent(
            dice.one_of(&["sort", "wc", "cat >/dev/null", "tac | cat"]),
            "print $in qq(a\\n); $in->flush; my $line = <$out>",
        ),
        4 => parent(
            &format!("{{ {much}; }} >&2"),
            "my $set = q(); vec($set, fileno($out), 1) = 1; select($set, undef, undef, undef)",
        ),
        5 => format!(
            "pipeclog capture -s wait_then_read -- sh -c {} >/dev/null",
            quoted(&much)
        ),
        6 => "mkfifo a b; { exec 3>a; exec 4>b; } & { exec 4<b; exec 3<a; } & wait".to_owned(),
        _ => format!(
            "mkfifo f; exec 3<>f; {} <&3",
            dice.one_of(&["cat", "sort", "wc -c"])
        ),
    };
    Shape {
        script: wrapped(dice, script),
        ready: vec![],
    }
}

fn healthy(dice: &mut Dice) -> Shape {
    let little = format!("head -c {} /dev/zero", dice.within(0, 60_000));
    let much = format!("{}{}", too_much(dice), filters(dice));
    let nap = dice.one_of(&["0.05", "0.1", "0.2"]);
    let (script, ready) = match dice.within(0, 10) {
        0 => (
            parent(
                &format!("{little}; sleep 600"),
                "close $in; waitpid $pid, 0",
            ),
            vec!["sleep"],
        ),
        1 => (
            parent(
                &format!("{little} >&2; sleep 600"),
                "close $in; my @all = <$out>",
            ),
            vec!["sleep"],
        ),
        2 => (
            parent(&much, "close $in; sleep 600; waitpid $pid, 0"),
            vec!["sleep", "write"],
        ),
        3 => (
            parent(
                &much,
                "$SIG{ALRM} = sub { exit }; alarm 3600; waitpid $pid, 0",
            ),
            vec!["child", "write"],
        ),
        4 => (
            parent(
                "cat",
                "my $set = q(); vec($set, fileno($out), 1) = 1; select($set, undef, undef, 3600)",
            ),
            vec!["poll", "read"],
        ),
        5 => (
            parent(
                &much,
                "use POSIX q(:sys_wait_h); select(undef, undef, undef, 0.05) until waitpid($pid, WNOHANG) > 0",
            ),
            vec!["poll", "write"],
        ),
        6 => (
            format!(
                "yes{} | while dd bs=4096 count=1 of=/dev/null status=none; do sleep {nap}; done",
                filters(dice)
            ),
            vec!["sleep"],
        ),
        7 => (
            format!(
                "while :; do echo x; sleep {nap}; done{} >/dev/null",
                filters(dice)
            ),
            vec!["sleep"],
        ),
        8 => (
            format!("sleep 600{} >/dev/null", filters(dice)),
            vec!["sleep"],
        ),
        9 => (
            format!("{much} | sh -c 'kill -STOP $$; cat >/dev/null'"),
            vec!["stopped"],
        ),
        _ => (
            format!(
                "timeout 3600 pipeclog capture -s wait_then_read -- sh -c {} >/dev/null",
                quoted(&format!("{little}; sleep 600"))
            ),
            vec!["sleep"],
        ),
    };
    Shape {
        script: wrapped(dice, script),
        ready,
    }
}
