# SPDX-License-Identifier: MIT
"""Checks of who includes what."""
import re
from pathlib import Path

# The floors of lib/, from the ground up ("" is lib/ itself). What lies in a folder includes that folder and the floors below it, not its neighbours.
# lib/sim is no part of this: it is below the table of system calls, and nobody else here knows it.
FLOORS = (
    ("",),
    ("kernel",),
    ("journal",),
    ("backend",),
    ("host",),
    ("faultq", "ioas", "reach"),
    ("cache", "demand", "device", "dirty", "inval", "memory"),
    ("domain", "peer", "stage1"),
    ("caps", "shadow"),
    ("nested",),
    ("broker", "handover", "rdma"),
)
FLOOR_OF = {folder: number for number, floor in enumerate(FLOORS) for folder in floor}
PICTURE = Path("docs/architecture.md")


def includes(file):
    """(delimiter, name) of each #include."""
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', file.read_text(), flags=re.MULTILINE)


def folder_of(path):
    """The folder in lib/ that a path relative to lib/ is in."""
    return path.parts[0] if len(path.parts) > 1 else ""


def is_below(folder, other):
    return other == folder or (other in FLOOR_OF and folder in FLOOR_OF and FLOOR_OF[other] < FLOOR_OF[folder])


def lib_includes_what_is_below(files):
    """lib/ in the order above, of which the picture of the floors says nothing else."""
    problems = []
    for file in files:
        if file.suffix not in (".c", ".h") or not file.is_relative_to("lib") or file.is_relative_to("lib/sim"):
            continue
        folder = folder_of(file.relative_to("lib"))
        problems += [f"{file} includes {name}, which is not below it" for delimiter, name in includes(file)
                     if delimiter == '"' and not is_below(folder, folder_of(Path(name)))]
    arrows = re.findall(r"^ *(\w+)(?:\[.*?\])? --> (\w+)", PICTURE.read_text(), flags=re.MULTILINE)
    return problems + [f"{PICTURE} has an arrow from {above} to {below}, which is not below it" for above, below in arrows
                       if above in FLOOR_OF and below in FLOOR_OF and not is_below(above, below)] + \
        ([] if arrows else [f"{PICTURE} has no picture of the floors"])


def is_open(file, delimiter, name):
    """May a file of drivers/ or samples/ include this: its own, public, or none of ours? A header in drivers/ is public unless it begins by saying "Internal"."""
    if ".." in Path(name).parts:
        return False
    if delimiter == '"' and file.parts[0] == "drivers":
        return Path(name).parts[0] in (file.parts[1], "common")
    if delimiter == '"':
        return any((folder / name).is_file() for folder in (file.parent, Path("samples"), *Path("samples").iterdir()))
    for header in (Path("include") / name, Path("drivers") / name, Path("lib") / name):
        if header.is_file():
            return header.is_relative_to("include") or \
                header.is_relative_to("drivers") and "Internal" not in header.read_text().split("#ifndef")[0]
    return not name.startswith("weir/")


def drivers_and_samples_include_what_is_public(files):
    """Both stand on the public headers, as anybody's would."""
    return [f"{file} includes {name}, which is neither public nor its own" for file in files
            if file.suffix in (".c", ".h", ".cc") and file.parts[0] in ("drivers", "samples")
            for delimiter, name in includes(file) if not is_open(file, delimiter, name)]
