# SPDX-License-Identifier: MIT
"""What a lane is: the words in which tests/lanes.py is written."""
from dataclasses import dataclass, field


@dataclass
class Step:
    """One command of a lane. It reports its tests in XML files, or is one test itself: passed if it exits with 0."""
    name: str
    command: str
    xml: str = ""  # a pattern, in the lane's results directory; "" if the command is one test


def gtest(name, command):
    """A program of the test shim, or any GoogleTest program."""
    return Step(name, f"{command} --gtest_output=xml:{{results}}/{name}.xml", f"{name}.xml")


def junit(name, command, xml=""):
    """A command that writes JUnit XML: NAME.xml, unless another pattern is given."""
    return Step(name, command, xml or f"{name}.xml")


def script(name, command):
    return Step(name, command)


@dataclass
class Lane:
    name: str
    about: str
    budget: int  # seconds for all steps together
    steps: list
    packages: list = field(default_factory=list)  # groups of .ci/packages
    build: str = ""  # a key of builds.BUILDS; "" if the lane needs none
    prepare: list = field(default_factory=list)  # commands run beforehand, without budget: they fill caches
    long: bool = False  # runs only with --long, or by name
    beside: bool = False  # each step keeps one processor busy and measures nothing: runs beside others, also those of neighbours
