"""Adaptation depth against Dice, the ablation of the paper's section 4.4."""

from collections.abc import Mapping

import numpy as np

from cmda_tf.visualization.canvas import Canvas, label_axes
from cmda_tf.visualization.palette import LINES

_MARKS = "os^D"  # they tell methods apart where their points lie on each other

# Method to depth to the mean Dice [%] of each seed.
DepthCurves = Mapping[str, Mapping[int, list[float]]]


def draw_depths(curves: DepthCurves, lines: Mapping[str, float] | None = None) -> Canvas:
    """Mean Dice over depth: a curve per method through the seeds' means, a small mark per seed.

    `lines` are methods without a depth, such as noDA, drawn across. ValueError for no or 5 curves.
    """
    if not 1 <= len(curves) <= len(_MARKS):
        raise ValueError(f"expected 1 to {len(_MARKS)} methods, found {len(curves)}")
    figure = Canvas(4.8, 3.4, layout="constrained")
    panel = figure.subplots()
    for color, mark, (method, by_depth) in zip(LINES, _MARKS, curves.items()):
        depths = sorted(by_depth)
        means = [np.mean(by_depth[d]) for d in depths]
        panel.plot(depths, means, "-", color=color, marker=mark, markersize=6, label=method)
        for depth in depths:
            seeds = by_depth[depth]
            panel.plot([depth] * len(seeds), seeds, mark, color=color, markersize=3, alpha=0.6)
    for name, value in (lines or {}).items():
        panel.axhline(value, color="black", linewidth=0.8, linestyle="--")
        beside = ("axes fraction", "data")  # the panel, where no curve is
        panel.annotate(name, (1.015, value), xycoords=beside, va="center", fontsize=8)
    depths = sorted({d for by_depth in curves.values() for d in by_depth})
    close = (np.diff(depths) < 2).any()
    panel.set_xticks(depths, map(str, depths), rotation=90 if close else 0)
    label_axes(panel, "adaptation depth d", "mean Dice [%]")
    figure.legend(loc="outside upper center", ncols=len(curves), fontsize=8)
    return figure
