# SPDX-License-Identifier: MIT
"""Outcomes of tests, read from and written to XML: GoogleTest's, and JUnit's, from which it descends."""
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Test:
    name: str
    outcome: str
    message: str = ""
    seconds: float = 0.0


def read(path):
    """The tests in an XML file; raises ValueError if it is none."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path.name} is not XML: {error}") from error
    return [_test(suite, case) for suite in root.iter("testsuite") for case in suite.findall("testcase")]


def _test(suite, case):
    name = ".".join(filter(None, [case.get("classname") or suite.get("name"), case.get("name")]))
    seconds = float(case.get("time") or 0)
    bad = case.findall("failure") + case.findall("error")
    if bad:
        return Test(name, FAILED, "\n".join(e.text or e.get("message", "") for e in bad), seconds)
    skip = case.find("skipped")
    # GoogleTest lists disabled tests, too: they did not run.
    if skip is not None or case.get("status") == "notrun" or case.get("result") == "suppressed":
        return Test(name, SKIPPED, "" if skip is None else skip.get("message", ""), seconds)
    return Test(name, PASSED, "", seconds)


def write(path, suite_name, tests):
    counts = count(tests)
    suite = ElementTree.Element("testsuite", name=suite_name, tests=str(len(tests)), failures=str(counts[FAILED]),
                                skipped=str(counts[SKIPPED]), errors="0")
    for test in tests:
        case = ElementTree.SubElement(suite, "testcase", classname=suite_name, name=test.name, time=f"{test.seconds:.3f}")
        if test.outcome == FAILED:
            ElementTree.SubElement(case, "failure", message=test.message.split("\n")[0]).text = test.message
        elif test.outcome == SKIPPED:
            ElementTree.SubElement(case, "skipped", message=test.message)
    ElementTree.indent(suite)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def count(tests):
    """How many of each outcome."""
    return Counter(test.outcome for test in tests)
