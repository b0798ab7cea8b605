# SPDX-License-Identifier: MIT
"""Instructions counted by callgrind, while one function of a program runs, by whose code they are."""
import collections
import re
import subprocess
import sys
import tempfile

LINE = re.compile(r"^\s*([\d,]+)(?: \([\d. %]+\))?\s+(\S+?):(\S+)(?: \[(.*)\])?$")


def count(command, within, times, place):
    """Runs @command and counts what happens in the function @within, which does one thing @times times.

    Returns two Counters of instructions per time: by what place(source file, function, binary) says, and by function."""
    with tempfile.TemporaryDirectory() as directory:
        out = f"{directory}/callgrind.out"
        subprocess.run(["valgrind", "--quiet", "--tool=callgrind", f"--toggle-collect={within}", f"--callgrind-out-file={out}",
                        *command], check=True, stdout=subprocess.DEVNULL)
        text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", out], check=True, capture_output=True,
                              text=True).stdout
    parts, functions = collections.Counter(), collections.Counter()
    binaries = {}
    lines = [found for found in map(LINE.match, text.splitlines()) if found]
    # What was inlined from a header is listed without its binary: it belongs to where the function itself is.
    for found in lines:
        if found[4]:
            binaries.setdefault(found[3], found[4])
    for found in lines:
        instructions = int(found[1].replace(",", "")) / times
        part = place(found[2], found[3], found[4] or binaries.get(found[3], ""))
        parts[part] += instructions
        functions[f"{found[3]} ({part})"] += instructions
    return parts, functions


def show(title, parts, names, functions=None):
    """Prints a line to stderr, and with @functions what the largest of them take. Returns the parts, rounded."""
    shown = {name: round(parts[name]) for name in names}
    print(f"{title:40} {sum(shown.values()):5} = " + " + ".join(f"{number} {name}" for name, number in shown.items()),
          file=sys.stderr)
    for function, number in functions.most_common(25) if functions else []:
        print(f"    {number:7.1f} {function}", file=sys.stderr)
    return shown
