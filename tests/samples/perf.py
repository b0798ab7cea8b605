#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether weir-nvme-perf does what it is asked for, and no more, and what it says of it adds up. Each way to run it is one test.

    perf.py --build DIR [--junit FILE]                               on a simulated host, whose disk is a file that is looked at afterwards
    perf.py --build DIR [--junit FILE] --device ADDRESS [--backend NAME]     on a real controller, whose disk is overwritten
"""
import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.append(str(HERE.parent / "lib"))

from results import FAILED, PASSED, Test, write  # noqa: E402

MIB = 1 << 20
PERCENTILES = {"latency_p50_ns": 0.5, "latency_p90_ns": 0.9, "latency_p99_ns": 0.99, "latency_p99_9_ns": 0.999, "latency_p99_99_ns": 0.9999}


def expect(true, what):
    if not true:
        raise AssertionError(what)


class Program:
    def __init__(self, options, scratch):
        self.path = options.build.resolve() / "samples/weir-nvme-perf"
        self.image = None
        self.where = ["--backend", options.backend, options.device or ""]
        if not options.device:
            self.image = scratch / "disk.img"
            self.image.write_bytes(os.urandom(4 * MIB))
            self.where = ["--simulate", str(self.image)]

    def run(self, *arguments, status=0):
        """What it said, and complained of."""
        done = subprocess.run([self.path, *map(str, arguments), *self.where], capture_output=True, text=True, timeout=120)
        expect(done.returncode == status, f"{arguments}: exit status {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    def measure(self, *arguments):
        return json.loads(self.run("--json", *arguments)[0])


def adds_up(run, requests, size):
    """Counts are those of the request; percentiles are those of the histogram; rates are those of the time."""
    rows = run["latency_histogram_ns"]
    expect(run["requests"] == requests and run["bytes"] == requests * size, f"{run['requests']} requests with {run['bytes']} bytes")
    expect(sum(count for _, count in rows) == requests, "the histogram has another number of requests")
    expect(rows == sorted(rows) and all(count > 0 for _, count in rows), "the histogram is not in order")
    expect(run["latency_min_ns"] <= rows[0][0] and rows[-1][0] * 63 / 65 <= run["latency_max_ns"] <= rows[-1][0], "its ends are wrong")
    expect(run["latency_min_ns"] <= run["latency_mean_ns"] <= run["latency_max_ns"], "the mean is not between the ends")
    for name, part in PERCENTILES.items():
        below, rank = 0, part * requests
        for highest, count in rows:
            below += count
            if below >= rank - 1e-6:
                break
        expect(run[name] == min(highest, run["latency_max_ns"]), f"{name} is {run[name]}, by the histogram {highest}")
    expect(math.isclose(run["requests_per_second"], requests / run["seconds"], rel_tol=0.01), "the rate is not that of the time")
    expect(math.isclose(run["bytes_per_second"], requests * size / run["seconds"], rel_tol=0.01), "nor is that of bytes")
    expect(run["latency_max_ns"] <= run["seconds"] * 1e9 * 1.01, "a request took longer than all of it")
    expect(run["cap_eff"] == 0, "it has kept capabilities")


def reads_in_order(program):
    adds_up(program.measure("-c", 700), 700, 4096)


def random_reads_by_two_threads(program):
    run = program.measure("-c", 1001, "-j", 2, "-q", 7, "-s", "8K", "--random", "--interrupts")
    adds_up(run, 1001, 8192)
    expect((run["pattern"], run["threads"], run["queue_depth"], run["completion"]) == ("random", 2, 7, "interrupts"), "it did something else")


def other_ways(program):
    for way in (["--hybrid"], ["--sgl"], ["--shadow-doorbells"], ["--sgl", "--shadow-doorbells", "--interrupts", "-j", 2]):
        adds_up(program.measure("-c", 200, "-q", 8, "-s", "64K", *way), 200, 65536)


def one_at_a_time(program):
    adds_up(program.measure("-c", 50, "-q", 1, "-s", 512), 50, 512)


def more_requests_than_places(program):
    adds_up(program.measure("-c", 100, "-q", 16, "--offset", 8, "--length", 17), 100, 4096)


def as_long_as_it_is_told_to(program):
    run = program.measure("-t", 0.5, "--random")
    expect(0.45 < run["seconds"] < 10 and run["requests"] > 0, f"{run['requests']} requests in {run['seconds']} s")
    adds_up(run, run["requests"], 4096)


def a_signal_stops_it(program):
    with subprocess.Popen([program.path, "--json", "-t", "600", *program.where], stdout=subprocess.PIPE, text=True) as running:
        time.sleep(2)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[0]
    expect(running.returncode == 130, f"exit status {running.returncode}")
    run = json.loads(said)
    adds_up(run, run["requests"], 4096)


def people_are_told_too(program):
    said, shown = program.run("-t", 1, "--progress")
    expect("requests/s" in said and "99.9 %" in said and "####" in said, said)
    expect("requests/s" in shown, "no progress was shown")


def makes_a_picture(program):
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / f"{i}.json" for i in range(2)]
        for file in files:
            program.run("--save", file, "-c", 300, "--random")
            adds_up(json.loads(file.read_text()), 300, 4096)
        picture = subprocess.run([TOP / "samples/nvme-perf/plot", *files], stdout=subprocess.PIPE, text=True, check=True).stdout
    svg = "{http://www.w3.org/2000/svg}"
    plots = [plot for plot in ElementTree.fromstring(picture).iter(f"{svg}g") if plot.get("id", "").startswith("gnuplot_plot_")]
    points = [max(len(path.get("d").split()) for path in plot.iter(f"{svg}path")) for plot in plots]
    expect(len(points) == 2 and min(points) > 3, "there are not two curves in it")


def refuses_what_cannot_be(program):
    for status, *arguments in ((2, "-w"), (2, "-q", 0), (2, "-j", 65), (2, "-t", -1), (2, "-t", "x"), (2, "-s", "4Q"), (2, "--backend", "none"),
                               (1, "-s", 1000), (1, "-s", "64M"), (1, "-q", 100000), (1, "--offset", 1 << 40), (1, "--length", 1 << 40),
                               (1, "--length", 7, "-c", 1), (1, "--length", 8, "-j", 2), (1, "-n", 9)):
        expect(program.run(*arguments, status=status)[1], f"{arguments}: refused without a word")


def changed(before, after, size):
    """Which requests' places are another than before."""
    return [i for i in range(len(before) // size) if before[i * size:(i + 1) * size] != after[i * size:(i + 1) * size]]


def nothing_was_written(program):
    before = program.image.read_bytes()
    program.run("--write", "-c", 10, status=2)
    program.run("-c", 2000, "--random")
    expect(program.image.read_bytes() == before, "the disk has changed")


def writes_in_order_what_it_says(program):
    before = program.image.read_bytes()
    run = program.measure("--write", "--destroy-data", "-c", 96, "-s", "16K", "--offset", 64, "-q", 5)
    adds_up(run, 96, 16384)
    expect(changed(before, program.image.read_bytes(), 16384) == list(range(2, 98)), "these are not the places that should have been written")


def writes_at_random_within_bounds(program):
    before = program.image.read_bytes()
    adds_up(program.measure("--write", "--destroy-data", "--random", "-c", 100, "--offset", 80, "--length", 4000, "-j", 2), 100, 4096)
    places = changed(before, program.image.read_bytes(), 4096)
    expect(20 < len(places) <= 100 and places[0] >= 10 and places[-1] < 510, f"{len(places)} places, from {places[0]} to {places[-1]}")


def writes(program):
    adds_up(program.measure("--write", "--destroy-data", "-c", 300, "-s", "16K"), 300, 16384)
    adds_up(program.measure("--write", "--destroy-data", "--random", "-c", 300, "-s", "512K", "-q", 4, "-j", 2), 300, 524288)


def what_it_wrote_is_found(program):
    write = ("--write", "--destroy-data", "--verify")
    adds_up(program.measure(*write, "-c", 256), 256, 4096)
    adds_up(program.measure(*write, "-s", "64K", "-c", 16, "-j", 2, "--offset", 2048, "-q", 3, "--length", 2048), 16, 65536)
    for way in (["-c", 512], ["--random", "-c", 500, "-s", "32K", "-j", 2], ["-s", 512, "-c", 4096], ["-s", "256K", "-c", 8, "--sgl"]):
        program.run("--verify", "--length", 4096, *way)
    complaint = program.run("--verify", "-c", 1024, "--length", 4104, "-q", 1, status=3)[1]
    expect("block 4096 and following hold something else" in complaint, complaint)


def it_is_what_should_be_on_the_disk(program):
    program.run("--write", "--destroy-data", "--verify", "-c", 1024)
    program.run("--verify", "-c", 1024)
    with open(program.image, "r+b") as image:
        expect(all(int.from_bytes(image.read(8), "little") == at & ~4095 for at in range(0, 4 * MIB, 8)), "the disk holds something else")
        image.seek(2 * MIB + 4095)
        image.write(b"x")
    expect("block 4096 and" in program.run("--verify", "-c", 1024, status=3)[1], "another byte was not noticed")


EVERYWHERE = (reads_in_order, random_reads_by_two_threads, other_ways, one_at_a_time, more_requests_than_places, as_long_as_it_is_told_to,
              a_signal_stops_it, people_are_told_too, makes_a_picture, refuses_what_cannot_be, what_it_wrote_is_found)
SIMULATED = (nothing_was_written, writes_in_order_what_it_says, writes_at_random_within_bounds, it_is_what_should_be_on_the_disk)


def tested(case, program):
    begun = time.monotonic()
    try:
        case(program)
        outcome, why = PASSED, ""
    except (AssertionError, subprocess.SubprocessError, ValueError, KeyError, IndexError) as error:
        outcome, why = FAILED, f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - begun
    print(f"{'ok    ' if outcome == PASSED else 'FAILED'}  {case.__name__} ({seconds:.1f} s)" + (f"\n{why}" if why else ""))
    return Test(case.__name__, outcome, why, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--junit", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--backend", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        program = Program(options, Path(scratch))
        tests = [tested(case, program) for case in EVERYWHERE + ((writes,) if options.device else SIMULATED)]
    if options.junit:
        write(options.junit, f"perf.{options.backend}" if options.device else "perf", tests)
    return any(test.outcome == FAILED for test in tests)


if __name__ == "__main__":
    sys.exit(main())
