"""Runs a command as the foreground job of a terminal, as a shell with job control does, and acts on it.

Usage: terminal.py ACTION COMMAND...; prints what came of it, one fact a line.
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


def shell(command, report):
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
            os.write(report, f"stopped {os.WSTOPSIG(status)}\n".encode())
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
            continue
        if os.WIFSIGNALED(status):
            os.write(report, f"killed {os.WTERMSIG(status)}\n".encode())
        else:
            os.write(report, f"exited {os.WEXITSTATUS(status)}\n".encode())
        os._exit(0)


def main():
    action, command = sys.argv[1], sys.argv[2:]
    reading, report = os.pipe()
    leader, master = pty.fork()
    if leader == 0:
        os.close(reading)
        shell(command, report)
    os.close(report)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    bar = action.endswith("-bar")
    seen = read_until(master, b"to go" if bar else b"ready")
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
    # Both to their ends: what the command showed last may still be in the terminal when its shell has gone.
    said = {reading: b"", master: b""}
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
    if bar:
        # What stands in the line that the cursor is in, once its last erasure is done.
        line = re.split(rb"\n|\x1b\[2K", seen + said[master])[-1]
        shown.append(f"shown after the bar: {line!r}")
    os.waitpid(leader, 0)
    print("\n".join(sorted(said[reading].decode().splitlines() + shown)))


main()
