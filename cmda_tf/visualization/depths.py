"""Adaptation depth against Dice, the ablation of the paper's section 4.4."""

from collections.abc import Mapping

import numpy as np

from cmda_tf.visualization.canvas import Canvas

# Colors and marks tell methods apart where their points lie on each other.
_LOOKS = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"))

# Method to depth to the mean Dice [%] of each seed.
DepthCurves = Mapping[str, Mapping[int, list[float]]]


def draw_depths(curves: DepthCurves, lines: Mapping[str, float] | None = None) -> Canvas:
    """Mean Dice over depth: a curve per method, a small mark per seed, the mean of the seeds joined.

    Args:
      curves: at most four methods, such as AdaBN and UDA.
      lines: methods without a depth, such as noDA, drawn across.

    Raises:
      ValueError: no method, or more than four.
    """
    if not 1 <= len(curves) <= len(_LOOKS):
        raise ValueError(f"expected 1 to {len(_LOOKS)} methods, found {len(curves)}")
    figure = Canvas(4.8, 3.4, layout="constrained")
    panel = figure.subplots()
    for (color, mark), (method, by_depth) in zip(_LOOKS, curves.items()):
        depths = sorted(by_depth)
        means = [np.mean(by_depth[d]) for d in depths]
        panel.plot(depths, means, "-", color=color, marker=mark, markersize=6, label=method)
        for depth in depths:
            seeds = by_depth[depth]
            panel.plot([depth] * len(seeds), seeds, mark, color=color, markersize=3, alpha=0.6)
    for name, value in (lines or {}).items():
        panel.axhline(value, color="black", linewidth=0.8, linestyle="--")
        panel.annotate(
            name,
            (1.015, value),  # beside the panel, where no curve is
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )
    depths = sorted({d for by_depth in curves.values() for d in by_depth})
    close = (np.diff(depths) < 2).any()
    panel.set_xticks(depths, map(str, depths), rotation=90 if close else 0)
    panel.set_xlabel("adaptation depth d", fontsize=9)
    panel.set_ylabel("mean Dice [%]", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=len(curves), fontsize=8)
    return figure
