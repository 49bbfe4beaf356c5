"""Three planes through a segmentation, laid over the image."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cmda_tf.data.structures import Structures
from cmda_tf.visualization.canvas import Canvas, show_gray
from cmda_tf.visualization.palette import add_legend, paint

OPACITY = 0.5


def draw_planes(image_kji: np.ndarray, label_kji: np.ndarray, structures: Structures) -> Canvas:
    """The coronal, axial and sagittal slices with most foreground; below them the same, overlaid.

    The patient's right is on the left-hand side, marked R; of the sagittal slice the front, marked
    A (anterior).

    Args:
      image_kji: `[K, J, I]` float, isotropic, on a LIP grid (`cmda_tf.volumes.geometry`).
      label_kji: `[K, J, I]` integer classes.
      structures: what they mean, and their colors.
    """
    low, high = np.percentile(image_kji, (1, 99.5))
    figure = Canvas(9.6, 6.8, layout="constrained")
    panels = figure.subplots(2, 3)
    for column, (title, axis) in enumerate((("coronal", 0), ("axial", 1), ("sagittal", 2))):
        image, label = (np.moveaxis(v, axis, 0) for v in (image_kji, label_kji))
        areas = (label > 0).sum(axis=(1, 2))
        k = int(areas.argmax()) if areas.any() else len(label) // 2
        plane, classes = image[k], label[k]
        if axis == 2:  # rows head to feet, columns front to back
            plane, classes = plane.T, classes.T
        for panel, painted in zip(panels[:, column], (None, classes)):
            show_gray(panel, plane, low, high)
            _letter(panel, "A" if axis == 2 else "R")
            if painted is not None:
                panel.imshow(paint(painted, structures, OPACITY), interpolation="nearest")
        panels[0, column].set_title(title, fontsize=10)
    add_legend(figure, structures, columns=6)
    return figure


def _letter(panel: Axes, letter: str) -> None:
    """Says which side of the patient is on the left-hand side."""
    on_black = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1.5}
    look: dict[str, Any] = {"color": "white", "fontsize": 11, "bbox": on_black}
    panel.text(0.02, 0.5, letter, transform=panel.transAxes, ha="left", va="center", **look)
