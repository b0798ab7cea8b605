# SPDX-License-Identifier: MIT
"""Checks that read source files."""
import subprocess
from pathlib import Path

C_FAMILY = {".c", ".h", ".cc"}
MOST_LINES = 520


def format(files):
    """As .clang-format says."""
    names = [str(file) for file in files if file.suffix in C_FAMILY]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", *names], capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if "error:" in line] or (done.returncode and [done.stderr]) or []


def length(files):
    """A file is about one thing, and read in one go. The lists of what the kernel has are as long as the kernel's."""
    return [f"{file}: {lines} lines; at most {MOST_LINES}" for file in files
            if (file.suffix in C_FAMILY | {".py"} or interpreter(file)) and not file.name.endswith("_abi.h")
            if (lines := len(file.read_bytes().splitlines())) > MOST_LINES]


def interpreter(file):
    """What the first line of a script says that it is for: "sh", "bash", "python3"; "" of any other file."""
    with open(file, "rb") as content:
        first = content.readline(200).split()
    return Path(first[-1].decode()).name if first and first[0].startswith(b"#!") else ""


def shellcheck(files):
    """The scripts, without shellcheck's doubts about matters of style."""
    scripts = [str(file) for file in files if interpreter(file) in ("sh", "bash") or file.suffix == ".bash"]
    return subprocess.run(["shellcheck", "--severity=warning", "--external-sources", "--format=gcc", *scripts],
                          capture_output=True, text=True).stdout.splitlines()


def docs_name_every_lane():
    """docs/testing.md shows the list of lanes as tests/run prints it."""
    listing = subprocess.run(["tests/run", "--list"], check=True, capture_output=True, text=True).stdout
    if listing in Path("docs/testing.md").read_text():
        return []
    return ["docs/testing.md does not have this list, as tests/run --list prints it:", *listing.splitlines()]
