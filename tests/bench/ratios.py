# SPDX-License-Identifier: MIT
"""What several turns have measured, as ratios: in numbers, as a table, and as a plot, which gnuplot draws."""
import json
import statistics
import subprocess
import sys
from typing import NamedTuple


class Ratio(NamedTuple):
    """Of several turns: the median, the least and the most."""
    median: float
    least: float
    most: float

    def __str__(self):
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def ratio(each):
    """Of the turns' ratios. None: there are none."""
    return Ratio(statistics.median(each), min(each), max(each)) if each else None


def table(head, rows):
    """Prints a table in Markdown."""
    for cells in (head, None, *rows):
        print("|" + ("".join(f" {cell}".rstrip() + " |" for cell in cells) if cells else "---|" * len(head)))


# A dot for the median with its number, and a line from the least to the most. The scale is one of powers of two, with a line at 1.
SCRIPT = """set terminal svg size 720,360 background rgb "white" font "sans-serif,12" noenhanced
set encoding utf8
set logscale y 2
set format y "%g"
set grid ytics linetype 1 linecolor rgb "#e3e7eb"
set border 3 linecolor rgb "#555555"
set tics nomirror
set key outside top left horizontal Left reverse samplen 1.5
set bmargin 5
set xlabel {about} offset 0,-1
set xrange [-0.5:{groups} - 0.5]
set xtics ({names}) scale 0
{data}
plot 1 linecolor rgb "#b03a2e" dashtype 2 notitle, {series}
"""
DOTS = """${name} using 1:2:3:4 with yerrorbars linecolor rgb "{colour}" linewidth 2 pointtype 7 title {title}, \
"" using 1:2:(sprintf($2 < 10 ? "%.2f" : "%.1f", $2)) with labels left offset 0.8,0 notitle"""


def plot(about, groups, series):
    """As SVG. @groups are the texts below; @series are lists of name, colour ("#rrggbb") and the groups' ratios, None where there is none."""
    def text(what):
        return json.dumps(what, ensure_ascii=False)

    data, dots = [], []
    for i, (title, colour, found) in enumerate(series):
        aside = (i - (len(series) - 1) / 2) * 0.28
        data += [f"$s{i} << EOD", *(f"{group + aside} {one.median} {one.least} {one.most}" for group, one in enumerate(found) if one), "EOD"]
        dots += [DOTS.format(name=f"s{i}", colour=colour, title=text(title))] if any(found) else []
    script = SCRIPT.format(about=text(about), groups=len(groups), names=", ".join(f"{text(name)} {i}" for i, name in enumerate(groups)),
                           data="\n".join(data), series=", ".join(dots))
    try:
        return subprocess.run(["gnuplot"], input=script, stdout=subprocess.PIPE, text=True, check=True).stdout
    except FileNotFoundError:
        sys.exit("a plot takes gnuplot: .ci/packages plot")
