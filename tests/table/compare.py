#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The conformance table: what each case saw on the simulated hosts beside what it saw on the real kernel.

    compare.py --simulated RECORD... --real RECORD... [--junit FILE] [--table FILE]

A record (weir-conformance --record) has a line "== HOST SUITE.CASE OUTCOME" for each case, and below it a line for each check and
each system call. Simulated host "sim-X" is compared with real host "X", line by line; any difference is a failure, whichever of the
two is wrong. A case that only one of the two ran is a difference too.
"""
import argparse
import collections
import difflib
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


def differences(simulated, real):
    """The first lines in which the two differ, or [] when they are alike."""
    if simulated is None or real is None:
        return [f"ran on the {'real' if simulated is None else 'simulated'} host only"]
    if simulated[0] != real[0]:
        return [f"simulated: {simulated[0]}", f"real: {real[0]}"]
    return list(difflib.unified_diff(simulated[1], real[1], "simulated", "real", lineterm="", n=2))[:40]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--simulated", nargs="+", required=True)
    parser.add_argument("--real", nargs="+", required=True)
    parser.add_argument("--junit")
    parser.add_argument("--table")
    options = parser.parse_args()

    simulated, real = read(options.simulated), read(options.real)
    pairs = [host for host in sorted(real) if f"sim-{host}" in simulated]
    cases = sorted({case for host in pairs for case in (*real[host], *simulated[f"sim-{host}"])})
    rows, failures, xml = [], 0, []
    for case in cases:
        cells = []
        for host in pairs:
            difference = differences(simulated[f"sim-{host}"].get(case), real[host].get(case))
            outcome = (real[host].get(case) or simulated[f"sim-{host}"].get(case))[0]
            cells.append("DIFFERS" if difference else outcome)
            xml.append(f"<testcase classname={quoteattr('table.' + host)} name={quoteattr(case)}>")
            if difference:
                failures += 1
                print(f"{host}: {case} differs", *("    " + line for line in difference), sep="\n")
                xml.append(f"<failure>{escape(chr(10).join(difference))}</failure>")
            xml.append("</testcase>")
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
                      f'failures="{failures}">{"".join(xml)}</testsuite></testsuites>\n')
    print(f"{len(cases)} cases by {len(pairs)} hosts ({', '.join(pairs)}): "
          f"{len(cases) * len(pairs) - failures} rows alike, {failures} different")
    return 1 if failures or not pairs or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
