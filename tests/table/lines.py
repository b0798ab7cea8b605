#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""That what was once seen on a kernel is seen again in each run: on the real kernel and on the simulated one.

    lines.py --lines FILE --simulated RECORD... --real RECORD... [--not-compared FILE] [--junit FILE]

FILE (vm-lines) has lines "SECTION what | SUITE.CASE ..." and "SECTION what | not: REASON", and says what the reasons are. A case
that is named must have passed on a real host and on the simulated one beside it; a simulated host may have skipped it for a
capability that --not-compared gives a reason for. A reason that is not explained, or not used, is an error as well.
"""
import argparse
import collections
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


BOTH, REAL_ONLY, LEFT_OUT, WRONG = "on both", "on the real kernel only", "left out with a reason", "wrong"


def see_case(case, simulated, real, reasons):
    """Where the case shows what it is said to show; and the trouble with it, if it does not."""
    hosts = [host for host in real if real[host].get(case, ("", 0))[0] == "passed"]
    there = [(simulated.get(f"sim-{host}", {}).get(case), real[host][case]) for host in hosts]
    if not hosts:
        return WRONG, f"{case} has not passed on a real host"
    if any(result and result[0] == "passed" for result, _ in there):
        return BOTH, None
    if any(excused(result, beside, reasons) for result, beside in there):
        return REAL_ONLY, None
    return WRONG, f"{case} has not passed on a simulated host"


def see(line, known, simulated, real, reasons):
    """The same of a line, with a list of troubles."""
    what, cases, reason = line
    if reason is not None:
        return (LEFT_OUT, []) if reason in known else (WRONG, [f"{what}: nobody says what the reason '{reason}' is"])
    if not cases:
        return WRONG, [f"{what}: neither a case nor a reason"]
    seen = [see_case(case, simulated, real, reasons) for case in cases]
    where = {where for where, _ in seen}
    return next(state for state in (WRONG, REAL_ONLY, BOTH) if state in where), [trouble for _, trouble in seen if trouble]


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
    xml, count = [], collections.Counter()
    for line in lines:
        where, trouble = see(line, known, simulated, real, reasons)
        count[where] += 1
        result = "" if where == BOTH else "<skipped/>"
        if trouble:
            result = f"<failure>{escape(chr(10).join(trouble))}</failure>"
            print(line[0], *("    " + text for text in trouble), sep="\n")
        xml.append(f"<testcase classname=\"table.lines\" name={quoteattr(line[0])}>{result}</testcase>")
    for reason in sorted(known - {line[2] for line in lines}):
        count[WRONG] += 1
        print(f"nothing is left out for the reason '{reason}'")
        xml.append(f"<testcase classname=\"table.lines\" name={quoteattr(reason)}><failure>not used</failure></testcase>")
    if options.junit:
        with open(options.junit, "w", encoding="utf-8") as out:
            out.write(f'<testsuites><testsuite name="lines" tests="{len(xml)}" failures="{count[WRONG]}" '
                      f'skipped="{count[REAL_ONLY] + count[LEFT_OUT]}">{"".join(xml)}</testsuite></testsuites>\n')
    print(f"{len(lines)} lines:", ", ".join(f"{count[where]} {where}" for where in (BOTH, REAL_ONLY, LEFT_OUT, WRONG)))
    return 1 if count[WRONG] or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
