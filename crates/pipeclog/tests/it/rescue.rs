//! `pipeclog rescue` on planted deadlocks: every byte accounted for, and every refusal with its reason.

use crate::run::shell;

/// Plants `parent` in the background with its stdout into `$d/out`, waits until a child of it sleeps in write(2) for good, and goes on
/// with `then`; `$parent` and `$child` are their numbers.
fn planted(parent: &str, then: &str) -> crate::run::Ran {
    shell(&format!(
        "d=$(mktemp -d); {parent} >$d/out 2>$d/err & parent=$!; \
         until child=$(pgrep -P $parent) && grep -q '^1 ' /proc/$child/syscall; do kill -0 $parent || exit 99; done; \
         {then}; code=$?; kill $parent $child 2>/dev/null; wait $parent; rm -r $d; exit $code"
    ))
}

/// A parent that waits for its child before it reads what that writes, and then says how many bytes came and their sum. The child is perl
/// with the program `$writes`; `$w` is a directory for what has to be built.
struct Language {
    name: &'static str,
    /// Whether it is here, and what makes it ready.
    ready: &'static str,
    parent: &'static str,
}

/// Those in which a program can do that. (Not in Node: it has no call that waits for a child and leaves its output in a pipe.)
const LANGUAGES: [Language; 9] = [
    Language {
        name: "python3",
        ready: "python3 --version",
        parent: r#"python3 -c "
import subprocess, sys
p = subprocess.Popen(['perl', '-e', sys.argv[1]], stdout=subprocess.PIPE)
p.wait(); data = p.stdout.read(); print(len(data), sum(data))" "$writes""#,
    },
    Language {
        name: "perl",
        ready: "perl -v",
        parent: r#"perl -e 'pipe R, W; $p = fork // die; if (!$p) { close R; open STDOUT, ">&W"; exec "perl", "-e", $ARGV[0] }
close W; waitpid $p, 0; $n = $s = 0; while (sysread R, $b, 65536) { $n += length $b; $s += unpack "%64C*", $b } print "$n $s\n"' "$writes""#,
    },
    Language {
        name: "ruby",
        ready: "ruby --version",
        parent: r##"ruby -e 'r, w = IO.pipe; p = spawn("perl", "-e", ARGV[0], out: w); w.close; Process.wait p; d = r.read; puts "#{d.bytesize} #{d.sum(64)}"' "$writes""##,
    },
    Language {
        name: "php",
        ready: "php -m | grep -q pcntl",
        parent: r#"php -r '$p = proc_open(["perl", "-e", $argv[1]], [1 => ["pipe", "w"]], $pipes);
while (true) { pcntl_wait($st); break; } $d = stream_get_contents($pipes[1]); echo strlen($d), " ", array_sum(unpack("C*", $d)), "\n";' "$writes""#,
    },
    Language {
        name: "pipeclog",
        ready: "pipeclog --version",
        parent: r#"pipeclog capture -s wait_then_read -- perl -e "$writes""#,
    },
    Language {
        name: "bash",
        ready: "bash --version",
        parent: r#"bash -c 'exec 3< <(exec perl -e "$0"); wait $!; perl -0777 -ne "print length, q( ), unpack(q(%64C*), \$_), qq(\n)" <&3' "$writes""#,
    },
    Language {
        name: "c",
        ready: r#"cc -x c -o $w/c - <<'END'
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int n, char **words) {
    int ends[2];
    if (pipe(ends)) return 1;
    if (!fork()) { dup2(ends[1], 1); close(ends[0]); close(ends[1]); execlp("perl", "perl", "-e", words[1], (char *)0); _exit(127); }
    close(ends[1]);
    wait(0);
    unsigned char block[65536];
    unsigned long bytes = 0, sum = 0;
    for (long got; (got = read(ends[0], block, sizeof block)) > 0; bytes += got)
        for (long i = 0; i < got; i++) sum += block[i];
    printf("%lu %lu\n", bytes, sum);
}
END"#,
        parent: r#"$w/c "$writes""#,
    },
    Language {
        name: "go",
        ready: r#"cat >$w/hang.go <<'END' && go build -o $w/go $w/hang.go
package main

import ("fmt"; "io"; "os")

func main() {
	r, w, _ := os.Pipe()
	p, _ := os.StartProcess("/usr/bin/env", []string{"env", "perl", "-e", os.Args[1]}, &os.ProcAttr{Files: []*os.File{nil, w, os.Stderr}})
	w.Close()
	p.Wait()
	data, _ := io.ReadAll(r)
	sum := 0
	for _, b := range data { sum += int(b) }
	fmt.Println(len(data), sum)
}
END"#,
        parent: r#"$w/go "$writes""#,
    },
    Language {
        name: "java",
        ready: r#"cat >$w/Hang.java <<'END' && javac -d $w $w/Hang.java
public class Hang {
    public static void main(String[] words) throws Exception {
        Process p = new ProcessBuilder("perl", "-e", words[0]).start();
        p.waitFor();
        byte[] data = p.getInputStream().readAllBytes();
        long sum = 0;
        for (byte b : data) sum += b & 0xff;
        System.out.println(data.length + " " + sum);
    }
}
END"#,
        parent: r#"java -Xshare:auto -cp $w Hang "$writes""#,
    },
];

/// How many deadlocks to plant, unless `PIPECLOG_CASES` says another number.
fn cases() -> usize {
    std::env::var("PIPECLOG_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100)
}

#[test]
fn planted_deadlocks_are_rescued_and_every_byte_is_accounted_for() {
    let work = tempfile::tempdir().unwrap();
    let in_work = format!("w={};", work.path().display());
    let available: Vec<&Language> = LANGUAGES
        .iter()
        .filter(|language| {
            let ran = shell(&format!("{in_work} {{ {}\n}} >/dev/null", language.ready));
            if ran.code != 0 {
                println!("skipped: no {} here: {}", language.name, ran.stderr);
            }
            ran.code == 0
        })
        .collect();
    assert!(!available.is_empty());
    let mut rescued = 0;
    for case in 0..cases() {
        let Language { name, parent, .. } = available[case % available.len()];
        // Sizes and lengths of writes that are no multiples of each other, between the least pipe and the largest.
        let (write, times) = [
            (1, 70_000),
            (100, 900),
            (2_049, 200),
            (4_096, 200),
            (70_000, 9),
            (900_000, 1),
        ][case / available.len() % 6];
        let bytes = write * times;
        let child = format!("syswrite STDOUT, chr(48 + $_ % 10) x {write} for 1 .. {times}");
        let sum: usize = (1..=times).map(|i| (48 + i % 10) * write).sum();
        let ran = shell(&format!(
            "{in_work} writes='{child}'; d=$(mktemp -d); {parent} >$d/out 2>$d/err & parent=$!; \
             until child=$(pgrep -P $parent perl) && grep -q '^1 ' /proc/$child/syscall 2>/dev/null; do kill -0 $parent || exit 99; done; \
             pipeclog rescue $parent; code=$?; [ $code = 0 ] || kill $parent $child; wait $parent; \
             if [ {name} = pipeclog ]; then perl -0777 -ne 'print length, \" \", unpack(\"%64C*\", $_), \"\\n\"' $d/out; else cat $d/out; fi; \
             cat $d/err >&2; rm -r $d; exit $code"
        ));
        assert_eq!(ran.code, 0, "{name}, {times} writes of {write}: {ran:?}");
        assert_eq!(
            ran.stdout.lines().last(),
            Some(format!("{bytes} {sum}").as_str()),
            "{name}, {times} writes of {write}: {ran:?}"
        );
        rescued += usize::from(ran.stdout.contains("larger, from"));
    }
    // Every one was stuck, and made larger.
    assert_eq!(rescued, cases());
}

/// A hang of our own, whose child writes 900,000 bytes.
const HANG: &str = "pipeclog capture -s wait_then_read -- head -c 900000 /dev/zero";

#[test]
fn the_smallest_steps_are_taken_and_told() {
    let ran = planted(
        HANG,
        "pipeclog rescue --format json $parent && stat -c %s $d/out",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let (size, actions) = lines.split_last().unwrap();
    assert_eq!(*size, "900000");
    let sizes: Vec<(u64, u64)> = actions
        .iter()
        .map(|line| {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            (
                action["from_bytes"].as_u64().unwrap(),
                action["to_bytes"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        sizes,
        [
            (65_536, 131_072),
            (131_072, 262_144),
            (262_144, 524_288),
            (524_288, 1_048_576)
        ]
    );
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let ran = planted(
        HANG,
        "pipeclog rescue --dry-run $parent; echo $?; pipeclog rescue --dry-run $child; kill -0 $child && grep -c '^1 ' /proc/$child/syscall",
    );
    assert_eq!(
        ran.stdout.matches("would make pipe:[").count(),
        2,
        "{ran:?}"
    );
    assert_eq!(
        ran.stdout.matches("from 65536 to 131072 bytes").count(),
        2,
        "{ran:?}"
    );
    assert!(
        ran.stdout.contains("nothing was changed") && ran.stdout.ends_with("1\n"),
        "{ran:?}"
    );
}

#[test]
fn what_cannot_be_helped_is_refused_with_the_reason_and_the_cure() {
    // No room: the limit is reached at once, or after some steps, and the deadlock stands.
    let ran = planted(HANG, "pipeclog rescue --most 64k $parent");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("/proc/sys/fs/pipe-max-size") && ran.stderr.contains("65536"),
        "{ran:?}"
    );
    let ran = planted(HANG, "pipeclog rescue --most 128k $parent");
    assert_eq!(ran.code, 3, "{ran:?}");
    // A reader that only sleeps for now: nothing is proven.
    let ran = shell(
        "head -c 900000 /dev/zero | sleep 600 & sleep=$!; \
         until head=$(pgrep -P $$ head) && grep -q '^1 ' /proc/$head/syscall; do kill -0 $sleep || exit 99; done; \
         pipeclog rescue $head; code=$?; kill $sleep $head; exit $code",
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("no deadlock is certified"), "{ran:?}");
    // Nothing is stuck.
    let ran = shell("sleep 600 & pipeclog rescue $!; code=$?; kill $!; exit $code");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("no deadlock is certified"), "{ran:?}");
    // A true deadlock: a reader that holds the write end itself.
    let ran = shell(
        "d=$(mktemp -d); mkfifo $d/own; cat <>$d/own & cat=$!; until grep -q '^0 ' /proc/$cat/syscall; do kill -0 $cat; done; \
         pipeclog rescue $cat; code=$?; kill $cat; rm -r $d; exit $code",
    );
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("true deadlock") && ran.stderr.contains("the cure:"),
        "{ran:?}"
    );
    // Below process 1 is everybody, whose owners have not been asked.
    let ran = planted(HANG, "pipeclog rescue --dry-run 1");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("no deadlock is certified"), "{ran:?}");
    // Nobody.
    let ran = shell("pipeclog rescue 4194303");
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = shell("pipeclog rescue me");
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn a_fifo_is_made_larger_without_being_opened() {
    let ran = shell(
        "d=$(mktemp -d); mkfifo $d/full; sh -c 'head -c 900000 /dev/zero >$0/full & exec <$0/full; wait; exec wc -c' $d >$d/out & parent=$!; \
         until head=$(pgrep -P $parent head) && grep -q '^1 ' /proc/$head/syscall; do kill -0 $parent || exit 99; done; \
         pipeclog rescue $parent; code=$?; [ $code = 0 ] || kill $parent $head; wait $parent; cat $d/out; rm -r $d; exit $code",
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with("900000\n"), "{ran:?}");
    assert!(ran.stdout.contains("made FIFO"), "{ran:?}");
}

/// Whether a process of another user can be had that this one sees into: one that is hidden makes every proof of the tests beside
/// this one a probable one.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn can_be_another_user() -> bool {
    let ran = shell(
        "[ $(id -u) = 0 ] && [ $((0x$(sed -n 's/CapEff:.//p' /proc/self/status) >> 19 & 1)) = 1 ] && \
         PATH=/usr/bin:/bin setpriv --reuid=65533 --regid=65533 --clear-groups python3 --version",
    );
    if ran.code != 0 {
        println!("skipped: it takes root with CAP_SYS_PTRACE, setpriv, and a /usr/bin/python3");
    }
    ran.code == 0
}

/// A user without privilege, who has as much memory in pipes as one may, and one that is stuck; goes on with `then`, in which `$parent` is
/// the stuck one and `$pipeclog` a binary that this user may run. The memory is counted for a user, so each run is one of its own: what another
/// gives back at its end would be room here.
fn over_budget(then: &str) -> Option<crate::run::Ran> {
    const PROGRAM: &str = "import fcntl, os, subprocess, sys
ends = []
while True:
    ends += os.pipe()
    try: fcntl.fcntl(ends[-1], 1031, 1 << 20)
    except PermissionError: break
while fcntl.fcntl(ends[-1], 1032) >= 65536: ends += os.pipe()
p = subprocess.Popen([\"head\", \"-c\", \"900000\", \"/dev/zero\"], stdout=subprocess.PIPE)
p.wait(); print(len(p.stdout.read()))";
    if !can_be_another_user() {
        return None;
    }
    Some(shell(&format!(
        "d=$(mktemp -d); chmod 755 $d; pipeclog=$d/pipeclog; cp $(which pipeclog) $d; export pipeclog; user=$((20000 + $$ % 40000)); \
         PATH=/usr/bin:/bin setpriv --reuid=$user --regid=$user --clear-groups sh -c '(ulimit -n 4096; exec python3 -c '\\''{PROGRAM}'\\'') & parent=$!; \
         until child=$(pgrep -P $parent) && grep -q \"^1 \" /proc/$child/syscall; do kill -0 $parent || exit 99; done; \
         {then}; code=$?; kill $parent $child; wait $parent; exit $code'; code=$?; rm -r $d; exit $code"
    )))
}

#[test]
fn who_is_over_the_share_of_pages_is_refused_with_the_cure() {
    let Some(ran) = over_budget("$pipeclog rescue $parent") else {
        return;
    };
    assert!([1, 3].contains(&ran.code), "{ran:?}");
    assert!(
        ran.stderr.contains("over the share of pages for pipes")
            && ran.stderr.contains("/proc/sys/fs/pipe-user-pages-soft"),
        "{ran:?}"
    );
    // What this user cannot see might read it too, so it does not go to disk. (With a guard: the writer may be on his way to the next full pipe when he is looked at.)
    if let Some(ran) = over_budget("$pipeclog rescue --spool /nowhere $parent") {
        assert!([1, 3].contains(&ran.code), "{ran:?}");
        assert!(
            ran.stderr.contains("the proof stands on assumptions"),
            "{ran:?}"
        );
    }
}

#[test]
fn who_may_not_look_is_told_so_and_changes_nothing() {
    if !can_be_another_user() {
        return;
    }
    let ran = planted(
        HANG,
        "chmod 755 $d; cp $(which pipeclog) $d; setpriv --reuid=65533 --clear-groups $d/pipeclog rescue $parent; code=$?; \
         grep -c '^1 ' /proc/$child/syscall; [ $code = 1 ]",
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1\n"), "{ran:?}");
    assert!(
        ran.stderr.contains("does not show its system call"),
        "{ran:?}"
    );
}

#[test]
fn a_reader_of_what_is_told_that_has_enough_does_not_leave_it_half_done() {
    let ran = planted(
        HANG,
        "pipeclog rescue $parent | head -1 | wc -l; wait $parent; stat -c %s $d/out",
    );
    assert_eq!(ran.stdout, "1\n900000\n", "{ran:?}");
}

#[test]
fn a_socket_is_made_larger_where_that_is_allowed() {
    let ran = planted(
        "python3 -c \"
import os, socket, subprocess
a, b = socket.socketpair()
p = subprocess.Popen(['head', '-c', '400000', '/dev/zero'], stdout=b); b.close(); p.wait()
n = 0
while True:
    data = a.recv(65536)
    if not data: break
    n += len(data)
print(n)\"",
        "pipeclog rescue $parent; echo $?",
    );
    if shell("python3 --version").code != 0 || ran.stderr.contains("CAP_NET_ADMIN") {
        println!("skipped: no python3, or no right to enlarge a socket's buffer");
        return;
    }
    assert!(ran.stdout.contains("made unix socket pair:["), "{ran:?}");
}

#[test]
fn a_watch_rescues_what_it_runs() {
    let ran = shell(&format!(
        "pipeclog watch --on-deadlock rescue -- {HANG} | wc -c"
    ));
    assert_eq!(ran.stdout.trim(), "900000", "{ran:?}");
    assert_eq!(
        ran.stderr.matches("pipeclog watch: made pipe:[").count(),
        4,
        "{ran:?}"
    );
    assert_eq!(ran.stderr.matches("deadlock, proven").count(), 1, "{ran:?}");
    // What does not fit is ended.
    let ran = shell(
        "pipeclog watch --on-deadlock rescue -- pipeclog capture -s wait_then_read -- head -c 3000000 /dev/zero",
    );
    assert_eq!(ran.code, 124, "{ran:?}");
    assert!(
        ran.stderr.contains("are the most that is allowed here"),
        "{ran:?}"
    );
}
