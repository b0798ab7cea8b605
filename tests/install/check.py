#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Installs a build below a temporary directory and uses it from there, as its users will, README.md's first program too. Each way is one
test.

    check.py --build DIR [--junit FILE]
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.append(str(HERE.parent / "lib"))

from results import FAILED, PASSED, Test, write

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


class Installed:
    """A copy below a directory that stands in for /. What raises has failed."""

    def __init__(self, build, scratch):
        self.build = build
        self.root = scratch / "root"
        self.scratch = scratch
        self.version = self.configured("CMAKE_PROJECT_VERSION")
        self.env = dict(os.environ)

    def configured(self, name):
        return re.search(rf"^{name}:\w+=(.*)", (self.build / "CMakeCache.txt").read_text(), re.MULTILINE)[1]

    def run(self, *command):
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=self.env)
        if done.returncode:
            raise RuntimeError(f"$ {' '.join(map(str, command))}\n{done.stdout}exit status {done.returncode}")
        return done.stdout

    def pkg_config(self, *arguments):
        return self.run("pkg-config", *arguments, "weir").split()

    def compile(self, *compiler, flags, to):
        program = self.scratch / to
        self.run(*compiler, *STRICT, f'-DEXPECTED_VERSION="{self.version}"', HERE / "consumer.c", "-o", program,
                 *self.pkg_config("--cflags"), *flags)
        self.run(program)
        return program

    def install(self):
        self.env["DESTDIR"] = str(self.root)
        self.run("cmake", "--install", self.build)
        del self.env["DESTDIR"]
        libraries = next(self.root.glob("**/pkgconfig")).parent
        self.env |= {"PKG_CONFIG_PATH": str(libraries / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                     "LD_LIBRARY_PATH": str(libraries)}

    def version_in_pkg_config(self):
        if self.pkg_config("--modversion") != [self.version]:
            raise RuntimeError(f"weir.pc is of version {self.pkg_config('--modversion')}, the build of {self.version}")

    def c_program(self):
        self.compile("cc", "-std=c17", "-x", "c", flags=["-x", "none", *self.pkg_config("--libs")], to="c")

    def first_program(self):
        """The one in README.md, as it says there; samples/first.c is the same."""
        program = re.search(r"```c\n(.*?)^```", (TOP / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
        if not (TOP / "samples/first.c").read_text().endswith(program):
            raise RuntimeError("README.md and samples/first.c have different programs")
        (self.scratch / "first.c").write_text(program)
        self.run("cc", *STRICT, self.scratch / "first.c", "-o", self.scratch / "first", *self.pkg_config("--cflags", "--libs"))

    def rdma_program(self):
        """The add-on, where it is built."""
        flags = self.run("pkg-config", "--cflags", "--libs", "weir-rdma").split()
        (self.scratch / "rdma.c").write_text("#include <weir/rdma.h>\nint main(void)\n{\n\treturn !weir_verbs_real()->reg_mr;\n}\n")
        self.run("cc", *STRICT, self.scratch / "rdma.c", "-o", self.scratch / "rdma", *flags)
        self.run(self.scratch / "rdma")

    def cxx_program(self):
        self.compile("c++", "-std=c++17", "-x", "c++", flags=["-x", "none", *self.pkg_config("--libs")], to="cxx")

    def static_program(self):
        archive = ["-Wl,-Bstatic", "-lweir", "-Wl,-Bdynamic"]
        libs = [word for flag in self.pkg_config("--static", "--libs") for word in (archive if flag == "-lweir" else [flag])]
        program = self.compile("cc", "-std=c17", flags=libs, to="static")
        if "libweir" in self.run("ldd", program):
            raise RuntimeError("linked with the shared library nevertheless")

    def cmake_project(self):
        prefix = f"{self.root}{self.configured('CMAKE_INSTALL_PREFIX')}"
        self.run("cmake", "-S", HERE, "-B", self.scratch / "consumer", f"-DCMAKE_PREFIX_PATH={prefix}",
                 f"-DEXPECTED_VERSION={self.version}")
        self.run("cmake", "--build", self.scratch / "consumer")
        for library in ("shared", "static"):
            self.run(self.scratch / "consumer" / f"consumer-{library}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", type=Path, required=True)
    options.add_argument("--junit", type=Path)
    options = options.parse_args()

    tests = []
    with tempfile.TemporaryDirectory(prefix="weir-install-") as scratch:
        copy = Installed(options.build, Path(scratch))
        for way in (copy.install, copy.version_in_pkg_config, copy.c_program, copy.first_program, copy.rdma_program,
                    copy.cxx_program, copy.static_program,
                    copy.cmake_project):
            try:
                way()
                tests.append(Test(way.__name__, PASSED))
            except (RuntimeError, OSError, StopIteration) as error:
                tests.append(Test(way.__name__, FAILED, str(error) or repr(error)))
            print(f"{tests[-1].outcome:6} {way.__name__}\n{tests[-1].message}", flush=True)
    if options.junit:
        write(options.junit, "install", tests)
    return any(test.outcome == FAILED for test in tests)


if __name__ == "__main__":
    sys.exit(main())
