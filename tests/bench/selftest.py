#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""That the scripts named rates make of figures what they should: a table, and a plot with a dot for each ratio."""
import json
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Rates(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def rates(self, script, figures):
        """The table's rows, and the plot's texts."""
        svg = self.directory / "rates.svg"
        done = subprocess.run([HERE / script / "rates", figures, "--svg", svg], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.splitlines(), [text.strip() for text in ElementTree.parse(svg).getroot().itertext()]

    def test_igb(self):
        # The kernel's median of both lengths is 100 a second.
        turns = [("kernel", 60, rate) for rate in (50, 100, 200)] + [("polled", 60, rate) for rate in (1000, 250, 4000)] + \
                [("kernel", 1514, 100), ("interrupts", 1514, 25)]
        figures = self.directory / "figures"
        figures.write_text("".join(json.dumps({"what": "receive", "way": way, "len": length, "frames": 2 * rate, "lost": 1, "seconds": 2}) + "\n"
                                   for way, length, rate in turns))
        table, texts = self.rates("igb", figures)
        self.assertEqual(table[2:], ["| 60 bytes, receive | kernel's igb, packet socket | 100 | 1.00 (0.50 to 2.00) | 3 |",
                                     "| 60 bytes, receive | weir, polled | 1000 | 10.00 (2.50 to 40.00) | 3 |",
                                     "| 1514 bytes, receive | kernel's igb, packet socket | 100 | 1.00 (1.00 to 1.00) | 1 |",
                                     "| 1514 bytes, receive | weir, interrupts | 25 | 0.25 (0.25 to 0.25) | 1 |"])
        for shown in ("10.0", "0.25", "weir, interrupts", "kernel's igb, packet socket", "receive, 1514 bytes", "send, 60 bytes"):
            self.assertIn(shown, texts)

    def test_nvme(self):
        figures = self.directory
        for turn, (ours, theirs) in enumerate([(300, 100), (100, 400), (200, 100)]):
            for way, rate in ("weir-polled", ours), ("uring-polled", theirs), ("fio", 1000):
                fio = {"total_ios": 1, "iops": rate, "lat_ns": {"percentile": {"50.000000": 1e9 / rate}}}
                said = {"requests_per_second": rate, "latency_p50_ns": 1e9 / rate} if way == "weir-polled" else {"jobs": [{"read": fio}]}
                (figures / f"{turn}.randread-4k-1.{way}.json").write_text(json.dumps(said))
        table, texts = self.rates("nvme", figures)
        self.assertEqual(table[2:], ["| random reads of 4 KiB, one at a time | polled | 100 | 10% | 200 | 2.00 (0.25 to 3.00) | 0.50 (0.33 to 4.00) |"])
        for shown in ("2.00", "weir, polled", "random reads", "4 KiB, one at a time"):
            self.assertIn(shown, texts)
        self.assertNotIn("weir, by interrupt", texts)

    def test_nothing_measured(self):
        (self.directory / "figures").touch()
        for script, figures in ("igb", self.directory / "figures"), ("nvme", self.directory):
            done = subprocess.run([HERE / script / "rates", figures], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("nothing was measured", done.stderr)


if __name__ == "__main__":
    unittest.main()
