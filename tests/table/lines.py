#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""That what was once seen on a kernel is seen again in each run: on the real kernel and on the simulated one.

    lines.py --lines FILE --simulated RECORD... --real RECORD... [--not-compared FILE] [--junit FILE]

FILE (vm-lines) has lines "SECTION what | SUITE.CASE ..." and "SECTION what | not: REASON", and says what the reasons are. A case
that is named must have passed on a real host and on the simulated one beside it; a simulated host may have skipped it for a
capability that --not-compared gives a reason for. A reason that is not explained, or not used, is an error as well.
"""
import argparse
import sys
from xml.sax.saxutils import quoteattr, escape

from compare import excused, read, read_reasons


def parse(path):
    """The reasons, and [(what, cases, reason)] of the lines."""
    reasons, lines = set(), []
    with open(path, encoding="utf-8") as text:
        for line in text.read().splitlines():
            if line.startswith("reason "):
                reasons.add(line.split()[1])
            elif line.strip() and not line.startswith("#"):
                what, _, where = line.partition(" | ")
                cases, reason = where.split(), None
                if cases[:1] == ["not:"]:
                    cases, reason = [], " ".join(cases[1:])
                lines.append((" ".join(what.split()), cases, reason))
    return reasons, lines


def trouble_with_case(case, simulated, real, reasons):
    """Why the case does not show what it is said to show; or None."""
    hosts = [host for host in real if real[host].get(case, ("", 0))[0] == "passed"]
    if not hosts:
        return f"{case} has not passed on a real host"
    for host in hosts:
        there = simulated.get(f"sim-{host}", {}).get(case)
        if there and (there[0] == "passed" or excused(there, real[host][case], reasons)):
            return None
    return f"{case} has not passed on a simulated host"


def trouble_with(line, known, simulated, real, reasons):
    """What is wrong with a line, as a list of texts."""
    what, cases, reason = line
    if reason is not None:
        return [] if reason in known else [f"{what}: nobody says what the reason '{reason}' is"]
    if not cases:
        return [f"{what}: neither a case nor a reason"]
    return [trouble for trouble in (trouble_with_case(case, simulated, real, reasons) for case in cases) if trouble]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", required=True)
    parser.add_argument("--simulated", nargs="+", required=True)
    parser.add_argument("--real", nargs="+", required=True)
    parser.add_argument("--not-compared")
    parser.add_argument("--junit")
    options = parser.parse_args()

    simulated, real = read(options.simulated), read(options.real)
    reasons = read_reasons(options.not_compared)
    known, lines = parse(options.lines)
    xml, failures, left_out = [], 0, 0
    for line in lines:
        trouble = trouble_with(line, known, simulated, real, reasons)
        result = ""
        if trouble:
            failures += 1
            result = f"<failure>{escape(chr(10).join(trouble))}</failure>"
            print(line[0], *("    " + text for text in trouble), sep="\n")
        elif line[2]:
            left_out += 1
            result = "<skipped/>"
        xml.append(f"<testcase classname=\"table.lines\" name={quoteattr(line[0])}>{result}</testcase>")
    for reason in sorted(known - {line[2] for line in lines}):
        failures += 1
        print(f"nothing is left out for the reason '{reason}'")
        xml.append(f"<testcase classname=\"table.lines\" name={quoteattr(reason)}><failure>not used</failure></testcase>")
    if options.junit:
        with open(options.junit, "w", encoding="utf-8") as out:
            out.write(f'<testsuites><testsuite name="lines" tests="{len(xml)}" failures="{failures}" '
                      f'skipped="{left_out}">{"".join(xml)}</testsuite></testsuites>\n')
    print(f"{len(lines)} lines: {len(lines) - failures - left_out} seen again, {left_out} left out with a reason, {failures} wrong")
    return 1 if failures or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
