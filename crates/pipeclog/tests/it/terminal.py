"""Runs a command as the foreground job of a terminal, as a shell with job control does, and acts on it.

Usage: terminal.py ACTION COMMAND...; prints what came of it, one fact a line. The action suspend-exec takes the command's own file first,
suspend-after-N stops the command N microseconds after it was started, wherever it is then.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

BOUND = 60


def read_until(master, text, seen=b""):
    """What the terminal shows, up to a text."""
    end = time.monotonic() + BOUND
    while text not in seen:
        ready, _, _ = select.select([master], [], [], max(0, end - time.monotonic()))
        if not ready:
            sys.exit(f"not seen in {BOUND} s: {text!r} in {seen!r}")
        try:
            data = os.read(master, 4096)
        except OSError:
            sys.exit(f"the terminal ended before {text!r}: {seen!r}")
        seen += data
    return seen


class Lease:
    """Keeps whoever would execute a file in that call, until it is released (fcntl(2), F_SETLEASE)."""

    def __init__(self, path):
        self.is_awaited = False
        signal.signal(signal.SIGIO, lambda *_: setattr(self, "is_awaited", True))
        self.file = os.open(path, os.O_RDONLY)
        fcntl.fcntl(self.file, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def release(self):
        fcntl.fcntl(self.file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(self.file)


def until(what, holds):
    end = time.monotonic() + BOUND
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"not in {BOUND} s: {what}")
        time.sleep(0.002)


def youngest_is_stopped(master):
    """Of the terminal's foreground group."""
    group, states = os.tcgetpgrp(master), {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                state, _, of = stat.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of) == group:
            states[int(name)] = state
    return bool(states) and states[max(states)] == "T"


def shell(command, report, go):
    """The session's leader: starts one job in a group of its own, gives it the terminal, waits, takes the terminal back."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpgrp())
        # What started the tests may ignore them, as a shell has its background jobs do.
        for number in (signal.SIGTTOU, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        os.close(report)
        os.close(go)
        os.execvp(command[0], command)
    try:
        os.setpgid(job, job)
    except OSError:
        pass
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        owner = os.tcgetpgrp(0)
        os.tcsetpgrp(0, os.getpgrp())
        os.write(report, f"owner {'job' if owner == job else owner}\n".encode())
        if os.WIFSTOPPED(status):
            os.tcsetpgrp(0, job)
            os.write(report, f"stopped {os.WSTOPSIG(status)}\n".encode())
            os.read(go, 1)
            os.killpg(job, signal.SIGCONT)
            continue
        if os.WIFSIGNALED(status):
            os.write(report, f"killed {os.WTERMSIG(status)}\n".encode())
        else:
            os.write(report, f"exited {os.WEXITSTATUS(status)}\n".encode())
        os._exit(0)


def main():
    action, command = sys.argv[1], sys.argv[2:]
    lease = Lease(command.pop(0)) if action == "suspend-exec" else None
    reading, report = os.pipe()
    go, may_go = os.pipe()
    leader, master = pty.fork()
    if leader == 0:
        os.close(reading)
        os.close(may_go)
        shell(command, report, go)
    os.close(report)
    os.close(go)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    bar = action.endswith("-bar")
    said = {reading: b"", master: b""}
    if lease:
        until("somebody executes the file", lambda: lease.is_awaited)
        os.write(master, b"\x1a")
        said[reading] = read_until(reading, b"stopped 20\n")
        until("who executes it is stopped", lambda: youngest_is_stopped(master))
        lease.release()
    elif action.startswith("suspend-after-"):
        until("the job has the terminal", lambda: os.tcgetpgrp(master) not in (0, leader))
        end = time.monotonic() + int(action.rpartition("-")[2]) / 1e6
        while time.monotonic() < end:
            pass
        os.write(master, b"\x1a")
        said[reading] = read_until(reading, b"stopped 20\n")
        os.write(master, b"\n")
    else:
        seen = read_until(master, b"to go" if bar else b"ready")
    os.close(may_go)
    if action in ("interrupt", "interrupt-bar"):
        os.write(master, b"\x03")
    elif action == "quit":
        os.write(master, b"\x1c")
    elif action == "suspend":
        os.write(master, b"\x1a")
        read_until(master, b"resumed")
        os.write(master, b"\n")
    elif action == "suspend-bar":
        os.write(master, b"\x1a")
    elif action == "type":
        os.write(master, b"secret\n")
    elif action == "widest":
        os.write(master, b"\n")
    # Both to their ends: what the command showed last may still be in the terminal when its shell has gone.
    opened = [reading, master]
    end = time.monotonic() + BOUND
    while opened:
        ready, _, _ = select.select(opened, [], [], max(0, end - time.monotonic()))
        if not ready:
            os.kill(leader, signal.SIGKILL)
            sys.exit(f"did not end in {BOUND} s: {said!r}")
        for fd in ready:
            try:
                data = os.read(fd, 4096)
            except OSError:
                data = b""
            said[fd] += data
            if not data:
                opened.remove(fd)
    # The terminal's own echo (`^C`) may stand before it in the same line.
    shown = [text.decode() for text in re.findall(rb"shown \w+", said[master])]
    if action == "widest":
        shown = [f"shown widest {max(map(len, said[master].decode().splitlines()))}"]
    if bar:
        # What stands in the line that the cursor is in, once its last erasure is done.
        line = re.split(rb"\n|\x1b\[2K", seen + said[master])[-1]
        shown.append(f"shown after the bar: {line!r}")
    os.waitpid(leader, 0)
    print("\n".join(sorted(said[reading].decode().splitlines() + shown)))


main()
