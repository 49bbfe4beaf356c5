"""The structures' colours: those of the paper, and a set that colour-blind readers can tell apart.

The second set is that of Okabe and Ito ("Color Universal Design", 2008). Both follow the
paper's scheme: AA yellow, LA-blood red, LV-blood green, LV-myo blue.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch

from cmda_tf.data.structures import STRUCTURES, TABLE_ORDER

Palette = Mapping[str, str]  # `#rrggbb` by structure name

PAPER: Palette = {s.name: s.colour for s in STRUCTURES}

COLOUR_BLIND_SAFE: Palette = {
    "AA": "#F0E442",
    "LA-blood": "#D55E00",
    "LV-blood": "#009E73",
    "LV-myo": "#0072B2",
}

PALETTES: Mapping[str, Palette] = {"paper": PAPER, "colour_blind_safe": COLOUR_BLIND_SAFE}


def paint(label: np.ndarray, palette: Palette = PAPER, opacity: float = 1.0) -> np.ndarray:
    """A label map as colours to lay over an image.

    Args:
      label: integer classes, any shape.
      palette: the structures' colours.
      opacity: of the structures, in [0, 1]; background is always transparent.

    Returns:
      float32 RGBA in [0, 1], the label's shape and one more axis of 4.
    """
    colours = np.zeros((len(STRUCTURES) + 1, 4), np.float32)
    for item in STRUCTURES:
        colours[item.index] = to_rgba(palette[item.name], opacity)
    return colours[label]


def legend_handles(palette: Palette = PAPER) -> list[Patch]:
    """One legend entry for each structure, in the order of the paper's table."""
    return [Patch(facecolor=palette[name], label=name) for name in TABLE_ORDER]
