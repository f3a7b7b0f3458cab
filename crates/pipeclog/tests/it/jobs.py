"""A hang as the foreground and as a background job of an interactive shell, and what `pipeclog diagnose` says of it.

Usage: jobs.py SHELL...; prints the confidence of each deadlock, one a line, with what the shell did meanwhile.
"""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time

BOUND = 60
HANG = b"pipeclog capture -s wait_then_read -- head -c 70000 /dev/zero >/dev/null"


def below(pid):
    """Those that descend from a process, its children first."""
    found = [pid]
    for parent in found:
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found[1:]


def sleeps_in(pid, name, call):
    """Whether a process of that name is blocked in that call."""
    try:
        with open(f"/proc/{pid}/comm") as comm, open(f"/proc/{pid}/syscall") as syscall:
            return comm.read() == f"{name}\n" and syscall.read().split()[0] in call
    except OSError:
        return False


def await_one(leader, master, name, call, others=()):
    """The process below the shell that sleeps so; what the terminal shows is read meanwhile."""
    end = time.monotonic() + BOUND
    shown = b""
    while time.monotonic() < end:
        for pid in below(leader):
            if pid not in others and sleeps_in(pid, name, call):
                return pid
        if select.select([master], [], [], 0.02)[0]:
            shown += os.read(master, 4096)
    sys.exit(f"no {name} came to sleep in {BOUND} s: {shown!r}")


def ask(pid, what, *options):
    command = ["pipeclog", "diagnose", "--format", "json", *options, str(pid)]
    report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    assumed = [one["assumption"]["assumes"] for one in report["assumptions"]]
    # Whether an alarm is set somewhere on the machine is not asked here.
    print(what, report["verdict"], report["confidence"], [one for one in assumed if one != "no_alarm"])


def parent(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


def main():
    leader, master = pty.fork()
    if leader == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    write, sleep = ("1", "64"), ("35", "230", "101", "115")
    try:
        os.write(master, HANG + b"\n")
        child = await_one(leader, master, "head", write)
        ask(parent(child), "foreground")
        os.kill(parent(child), signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
        os.write(master, HANG + b" &\n")
        child = await_one(leader, master, "head", write, [child])
        ask(parent(child), "background")
        os.write(master, b"sleep 600 &\n")
        timer = await_one(leader, master, "sleep", sleep)
        ask(parent(child), "beside a timer")
        os.write(master, b"sleep 601\n")
        foreground = await_one(leader, master, "sleep", sleep, [timer])
        ask(parent(child), "behind a timer")
        os.kill(foreground, signal.SIGKILL)
        os.write(master, HANG + b"\n")
        child = await_one(leader, master, "head", write, [child])
        with tempfile.NamedTemporaryFile() as looks:
            ask(parent(child), "saved", "--save", looks.name)
            # They show neither its other jobs nor who could signal it.
            ask(leader, "the shell from these", "--from", looks.name)
        ask(leader, "the shell")
    finally:
        for pid in [*reversed(below(leader)), leader]:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(leader, 0)


main()
