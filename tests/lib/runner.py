# SPDX-License-Identifier: MIT
"""tests/run: runs lanes, one after the other or beside their neighbours, and adds up what they report."""
import argparse
import functools
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

import builds
import process
import report
import results
from lanes import LANES
from results import FAILED, PASSED, SKIPPED, Test

RESULTS = Path("build/results")
MOST_BESIDE = 4  # steps; a virtual machine has 4 GB of memory


@functools.cache
def packages(group):
    """Install a group of packages. What that prints is for the user to see, so it goes to no log."""
    return subprocess.run([".ci/packages", group], stdin=subprocess.DEVNULL).returncode == 0


class LaneRun:
    """One lane, from an empty results directory to its list of tests."""

    def __init__(self, lane, env):
        self.lane = lane
        self.env = env
        self.directory = RESULTS / lane.name
        self.log = self.directory / "output.txt"
        self.tests = []
        self.own = []  # of them, those that no XML file has yet
        self.seconds = 0.0
        self.clock = None  # runs from when the first step does
        self.starting = threading.Lock()
        self.steps = []  # that run or will, in order

    def begin(self, pool, locks):
        """Prepare the lane, and have its steps run. The directory is its own until @locks are let go."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        locks.enter_context(builds.only_one(RESULTS / f".{self.lane.name}.lock"))
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        if self.prepare():
            self.steps = [pool.submit(self.run_step, step) for step in self.lane.steps]

    def finish(self):
        """Wait for the steps."""
        for step in self.steps:
            step.result()
        if self.own:
            results.write(self.directory / "lane.xml", self.lane.name, self.own)

    def fail(self, name, message="", log=None):
        lines = process.tail(log or self.log, report.TAIL) if (log or self.log).exists() else []
        self.add(Test(name, FAILED, "\n".join(filter(None, [message, *lines]))))

    def add(self, test):
        self.tests.append(test)
        self.own.append(test)

    def prepare(self):
        lane = self.lane
        for group in lane.packages:
            if not packages(group):
                self.fail(f"packages of the group {group}")
                return False
        if lane.build:
            report.watching(lane, f"building {builds.directory(lane.build)}/")
            build_log = RESULTS / f"build-{lane.build}.txt"
            known = builds.is_done(lane.build)
            if not builds.make(lane.build, build_log):
                self.fail(f"build {lane.build}", f"failed, see {build_log}", log=self.log if known else build_log)
                return False
        for command in lane.prepare:
            report.watching(lane, f"preparing, see {self.log}")
            if process.run(command, self.log, self.env) != 0:
                self.fail(f"prepare: {command}")
                return False
        return True

    def left(self):
        """How much is left of the budget, in seconds."""
        with self.starting:
            self.clock = self.clock or process.Clock(self.lane.budget)
            return self.clock.left()

    def run_step(self, step):
        left = self.left()
        if not left:
            return
        report.watching(self.lane, f"running {step.name}")
        build = builds.directory(self.lane.build).absolute() if self.lane.build else ""
        log = self.directory / f"{step.name}.txt"
        status = process.run(step.command.format(build=build, results=self.directory.absolute()), log, self.env, left)
        self.seconds = self.clock.spent()
        seen = self.read_step(step, log) if step.xml else []
        if status is None:
            self.fail(step.name, report.ended(log, f"killed: the lane's budget of {self.lane.budget} s is spent"), log)
        elif not step.xml:
            self.add(Test(step.name, PASSED)) if status == 0 else self.fail(step.name, f"exit status {status}", log)
        elif status != 0 and not any(test.outcome == FAILED for test in seen):
            self.fail(step.name, report.ended(log, report.said(status)), log)
        elif not any(test.outcome in (PASSED, FAILED) for test in seen):
            self.fail(step.name, "no test was executed", log)

    def read_step(self, step, log):
        """The tests in the XML files of a step, each with what it printed."""
        seen = []
        for path in sorted(self.directory.glob(step.xml)):
            try:
                seen += results.read(path)
            except (ValueError, OSError) as error:
                seen.append(Test(step.name, FAILED, str(error)))
                self.own.append(seen[-1])
        for test in seen:
            if test.outcome == FAILED:
                test.message = report.printed_by(log, test.name) or test.message
        self.tests += seen
        return seen


@contextmanager
def workers(number):
    """Threads for steps. Ended from outside, they end what they started."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        process.end_all()
        raise
    pool.shutdown()


def groups(lanes):
    """Neighbours that may run beside one another are together, any other lane is alone."""
    for beside, neighbours in itertools.groupby(lanes, key=lambda lane: lane.beside):
        yield from [list(neighbours)] if beside else ([lane] for lane in neighbours)


def run_group(lanes, env):
    """Each lane, as soon as it and those before it are through."""
    runs = [LaneRun(lane, env) for lane in lanes]
    with ExitStack() as locks, workers(min(os.cpu_count(), MOST_BESIDE) if lanes[0].beside else 1) as pool:
        for run in runs:
            run.begin(pool, locks)
        for run in runs:
            run.finish()
            yield run


def choose(names, long):
    known = {lane.name: lane for lane in LANES}
    for name in names:
        if name not in known:
            sys.exit(f"no lane {name}; there are: {', '.join(known)}")
    return [known[name] for name in names] or [lane for lane in LANES if long or not lane.long]


def collect(run, where):
    where.mkdir(parents=True, exist_ok=True)
    for path in run.directory.glob("*.xml"):
        shutil.copy(path, where / f"{run.lane.name}.{path.name}")


def main():
    options = argparse.ArgumentParser(prog="tests/run", description="Build and run the tests. See docs/testing.md.")
    options.add_argument("--list", action="store_true", help="list the lanes")
    options.add_argument("--long", action="store_true", help="run what takes long, too")
    options.add_argument("--junit", type=Path, metavar="DIR", help="copy the results, as JUnit XML, to this directory")
    options.add_argument("lanes", nargs="*", metavar="LANE")
    options = options.parse_args()
    if options.list:
        print("\n".join(report.listing(LANES)))
        return 0

    # Ended from outside, a run still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    env = {"WEIR_LONG": "1"} if options.long else {}
    tests = []
    lanes = choose(options.lanes, options.long)
    for run in itertools.chain.from_iterable(run_group(group, env) for group in groups(lanes)):
        report.finished(run)
        tests += run.tests
        if options.junit:
            collect(run, options.junit)
    counts = results.count(tests)
    print(f"{counts[PASSED]} passed, {counts[FAILED]} failed, {counts[SKIPPED]} skipped", flush=True)
    return 1 if counts[FAILED] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
