#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The runner's promises: a copy of it runs lanes that go wrong in every way, in a checkout that has nothing else."""
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent

LANES = '''
from lane import Lane, Step, gtest, junit, script

XML = "python3 tests/xml.py {results}"
MEET = "touch {0}; for i in $(seq 50); do test -e {1} && exit; sleep 0.1; done; exit 1"
LANES = [
    Lane("good", "two pass, one is skipped", 60, [junit("a", XML + "/a.xml pass pass skip"), script("b", "true")]),
    Lane("bad", "one of two fails", 60, [junit("a", XML + "/a.xml pass fail --exit 1")]),
    Lane("script", "exits with 3", 60, [script("a", "sh -c 'echo the reason; exit 3'")]),
    Lane("lies", "all passed, it says, but exits with 1", 60, [junit("a", XML + "/a.xml pass --exit 1")]),
    Lane("crash", "dies in a test", 60, [junit("a", "sh -c 'echo \\"[ RUN      ] suite.case\\"; kill -SEGV $$'")]),
    Lane("silent", "writes no XML", 60, [junit("a", "true")]),
    Lane("broken", "writes something else", 60, [junit("a", "sh -c 'echo no >{results}/a.xml'")]),
    Lane("empty", "has no test", 60, [junit("a", XML + "/a.xml")]),
    Lane("skips", "runs no test", 60, [junit("a", XML + "/a.xml skip skip")]),
    Lane("slow", "takes too long, and its child as well", 1, [script("a", "sh -c 'sleep 77.125 & sleep 77.125'"), script("b", "true")]),
    Lane("endless", "does not end by itself", 60, [script("a", "sleep 88.125")], long=True),
    Lane("missing", "is not there", 60, [script("a", "tests/no-such-program")]),
    Lane("prepared", "cannot be prepared", 60, [script("a", "true")], prepare=["false"]),
    Lane("left", "passes if the other runs beside it", 60, [script("a", "sh -c '" + MEET.format("left", "right") + "'")], beside=True),
    Lane("right", "likewise", 60, [script("a", "sh -c '" + MEET.format("right", "left") + "'"), script("b", "true")], beside=True),
    Lane("endless-beside", "does not end by itself", 60, [script("a", "sleep 88.125"), script("b", "sleep 88.125")], long=True, beside=True),
    Lane("often", "only on demand", 60, [script("a", "sh -c 'test \\"$WEIR_LONG\\" = 1'")], long=True),
]
'''

# Writes what GoogleTest would.
XML = '''
import sys
path, *outcomes = sys.argv[1:]
status = int(outcomes.pop()) if "--exit" in outcomes else 0
bodies = {"pass": "", "fail": '<failure message="short">in full</failure>', "skip": '<skipped message="at&#10;needs MOON: clouds"/>'}
cases = [f'<testcase classname="suite" name="{i}" time="0.5">{bodies[o]}</testcase>' for i, o in enumerate(outcomes) if o in bodies]
open(path, "w").write(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
sys.exit(status)
'''


class Runner(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="weir-runner-")
        self.addCleanup(scratch.cleanup)
        self.top = Path(scratch.name)
        shutil.copytree(HERE, self.top / "tests/lib")
        (self.top / "tests/lanes.py").write_text(LANES)
        (self.top / "tests/xml.py").write_text(XML)

    def run_lanes(self, *arguments):
        done = subprocess.run([sys.executable, "tests/lib/runner.py", *arguments], cwd=self.top, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = done.stdout
        self.last = done.stdout.splitlines()[-1]
        return done.returncode

    def fails(self, lane, last, *texts):
        self.assertEqual(self.run_lanes(lane), 1, self.output)
        self.assertEqual(self.last, last)
        for text in texts:
            self.assertIn(text, self.output)

    def test_what_passes_and_is_skipped_is_counted(self):
        self.assertEqual(self.run_lanes("good"), 0, self.output)
        self.assertEqual(self.last, "3 passed, 0 failed, 1 skipped")
        self.assertIn("1 skipped: needs MOON", self.output)

    def test_a_failed_test_is_shown(self):
        self.fails("bad", "1 passed, 1 failed, 0 skipped", "FAILED suite.1", "in full")

    def test_a_script_is_one_test(self):
        self.fails("script", "0 passed, 1 failed, 0 skipped", "exit status 3", "the reason")

    def test_an_exit_status_cannot_be_hidden_by_xml(self):
        self.fails("lies", "1 passed, 1 failed, 0 skipped", "exit status 1")

    def test_a_crash_names_the_test(self):
        self.fails("crash", "0 passed, 1 failed, 0 skipped", "ended by SIGSEGV, in suite.case")

    def test_without_tests_a_lane_fails(self):
        for lane in ("silent", "empty"):
            self.fails(lane, "0 passed, 1 failed, 0 skipped", "no test was executed")
        self.fails("skips", "0 passed, 1 failed, 2 skipped", "no test was executed")

    def test_broken_xml_fails(self):
        self.fails("broken", "0 passed, 1 failed, 0 skipped", "a.xml is not XML")

    def test_a_lane_over_its_budget_is_killed_with_its_children(self):
        start = time.monotonic()
        self.fails("slow", "0 passed, 1 failed, 0 skipped", "the lane's budget of 1 s is spent")
        self.assertLess(time.monotonic() - start, 20)
        self.assertFalse(running("sleep", "77.125"))

    def test_ended_from_outside_it_leaves_nothing_behind(self):
        lanes = [("endless", 1), ("endless-beside", min(2, os.cpu_count()))]
        for (lane, steps), sig in itertools.product(lanes, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL]):
            with self.subTest(f"{lane} {sig.name}"):
                runner = subprocess.Popen([sys.executable, "tests/lib/runner.py", lane], cwd=self.top,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.assertTrue(soon(lambda: running("sleep", "88.125") == steps))
                runner.send_signal(sig)
                self.assertNotEqual(runner.wait(), 0)
                self.assertTrue(soon(lambda: not running("sleep", "88.125")))

    def test_a_command_that_is_not_there_fails(self):
        self.fails("missing", "0 passed, 1 failed, 0 skipped", "No such file")

    def test_a_lane_that_cannot_be_prepared_fails(self):
        self.fails("prepared", "0 passed, 1 failed, 0 skipped", "prepare: false")

    def test_long_lanes_run_on_demand(self):
        self.run_lanes("--long", "often")
        self.assertEqual(self.last, "1 passed, 0 failed, 0 skipped")
        self.run_lanes()
        self.assertNotIn("often", self.output)

    def test_all_lanes_are_added_up_and_collected(self):
        self.assertEqual(self.run_lanes("--junit", "collected", "good", "script", "bad"), 1)
        self.assertEqual(self.last, "4 passed, 2 failed, 1 skipped")
        self.assertEqual(sorted(path.name for path in (self.top / "collected").iterdir()),
                         ["bad.a.xml", "good.a.xml", "good.lane.xml", "script.lane.xml"])

    @unittest.skipIf(os.cpu_count() < 2, "one processor")
    def test_neighbours_run_beside_one_another_where_they_may(self):
        self.assertEqual(self.run_lanes("left", "right"), 0, self.output)
        self.assertEqual(self.last, "3 passed, 0 failed, 0 skipped")
        self.assertLess(self.output.index("left "), self.output.index("right "))

    def test_an_unknown_lane_is_refused(self):
        self.assertNotEqual(self.run_lanes("goood"), 0)
        self.assertIn("no lane goood; there are: good, bad", self.output)


def running(*command):
    """How many such processes there are."""
    wanted = "".join(f"{word}\0" for word in command).encode()
    return sum(command_line(path) == wanted for path in Path("/proc").glob("[0-9]*/cmdline"))


def command_line(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def soon(condition):
    """Whether it comes true in some seconds."""
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


if __name__ == "__main__":
    # A shell's background job ignores it, and so would what is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    unittest.main()
