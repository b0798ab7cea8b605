# SPDX-License-Identifier: MIT
"""Running a command so that nothing of it stays: its output in a file, its time limited, its children ended with it."""
import os
import shlex
import signal
import subprocess
import threading
import time

GRACE = 5  # seconds between SIGTERM and SIGKILL; tests/vm/run ends its QEMU meanwhile

# Killed outright, this program cannot end what it started: then the kernel does.
DIES_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]


_lock = threading.Lock()
_running = set()
_over = False


def end_all():
    """End what runs in other threads, and start nothing more: someone wants this program to end."""
    global _over
    with _lock:
        _over = True
        children = list(_running)
    for child in children:
        end_group(child)


def _start(command, output, env):
    with _lock:
        if _over:
            raise OSError("not started: the run is being ended")
        child = subprocess.Popen([*DIES_WITH_US, *shlex.split(command)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 env={**os.environ, **(env or {})}, start_new_session=True)
        _running.add(child)
        return child


def end_group(child):
    """End a command and all that it started, which is in one process group."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sig)
        except ProcessLookupError:
            return
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue


def run(command, log, env=None, seconds=None):
    """Append the output of a command to the file @log. Returns its exit status (negative: ended by that signal), or None if
    it took longer than @seconds and was ended."""
    with open(log, "ab") as output:
        output.write(f"$ {command}\n".encode())
        output.flush()
        try:
            child = _start(command, output, env)
        except OSError as error:
            output.write(f"{error}\n".encode())
            return 127
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # Also when the command is through, or the user interrupts: what it left in the background ends here.
            end_group(child)
            with _lock:
                _running.discard(child)


def tail(log, lines):
    """The last lines of a file."""
    with open(log, errors="replace") as text:
        return text.read().splitlines()[-lines:]


class Clock:
    def __init__(self, budget):
        self.start = time.monotonic()
        self.budget = budget

    def spent(self):
        return time.monotonic() - self.start

    def left(self):
        return max(0.0, self.budget - self.spent())
