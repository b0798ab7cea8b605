#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs for network cards, each on a simulated host of its own: what they say of their work, and what they refuse. Each way to run one is one test.

    network.py --build DIR [--junit FILE]
"""
import argparse
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.append(str(HERE.parent / "lib"))

from results import FAILED, PASSED, Test, write  # noqa: E402

BACKENDS = ["iommufd", "type1", "compat"]
# No machine has a device there.
NOWHERE = "ffff:ff:1f.7"


def expect(true, what):
    if not true:
        raise AssertionError(what)


class Programs:
    def __init__(self, build):
        self.folder = build.resolve() / "samples"

    def run(self, name, *arguments, status=0):
        """What it said, and complained of."""
        done = subprocess.run([self.folder / name, *arguments], capture_output=True, text=True, timeout=120)
        expect(done.returncode == status, f"{name} {arguments}: exit status {done.returncode}, not {status}\n{done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    def start(self, name, *arguments):
        return subprocess.Popen([self.folder / name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ping_answers_each_question(programs):
    for arguments in [["--backend", name] for name in BACKENDS] + [["--poll"]]:
        out, _ = programs.run("weir-ping", "--simulate", "--count", "200", *arguments)
        expect("200 pings sent from the other port, each answered" in out, out)
        expect("200 pings answered, 1 questions who this is; 0 other frames; 0 answers for which there was no room" in out, out)


def l2fwd_forwards_each_frame(programs):
    for arguments in [["--backend", name] for name in BACKENDS] + [["--poll"], ["--max-frame", "9018"]]:
        out, complaints = programs.run("weir-l2fwd", "--simulate", "--count", "500", *arguments)
        expect("500 frames each way, each as it was sent" in out, out)
        expect(len(re.findall(r" 500 frames, .* 0 for which there was no room, 0 bad; the controller missed 0\n", out)) == 2, out)
        expect(complaints == "", "counters were drawn, and nobody looks: " + complaints)


def l2fwd_draws_live_counters(programs):
    """On one line, which is gone in the end; and the numbers grow."""
    program = programs.start("weir-l2fwd", "--simulate", "--count", "100000000", "--progress")
    time.sleep(3)
    program.send_signal(signal.SIGINT)
    out, drawn = (text.decode() for text in program.communicate(timeout=60))  # with their carriage returns
    expect(program.returncode == 0, f"exit status {program.returncode}\n{out}{drawn}")
    expect("\n" not in drawn and drawn.endswith("\r\033[K"), repr(drawn))
    there = [int(count) for count in re.findall(r"01\.0 to 0000:00:02\.0: (\d+) frames, \d+/s, [\d.]+ [KMG]?i?B/s", drawn)]
    expect(len(there) >= 2 and there == sorted(there) and there[-1] > there[0] > 0, repr(drawn))
    last = re.search(r"01\.0 to 0000:00:02\.0: (\d+) frames", out)
    expect(last and int(last[1]) >= there[-1], out)


def packet_dump_writes_what_was_sent(programs):
    for name in ["iommufd", "type1"]:
        out, _ = programs.run("weir-packet-dump", "--simulate", "--backend", name)
        sums = re.findall(r"[0-9a-f]{64}", out)
        expect(len(sums) == 2 and sums[0] == sums[1], out)


def what_makes_no_sense_is_refused(programs):
    for name, *arguments in [("weir-ping",), ("weir-ping", "--ip", "10.0.0", NOWHERE), ("weir-ping", "one", "other"),
                             ("weir-l2fwd", "one"), ("weir-l2fwd", "one", "other", "more"), ("weir-l2fwd", "--max-frame", "63", "--simulate"),
                             ("weir-l2fwd", "--max-frame", "9729", "--simulate"), ("weir-packet-dump", "one"),
                             # And programs for other devices: they read their command lines by the same code.
                             ("weir-handover-demo",), ("weir-handover-demo", "one", "other"), ("weir-nvme-read",), ("weir-p2p", "one"),
                             ("weir-nvme-vfs", "--vfs", "65", NOWHERE), ("weir-edu", "one", "other")]:
        _, complaints = programs.run(name, *arguments, status=2)
        expect(complaints.startswith(f"{name}: ") or "Usage" in complaints, complaints)


def a_device_that_is_not_there_is_told(programs):
    for name, *arguments in [("weir-ping", NOWHERE), ("weir-l2fwd", NOWHERE, NOWHERE), ("weir-packet-dump", NOWHERE, NOWHERE)]:
        out, complaints = programs.run(name, *arguments, status=1)
        expect(out == "" and complaints.count("\n") == 1 and complaints.startswith(f"{name}: "), out + complaints)


CASES = [ping_answers_each_question, l2fwd_forwards_each_frame, l2fwd_draws_live_counters, packet_dump_writes_what_was_sent,
         what_makes_no_sense_is_refused, a_device_that_is_not_there_is_told]


def tested(case, programs):
    start = time.monotonic()
    outcome, message = PASSED, ""
    try:
        case(programs)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        outcome, message = FAILED, str(error)
    print(f"{outcome:7} {case.__name__}" + (f"\n{message}" if message else ""), flush=True)
    return Test(case.__name__, outcome, message, time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--junit", type=Path)
    options = parser.parse_args()
    programs = Programs(options.build)
    tests = [tested(case, programs) for case in CASES]
    if options.junit:
        write(options.junit, "network", tests)
    return any(test.outcome == FAILED for test in tests)


if __name__ == "__main__":
    sys.exit(main())
