#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does what a page of documentation tells its reader to do. Each command is one test, in their order.

    check.py --build DIR [--junit FILE] PAGE...

A command is an indented line that begins with "$ "; what follows it, indented, its output has to have, in that order, among
other things. A program is a C block after "As `build/NAME`:". Commands are run where the page says they work: at the top of
the repository, with DIR for build/.
"""
import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "lib"))

from results import FAILED, PASSED, Test, write

TIMEOUT = 300
PROGRAM = re.compile(r"As `(build/[\w.-]+)`:\n\n```c\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(text):
    """(command, the lines of output that the page shows) of each."""
    found, within = [], False
    for line in text.splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
            within = True
        elif within and line.startswith("    "):
            found[-1][1].append(line[4:])
        else:
            within = False
    return found


def missing(shown, output):
    """The first of the shown lines that the output does not have after the one before it."""
    lines = iter(output.splitlines())
    return next((line for line in shown if line not in lines), None)


def run(command, shown, build):
    """What went wrong, or ""."""
    actual = re.sub(r"(?<![\w./-])build(?=/|\s|$)", str(build), command)
    try:
        done = subprocess.run(["bash", "-c", actual], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"$ {actual}\nhas not ended after {TIMEOUT} s"
    if done.returncode:
        return f"$ {actual}\n{done.stdout}exit status {done.returncode}"
    line = missing(shown, done.stdout)
    return "" if line is None else f"$ {actual}\n{done.stdout}does not have the line that the page shows: {line}"


def check(page, build):
    text = page.read_text()
    for name, program in PROGRAM.findall(text):
        (build / Path(name).relative_to("build")).write_text(program)
    for number, (command, shown) in enumerate(commands(text), 1):
        start = time.monotonic()
        problem = run(command, shown, build)
        yield Test(f"{page.stem}.{number}: {command[:60]}", FAILED if problem else PASSED, problem, time.monotonic() - start)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=Path, required=True)
    options.add_argument("--junit", type=Path)
    options.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    options = options.parse_args()

    tests = []
    for page in options.pages:
        for test in check(page, options.build):
            tests.append(test)
            print(f"{'FAILED' if test.outcome == FAILED else 'ok':6} {test.name}", *test.message.splitlines(), sep="\n    ", flush=True)
        if not any(test.name.startswith(page.stem) for test in tests):
            sys.exit(f"{page} shows no command")
    if options.junit:
        write(options.junit, "docs", tests)
    sys.exit(any(test.outcome == FAILED for test in tests))


if __name__ == "__main__":
    main()
