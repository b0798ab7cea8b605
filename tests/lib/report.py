# SPDX-License-Identifier: MIT
"""What tests/run prints, but for its last line."""
import re
import signal
import sys
from collections import Counter

from results import FAILED, PASSED, SKIPPED, count

TAIL = 60  # lines of a command's output that are shown when it fails without saying which test
LINES = 60  # lines shown for one failed test
TESTS = 10  # failed tests of a lane that are shown with their output; the others by name

RUN = "[ RUN      ] "
END = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] ")


def listing(lanes):
    return [f"{lane.name:19} {lane.about}{' (--long)' if lane.long else ''}" for lane in lanes]


def watching(lane, what):
    """Tell someone who watches what is going on; the next line overwrites it."""
    if sys.stdout.isatty():
        print(f"\r\033[K{lane.name:19} {what} ...", end="", flush=True)


def finished(run):
    counts = count(run.tests)
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    print(f"{run.lane.name:19} {counts[PASSED]:5} passed {counts[FAILED]:4} failed {counts[SKIPPED]:4} skipped "
          f"{run.seconds:7.1f} s")
    # "needs NESTING: a second reason" counts with NESTING; GoogleTest puts file and line above.
    reasons = Counter(test.message.split("\n")[-1].split(":")[0] for test in run.tests if test.outcome == SKIPPED)
    for reason, number in reasons.most_common():
        print(f"    {number:5} skipped: {reason or 'disabled'}")
    failed = [test for test in run.tests if test.outcome == FAILED]
    for test in failed[:TESTS]:
        print(f"  FAILED {test.name}")
        shown = test.message.splitlines()
        print("".join(f"    {line}\n" for line in shown[:LINES]), end="")
        if len(shown) > LINES:
            print(f"    ... and {len(shown) - LINES} more lines")
    for test in failed[TESTS:]:
        print(f"  FAILED {test.name}")
    if failed:
        print(f"  all output: {run.directory}")
    sys.stdout.flush()


def said(status):
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def ended(log, how):
    """How a program ended, and in which of its tests if it was in one."""
    test = None
    for line in open(log, errors="replace"):
        if line.startswith(RUN):
            test = line[len(RUN):].strip()
        elif END.match(line):
            test = None
    return f"{how}, in {test}" if test else how


def printed_by(log, name):
    """The part of a GoogleTest program's output that belongs to one test."""
    lines = []
    inside = False
    for line in open(log, errors="replace"):
        if line.startswith(RUN):
            inside = line[len(RUN):].strip() == name
        elif END.match(line):
            if inside:
                break
        elif inside:
            lines.append(line)
    return "".join(lines)
