#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The conformance table: what each case saw on the simulated hosts beside what it saw on the real kernel.

    compare.py --simulated RECORD... --real RECORD... [--not-compared FILE] [--junit FILE] [--table FILE]

A record (weir-conformance --record) has a line "== HOST SUITE.CASE OUTCOME" for each case, and below it a line for each check and
each system call. Simulated host "sim-X" is compared with real host "X", line by line; any difference is a failure, whichever of the
two is wrong. A case that only one of the two ran is a difference too, unless it was skipped on the simulated host for a capability
that FILE says it cannot have (lines "CAPABILITY why").
"""
import argparse
import collections
import difflib
import os
import sys
from xml.sax.saxutils import quoteattr, escape


def read(paths):
    """{host: {case: (outcome, [line])}} of the records."""
    hosts = collections.defaultdict(dict)
    for path in paths:
        lines = None
        with open(path, encoding="utf-8", errors="replace") as record:
            for line in record.read().splitlines():
                if line.startswith("== "):
                    _, host, case, outcome = line.split(" ", 3)
                    lines = []
                    hosts[host][case] = (outcome.strip(), lines)
                elif lines is not None:
                    lines.append(line)
    return hosts


def missing(outcome):
    """The capabilities for which a case was skipped; none if it was not."""
    return set(outcome.removeprefix("skipped").replace(",", " ").split()) if outcome.startswith("skipped") else set()


def excused(simulated, real, reasons):
    """The capabilities that the simulated host lacked beyond the real one, if it could not be otherwise."""
    if not simulated or not real or not missing(real[0]) <= missing(simulated[0]):
        return []
    more = missing(simulated[0]) - missing(real[0])
    return sorted(more) if more <= set(reasons) else []


def differences(simulated, real):
    """The first lines in which the two differ, or [] when they are alike."""
    if simulated is None or real is None:
        return [f"ran on the {'real' if simulated is None else 'simulated'} host only"]
    if simulated[0] != real[0]:
        return [f"simulated: {simulated[0]}", f"real: {real[0]}"]
    return list(difflib.unified_diff(simulated[1], real[1], "simulated", "real", lineterm="", n=2))[:40]


def read_reasons(path):
    """{capability: why} of the file, or nothing without one."""
    if not path:
        return {}
    with open(path, encoding="utf-8") as lines:
        words = [line.split("#")[0].split(None, 1) for line in lines]
    return {word[0]: word[1].strip() for word in words if len(word) == 2}


def compare(case, host, simulated, real, reasons):
    """What the table says of a case on a host; its XML; and whether it is a failure, of which is told at once."""
    simulated, real = simulated[f"sim-{host}"].get(case), real[host].get(case)
    xml = f"<testcase classname={quoteattr('table.' + host)} name={quoteattr(case)}>"
    difference = differences(simulated, real)
    if not difference:
        return real[0], xml + "</testcase>", False
    lacking = excused(simulated, real, reasons)
    if lacking:
        return f"not compared: {', '.join(lacking)}", xml + "<skipped/></testcase>", False
    print(f"{host}: {case} differs", *("    " + line for line in difference), sep="\n")
    return "DIFFERS", f"{xml}<failure>{escape(chr(10).join(difference))}</failure></testcase>", True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulated", nargs="+", required=True)
    parser.add_argument("--real", nargs="+", required=True)
    parser.add_argument("--not-compared")
    parser.add_argument("--junit")
    parser.add_argument("--table")
    options = parser.parse_args()

    for path in (*options.simulated, *options.real):
        if not os.path.exists(path):
            lane = os.path.basename(os.path.dirname(os.path.abspath(path)))
            sys.exit(f"{path} is missing: it is made by the lane {lane}, which has to run before (tests/run {lane} ...)")
    simulated, real = read(options.simulated), read(options.real)
    reasons = read_reasons(options.not_compared)
    pairs = [host for host in sorted(real) if f"sim-{host}" in simulated]
    cases = sorted({case for host in pairs for case in (*real[host], *simulated[f"sim-{host}"])})
    rows, xml, failures, passed_over = [], [], 0, 0
    for case in cases:
        cells = []
        for host in pairs:
            cell, text, failed = compare(case, host, simulated, real, reasons)
            cells.append(cell)
            xml.append(text)
            failures += failed
            passed_over += cell.startswith("not compared")
        rows.append((case, cells))

    width = max((len(case) for case in cases), default=0)
    table = [" ".join([f"{'case':{width}}", *(f"{host + ' (sim = real)':24}" for host in pairs)])]
    table += [" ".join([f"{case:{width}}", *(f"{cell:24}" for cell in cells)]).rstrip() for case, cells in rows]
    if options.table:
        with open(options.table, "w", encoding="utf-8") as out:
            out.write("\n".join(table) + "\n")
    if options.junit:
        with open(options.junit, "w", encoding="utf-8") as out:
            out.write(f'<testsuites><testsuite name="table" tests="{len(cases) * len(pairs)}" '
                      f'failures="{failures}" skipped="{passed_over}">{"".join(xml)}</testsuite></testsuites>\n')
    print(f"{len(cases)} cases by {len(pairs)} hosts ({', '.join(pairs)}): "
          f"{len(cases) * len(pairs) - failures - passed_over} rows alike, {failures} different, {passed_over} not compared")
    return 1 if failures or not pairs or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
