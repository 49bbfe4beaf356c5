"""The structures' colors: their own, and a set that color-blind readers can tell apart.

A palette is a `Structures` table: its colors are those that figures use.
"""

from dataclasses import replace

import numpy as np
from matplotlib.colors import hsv_to_rgb, to_hex, to_rgba
from matplotlib.figure import FigureBase
from matplotlib.patches import Patch

from cmda_tf.data.structures import Structures

# Okabe and Ito ("Color Universal Design", 2008), so that the heart's columns keep the paper's
# scheme: AA yellow, LA-blood red, LV-blood green, LV-myo blue.
OKABE_ITO = ("#F0E442", "#D55E00", "#009E73", "#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#000000")
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # of them, for up to four methods or groups


def distinct(count: int) -> list[str]:
    """Up to 254 different colors `#rrggbb`: `OKABE_ITO` but black, then hues around the circle.

    A color does not depend on how many follow it.
    """
    colors = list(OKABE_ITO[:7])
    number = 0
    while len(colors) < count:
        hue, number = number * 0.618034 % 1, number + 1  # the golden ratio: none comes near
        r, g, b = hsv_to_rgb((hue, 0.55 + 0.15 * (number % 4), 1 - 0.12 * (number % 5)))
        if (color := to_hex((r, g, b))) not in colors:
            colors.append(color)
    return colors[:count]


def in_palette(structures: Structures, name: str) -> Structures:
    """The same structures in the colors of a palette; ValueError for another name.

    `paper` leaves them their own; `colorblind_safe` has eight, which further structures share.
    """
    if name == "paper":
        return structures
    if name != "colorblind_safe":
        raise ValueError(f"expected paper or colorblind_safe, found {name!r}")
    colors = {s: OKABE_ITO[n % len(OKABE_ITO)] for n, s in enumerate(structures.columns)}
    members = tuple(replace(s, color=colors[s.name]) for s in structures)
    return replace(structures, members=members)


def paint(label: np.ndarray, structures: Structures, opacity: float = 1.0) -> np.ndarray:
    """A map of integer classes as colors to lay over an image; background is transparent.

    They are float32 RGBA in [0, 1], of the label's shape and one more axis of 4.
    """
    colors = np.zeros((structures.classes, 4), np.float32)
    for item in structures:
        colors[item.index] = to_rgba(item.color, opacity)
    return colors[label]


def add_legend(figure: FigureBase, structures: Structures, columns: int = 4) -> None:
    """Puts an entry for each structure, in the order of the table's columns, below a figure."""
    handles = [Patch(facecolor=s.color, label=s.name) for s in structures.in_columns]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)
