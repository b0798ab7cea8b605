#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""That the table finds what differs, and finds nothing where nothing does; and that lines.py finds the cases that show a line."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPARE = HERE / "compare.py"
RECORD = "== {0}iommufd a.one passed\nweir_call() = 0\n\tioctl 0x3b85: 0\n== {0}iommufd a.two skipped ROOT\n"


class Table(unittest.TestCase):
    def compare(self, simulated, real, reasons=""):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            for file, text in (("simulated", simulated), ("real", real), ("reasons", reasons)):
                if text is not None:
                    (directory / file).write_text(text)
            done = subprocess.run([sys.executable, COMPARE, "--simulated", directory / "simulated", "--real", directory / "real",
                                   "--not-compared", directory / "reasons"], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    def test_alike(self):
        status, said = self.compare(RECORD.format("sim-"), RECORD.format(""))
        self.assertEqual(status, 0, said)
        self.assertIn("2 cases by 1 hosts (iommufd): 2 rows alike, 0 different, 0 not compared", said)

    def test_another_result_of_a_call(self):
        status, said = self.compare(RECORD.format("sim-").replace("0x3b85: 0", "0x3b85: EINVAL"), RECORD.format(""))
        self.assertEqual(status, 1)
        self.assertIn("a.one differs", said)
        self.assertIn("-\tioctl 0x3b85: EINVAL", said)

    def test_another_outcome(self):
        for real in ("passed", "failed", "skipped EDU0"):
            status, said = self.compare(RECORD.format("sim-"), RECORD.format("").replace("skipped ROOT", real))
            self.assertEqual(status, 1, real)
            self.assertIn("1 different", said)

    def test_a_case_on_one_side_only(self):
        status, said = self.compare(RECORD.format("sim-"), RECORD.format("") + "== iommufd a.three passed\n")
        self.assertEqual(status, 1)
        self.assertIn("ran on the real host only", said)

    def test_what_cannot_be_compared_is_counted(self):
        real = RECORD.format("").replace("skipped ROOT", "passed")
        status, said = self.compare(RECORD.format("sim-"), real, "# comment\nROOT needs a reason\n")
        self.assertEqual(status, 0, said)
        self.assertIn("1 rows alike, 0 different, 1 not compared", said)

    def test_a_capability_more_that_is_missing_can_be_excused(self):
        simulated = RECORD.format("sim-").replace("skipped ROOT", "skipped EDU0, ROOT")
        real = RECORD.format("").replace("skipped ROOT", "skipped EDU0")
        self.assertEqual(self.compare(simulated, real, "ROOT why")[0], 0)
        self.assertEqual(self.compare(simulated, real, "EDU0 why")[0], 1)
        self.assertEqual(self.compare(real.replace("== ", "== sim-"), simulated.replace("sim-", ""), "ROOT why")[0], 1)

    def test_nothing_to_compare(self):
        self.assertEqual(self.compare("", "")[0], 1)

    def test_a_missing_record_names_its_lane(self):
        status, said = self.compare(RECORD.format("sim-"), None)
        self.assertEqual(status, 1)
        self.assertIn("is missing: it is made by the lane", said)


LINES = HERE / "lines.py"
SEEN = "# comment\nreason far  too far away\nA.1 one | a.one\nA.2 two | not: far\n"


class Lines(unittest.TestCase):
    def check(self, lines, simulated=RECORD.format("sim-"), real=RECORD.format(""), reasons=""):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            for file, text in (("lines", lines), ("simulated", simulated), ("real", real), ("reasons", reasons)):
                (directory / file).write_text(text)
            done = subprocess.run([sys.executable, LINES, "--lines", directory / "lines", "--simulated", directory / "simulated",
                                   "--real", directory / "real", "--not-compared", directory / "reasons"],
                                  capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    def test_all_seen(self):
        status, said = self.check(SEEN)
        self.assertEqual(status, 0, said)
        self.assertIn("2 lines: 1 on both, 0 on the real kernel only, 1 left out with a reason, 0 wrong", said)

    def test_a_case_that_did_not_pass(self):
        for lines, simulated, real in ((SEEN.replace("a.one", "a.two"), RECORD.format("sim-"), RECORD.format("")),
                                       (SEEN.replace("a.one", "a.three"), RECORD.format("sim-"), RECORD.format("")),
                                       (SEEN, RECORD.format("sim-").replace("passed", "skipped EDU0"), RECORD.format("")),
                                       (SEEN, RECORD.format("sim-"), RECORD.format("").replace("passed", "failed"))):
            status, said = self.check(lines, simulated, real)
            self.assertEqual(status, 1, said)
            self.assertIn("has not passed", said)

    def test_one_that_the_simulated_host_cannot_show(self):
        status, said = self.check(SEEN, RECORD.format("sim-").replace("passed", "skipped EDU0"), reasons="EDU0 why")
        self.assertEqual(status, 0, said)
        self.assertIn("0 on both, 1 on the real kernel only", said)

    def test_a_line_without_case_or_reason(self):
        for line in ("A.3 three", "A.3 three | ", "A.3 three | not: near"):
            self.assertEqual(self.check(SEEN + line + "\n")[0], 1, line)

    def test_a_reason_for_nothing(self):
        self.assertEqual(self.check(SEEN + "reason near  not far\n")[0], 1)


unittest.main()
