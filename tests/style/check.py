#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is true of every source file, whatever it does. Each check is one test.

    check.py --build DIR [--junit FILE] [CHECK...]
"""
import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "lib"))

import compiled
import floors
import source
import symbols
from results import FAILED, PASSED, Test, write


def repository_files():
    """Every file that is in the repository, or would be with the next commit."""
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout
    return sorted({Path(name) for name in listed.split("\0") if name and Path(name).is_file()})


def checks(files, build):
    """The name of each check, and the function that returns what it finds wrong: a list of lines."""
    yield "format", lambda: source.format(files)
    yield "length", lambda: source.length(files)
    yield "shellcheck", lambda: source.shellcheck(files)
    yield "docs_name_every_lane", source.docs_name_every_lane
    yield "lib_includes_what_is_below", lambda: floors.lib_includes_what_is_below(files)
    yield "drivers_and_samples_include_what_is_public", lambda: floors.drivers_and_samples_include_what_is_public(files)
    for header in (file for file in files if file.is_relative_to("include") and file.suffix == ".h"):
        for language in ("c", "c++"):
            yield f"{header}_stands_alone_in_{language}", lambda h=header, l=language: compiled.stands_alone(h, l)
    yield "symbols_begin_with_weir", lambda: symbols.prefix(build)
    yield "symbols_exported_as_listed", lambda: symbols.exported(build)
    yield "clang_tidy", lambda: compiled.tidy(files, build)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=Path, required=True)
    options.add_argument("--junit", type=Path)
    options.add_argument("checks", nargs="*", metavar="CHECK", help="only these")
    options = options.parse_args()

    tests = []
    for name, check in checks(repository_files(), options.build):
        if options.checks and name not in options.checks:
            continue
        start = time.monotonic()
        try:
            problems = check()
        except (subprocess.CalledProcessError, OSError) as error:
            problems = [str(error), *(getattr(error, "stderr", None) or "").splitlines()]
        tests.append(Test(name, FAILED if problems else PASSED, "\n".join(problems), time.monotonic() - start))
        print(f"{'FAILED' if problems else 'ok':6} {name}", *problems, sep="\n    ", flush=True)
    if options.junit:
        write(options.junit, "style", tests)
    return any(test.outcome == FAILED for test in tests)


if __name__ == "__main__":
    sys.exit(main())
