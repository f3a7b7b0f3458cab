"""Numbers of processes that are passed on at once: whoever signals a tree must meet nobody else.

    unshare --user --map-root-user --pid --fork --mount-proc python3 reuse.py PIPECLOG ROUNDS

A member of a watched tree ends while the watch passes a signal on, and a stranger gets the member's number (ns_last_pid in
namespaces(7)). Says how many numbers were passed on, and how many strangers had the signal.
"""

import os
import signal
import subprocess
import sys

# The command that is watched: starts a member, ends it, and counts the signals that it had itself.
TREE = """
import os, signal
count = 0
def had(*_):
    global count
    count += 1
    os.write(1, b"had\\n")
signal.signal(signal.SIGUSR1, had)
for word in iter(lambda: os.read(0, 1), b""):
    if word == b"n":
        # Blocked before there is a member: it is the tree alone that answers.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        member = os.fork()
        if member == 0:
            signal.pause()
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        os.write(1, b"%d\\n" % member)
    else:
        os.kill(member, signal.SIGKILL)
        os.waitpid(member, 0)
        os.write(1, b"gone\\n")
"""


def stranger(number):
    """A process of this number, if it is free; its pid, and the end of a pipe that ends it."""
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(number - 1))
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(signal.SIGUSR1 in signal.sigpending())
    os.close(read)
    return pid, write


def main():
    program, rounds = sys.argv[1], int(sys.argv[2])
    watch = subprocess.Popen(
        [program, "watch", "--", sys.executable, "-c", TREE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    tell = lambda word: os.write(watch.stdin.fileno(), word)
    hear = lambda: watch.stdout.readline().decode().strip()
    passed_on = wrong = 0
    for _ in range(rounds):
        tell(b"n")
        member = int(hear())
        watch.send_signal(signal.SIGUSR1)
        tell(b"e")
        # In either order: the tree has the signal when it comes to it.
        answers = []
        while "gone" not in answers:
            answers.append(hear())
        pid, end = stranger(member)
        passed_on += pid == member
        if "had" not in answers:
            answers.append(hear())
        # When the tree has the second one, whoever was to have the first one has it.
        for _ in range(2):
            watch.send_signal(signal.SIGUSR1)
            hear()
        os.close(end)
        wrong += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    watch.stdin.close()
    watch.wait()
    print(f"{passed_on} passed on, {wrong} wrong")


main()
