# SPDX-License-Identifier: MIT
"""Checks by compilers."""
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STANDARD = {"c": "c17", "c++": "c++17"}


def stands_alone(header, language):
    """A public header needs no other, and suits those who compile strictly."""
    done = subprocess.run([os.environ.get("CC", "cc"), "-x", language, f"-std={STANDARD[language]}", "-Wall", "-Wextra",
                           "-Wpedantic", "-Werror", "-fsyntax-only", "-Iinclude", "-include", str(header), "/dev/null"],
                          capture_output=True, text=True)
    return done.stderr.splitlines() if done.returncode else []


def tidy(files, build):
    """clang-tidy, as .clang-tidy says, over everything that is compiled; over the tests only with --long: they take the most time."""
    ours = {file.absolute() for file in files if os.environ.get("WEIR_LONG") or not file.is_relative_to("tests")}
    commands = json.loads((build / "compile_commands.json").read_text())
    names = sorted({str(path) for command in commands if (path := Path(command["directory"], command["file"]).resolve()) in ours})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lines = [line for found in pool.map(lambda name: tidy_one(name, build), names) for line in found]
    # What is wrong comes first, how the analyzer got there after it: that can be hundreds of lines.
    return [line for line in lines if ": error: " in line] + lines


def tidy_one(name, build):
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), name], capture_output=True, text=True)
    if done.returncode == 0:
        return []
    # Without output of its own, it failed before it had looked.
    return done.stdout.splitlines() or [f"{name}: clang-tidy failed", *done.stderr.splitlines()]
