# SPDX-License-Identifier: MIT
"""Checks of what the libraries offer to the linker."""
import re
import subprocess
from pathlib import Path

SHARED, STATIC = "lib/libweir.so", "lib/libweir.a"


def nm(*arguments):
    """(type, name) of each symbol."""
    lines = subprocess.run(["nm", "--format=posix", *map(str, arguments)], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return [(words[1], words[0]) for line in lines if len(words := line.split()) >= 2 and len(words[1]) == 1]


def prefix(build):
    """A static library shares one namespace with its user."""
    defined = nm("--extern-only", "--defined-only", build / STATIC)
    return [f"{STATIC} defines {name}" for _, name in defined if not name.startswith("weir_")] or \
           ([] if defined else [f"{STATIC} defines nothing"])


def version_script():
    """The names that the version scripts list as global."""
    names = set()
    for script in Path("lib").glob("*.map"):
        text = re.sub(r"/\*.*?\*/|#[^\n]*", "", script.read_text(), flags=re.DOTALL)
        for part in re.findall(r"global:(.*?)(?:local:|\})", text, flags=re.DOTALL):
            names |= {name.strip() for name in part.split(";") if name.strip()}
    return names


def exported(build):
    """The shared library exports what its version script lists, under a version, and nothing else."""
    # An absolute symbol is a version's own.
    found = {name for kind, name in nm("--dynamic", "--defined-only", "--with-symbol-versions", build / SHARED) if kind != "A"}
    listed = version_script()
    names = {name.split("@")[0] for name in found}
    return [f"exported without a version: {name}" for name in sorted(found) if "@" not in name] + \
           [f"exported, but not listed in lib/*.map: {name}" for name in sorted(names - listed)] + \
           [f"listed in lib/*.map, but not exported: {name}" for name in sorted(listed - names)] + \
           ([] if listed else ["no version script lists anything"])
