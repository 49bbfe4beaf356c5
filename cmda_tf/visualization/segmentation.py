"""Segmentations laid over slices: Figures 3 and 4 of the paper, and three planes of one image.

Volumes are [k, j, i] on a LIP grid (`cmda_tf.volumes.geometry`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cmda_tf.data.structures import Structures
from cmda_tf.visualization.canvas import Canvas, show_gray
from cmda_tf.visualization.palette import add_legend, paint

PANEL_INCH = 1.7
OPACITY = 0.85  # the gray image still shows where a structure ends beside its edge
OPACITY_OF_PLANES = 0.5


@dataclass(frozen=True)
class Example:
    """One row of the figure; all volumes are `[K, J, I]`."""

    name: str  # written beside the row, such as the subject's id
    image_kji: np.ndarray  # float intensities
    truth_kji: np.ndarray  # integer classes
    predictions: Mapping[str, np.ndarray]  # integer classes by column title, in their order
    k: int | None = None  # slice to show; None: `best_slice` of the truth


def figure3(
    examples: Sequence[Example], structures: Structures, image_title: str = "slice"
) -> Canvas:
    """Draws a grid: the slice, the truth and each prediction, a row per example.

    Figure 4 is the same with one column for each adaptation depth. Colors are the structures' own
    (`palette.in_palette`). ValueError if there is no row, titles differ between rows, a map does
    not have its image's shape, or a slice lies outside of the volume.
    """
    titles = _column_titles(examples)
    width, height = PANEL_INCH * (len(titles) + 2) + 0.3, PANEL_INCH * len(examples) + 0.6
    figure = Canvas(width, height, layout="constrained")
    axes = figure.subplots(len(examples), len(titles) + 2, squeeze=False)
    for row, example in zip(axes, examples):
        k = best_slice(example.truth_kji) if example.k is None else example.k
        for panel, label_kji in zip(row, [None, example.truth_kji, *example.predictions.values()]):
            show_slice(panel, example.image_kji, k)
            if label_kji is not None:
                painted = paint(label_kji[k], structures, OPACITY)
                panel.imshow(painted, interpolation="nearest", aspect=1)
        row[0].set_ylabel(f"{example.name}, slice {k}", fontsize=8)
    for panel, title in zip(axes[0], [image_title, "Ground truth", *titles]):
        panel.set_title(title, fontsize=10)
    add_legend(figure, structures)
    return figure


def best_slice(label_kji: np.ndarray) -> int:
    """The slice k of a label [K, J, I] with most structures, none of them as a mere speck.

    It has the largest sum over structures of log(1 + area); the middle one if nothing is labeled.
    """
    if not label_kji.any():
        return len(label_kji) // 2
    areas = [(label_kji == c).sum(axis=(1, 2)) for c in range(1, label_kji.max() + 1)]
    return int(np.log1p(areas).sum(axis=0).argmax())


def show_slice(panel: Axes, image_kji: np.ndarray, k: int) -> None:
    """Shows slice k in gray, square voxels, head up, its window that of the whole volume."""
    low, high = np.percentile(image_kji, (1, 99.5))
    show_gray(panel, image_kji[k].astype(np.float32), low, high, aspect=1)


def _column_titles(examples: Sequence[Example]) -> list[str]:
    """The titles of the prediction columns, once all rows are known to fit together."""
    if not examples:
        raise ValueError("expected at least one example, found none")
    titles = list(examples[0].predictions)
    for example in examples:
        shape = example.image_kji.shape
        if list(example.predictions) != titles:
            raise ValueError(f"{example.name}: expected columns {titles}")
        for label_kji in (example.truth_kji, *example.predictions.values()):
            if label_kji.shape != shape:
                raise ValueError(f"{example.name}: a map has shape {label_kji.shape}, not {shape}")
        if example.k is not None and not 0 <= example.k < shape[0]:
            raise ValueError(f"{example.name}: expected a slice 0..{shape[0] - 1}, not {example.k}")
    return titles


def draw_planes(image_kji: np.ndarray, label_kji: np.ndarray, structures: Structures) -> Canvas:
    """The coronal, axial and sagittal slices with most foreground; below them the same, overlaid.

    Image (isotropic) and integer classes are `[K, J, I]`. The patient's right is on the left-hand
    side, marked R; of the sagittal slice the front, marked A (anterior).
    """
    low, high = np.percentile(image_kji, (1, 99.5))
    figure = Canvas(9.6, 6.8, layout="constrained")
    panels = figure.subplots(2, 3)
    for axis, title in enumerate(("coronal", "axial", "sagittal")):
        image, label = (np.moveaxis(v, axis, 0) for v in (image_kji, label_kji))
        areas = (label > 0).sum(axis=(1, 2))
        k = int(areas.argmax()) if areas.any() else len(label) // 2
        plane, classes = image[k], label[k]
        if axis == 2:  # rows head to feet, columns front to back
            plane, classes = plane.T, classes.T
        for panel in panels[:, axis]:
            show_gray(panel, plane, low, high)
            _mark_left(panel, "A" if axis == 2 else "R")
        painted = paint(classes, structures, OPACITY_OF_PLANES)
        panels[1, axis].imshow(painted, interpolation="nearest")
        panels[0, axis].set_title(title, fontsize=10)
    add_legend(figure, structures, columns=6)
    return figure


def _mark_left(panel: Axes, letter: str) -> None:
    """Says which side of the patient is on the left-hand side."""
    on_black = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1.5}
    look: dict[str, Any] = {"color": "white", "fontsize": 11, "bbox": on_black}
    panel.text(0.02, 0.5, letter, transform=panel.transAxes, ha="left", va="center", **look)
