# SPDX-License-Identifier: MIT
"""The builds that lanes need: each is configured and built once in a run, when the first lane asks for it."""
import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

import process

BUILDS = {
    "plain": ("build", ""),
    "asan": ("build-asan", "address,undefined"),
    "tsan": ("build-tsan", "thread"),
    "arm64": ("build-arm64", ""),
    "fuzz": ("build-fuzz", "fuzzer-no-link,address,undefined"),
}

# What a build has beyond that: options, and what of it is made (all unless told). libFuzzer is clang's.
MORE = {"arm64": ("-DCMAKE_TOOLCHAIN_FILE=cmake/arm64.cmake", "all"),
        "fuzz": ("-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DWEIR_FUZZ=ON -DWEIR_BUILD_SAMPLES=OFF", "fuzzers")}

_done = {}


def directory(build):
    return Path(BUILDS[build][0])


@contextmanager
def only_one(path):
    """Two runs in one checkout take turns at what they share."""
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_done(build):
    """Whether it was tried in this run, well or not."""
    return build in _done


def make(build, log):
    """Build; returns whether that went well. The output is in the file @log."""
    if build not in _done:
        where, sanitizers = BUILDS[build]
        os.makedirs(where, exist_ok=True)
        with only_one(f"{where}/.lock"):
            log.unlink(missing_ok=True)
            # Said in full: someone may have built with other options in the same directory.
            more, target = MORE.get(build, ("", "all"))
            options = f"-DWEIR_BUILD_TESTS=ON -DWEIR_BUILD_SAMPLES=ON -DWEIR_SANITIZE={sanitizers} {more}"
            _done[build] = (process.run(f"cmake -G Ninja -S . -B {where} {options}", log) == 0
                            and process.run(f"cmake --build {where} -j {os.cpu_count()} --target {target}", log) == 0)
    return _done[build]
