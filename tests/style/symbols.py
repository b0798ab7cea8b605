# SPDX-License-Identifier: MIT
"""Checks of what the libraries offer to the linker."""
import re
import subprocess
from pathlib import Path

# Each library, its version script, and how the names may begin that its static twin shares with its user.
LIBRARIES = (("lib/libweir", "lib/weir.map", ("weir_",)),
             ("lib/sim/libweir-sim", "lib/sim/weir-sim.map", ("weir_", "sim_")),
             ("lib/rdma/libweir-rdma", "lib/rdma/weir-rdma.map", ("weir_",)))
# The version of what only our own add-on libraries use.
PRIVATE = "WEIR_PRIVATE"


def nm(*arguments):
    """(type, name) of each symbol."""
    lines = subprocess.run(["nm", "--format=posix", *map(str, arguments)], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return [(words[1], words[0]) for line in lines if len(words := line.split()) >= 2 and len(words[1]) == 1]


def prefix(build):
    """A static library shares one namespace with its user."""
    problems = []
    for library, _, beginnings in LIBRARIES:
        defined = nm("--extern-only", "--defined-only", build / f"{library}.a")
        problems += [f"{library}.a defines {name}" for _, name in defined if not name.startswith(beginnings)] or \
                    ([] if defined else [f"{library}.a defines nothing"])
    return problems


def version_script(script):
    """The names that a version script lists as global, each with its version."""
    text = re.sub(r"/\*.*?\*/|#[^\n]*", "", Path(script).read_text(), flags=re.DOTALL)
    return {name.strip(): version for version, part in re.findall(r"(\S+)\s*\{\s*global:(.*?)(?:local:|\})", text, flags=re.DOTALL)
            for name in part.split(";") if name.strip()}


def exported(build):
    """The shared libraries export what their version scripts list, under a version, and nothing else."""
    return [problem for library, script, _ in LIBRARIES for problem in exported_by(build / f"{library}.so", script)]


def exported_by(library, script):
    # An absolute symbol is a version's own.
    found = {name for kind, name in nm("--dynamic", "--defined-only", "--with-symbol-versions", library) if kind != "A"}
    listed = version_script(script)
    names = {name.split("@")[0] for name in found}
    declared = set(re.findall(r"\w+", " ".join(header.read_text() for header in Path("include/weir").glob("*.h"))))
    return [f"exported without a version: {name}" for name in sorted(found) if "@" not in name] + \
           [f"exported, but not listed in {script}: {name}" for name in sorted(names - listed.keys())] + \
           [f"listed in {script}, but not exported: {name}" for name in sorted(listed.keys() - names)] + \
           [f"{script} lists under {version} what is {'' if name in declared else 'not '}in a public header: {name}"
            for name, version in sorted(listed.items()) if (name in declared) == (version == PRIVATE)] + \
           ([] if listed else [f"{script} lists nothing"])
