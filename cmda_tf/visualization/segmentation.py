"""Figures 3 and 4: rows of subjects, columns of segmentations laid over the slice.

Volumes are [k, j, i] as everywhere: k the coronal slice, j the row (head up), i the column.
Figure 4 is the same grid with one column for each adaptation depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from cmda_tf.data.structures import Structures
from cmda_tf.visualization.canvas import Canvas, show_gray
from cmda_tf.visualization.palette import add_legend, paint

PANEL_INCH = 1.7
OPACITY = 0.85  # the gray image still shows where a structure ends beside its edge


@dataclass(frozen=True)
class Example:
    """One row of the figure.

    Attributes:
      name: written beside the row, such as the subject's id.
      image_kji: [K, J, I] float intensities.
      truth_kji: [K, J, I] integer classes.
      predictions: [K, J, I] integer classes by column title, in the order of the columns.
      k: slice to show; `best_slice` of the truth if None.
    """

    name: str
    image_kji: np.ndarray
    truth_kji: np.ndarray
    predictions: Mapping[str, np.ndarray]
    k: int | None = None


def figure3(
    examples: Sequence[Example],
    structures: Structures,
    image_title: str = "slice",
    truth_title: str = "Ground truth",
) -> Canvas:
    """Draws a grid: the slice, the truth and each prediction, one row an example.

    Args:
      examples: the rows; all with the same column titles.
      structures: what the classes mean, and their colors (`palette.in_palette`).
      image_title, truth_title: titles of the first two columns.

    Raises:
      ValueError: there is no row, titles differ between rows, a map does not have its image's
        shape, or a slice lies outside of the volume.
    """
    titles = _column_titles(examples)
    width, height = PANEL_INCH * (len(titles) + 2) + 0.3, PANEL_INCH * len(examples) + 0.6
    figure = Canvas(width, height, layout="constrained")
    axes = figure.subplots(len(examples), len(titles) + 2, squeeze=False)
    for line, example in zip(axes, examples):
        _draw_row(line, example, structures)
    for panel, title in zip(axes[0], [image_title, truth_title, *titles]):
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


def _draw_row(panels: Sequence[Axes], example: Example, structures: Structures) -> None:
    k = best_slice(example.truth_kji) if example.k is None else example.k
    for panel, label_kji in zip(panels, [None, example.truth_kji, *example.predictions.values()]):
        show_slice(panel, example.image_kji, k)
        if label_kji is not None:
            painted = paint(label_kji[k], structures, OPACITY)
            panel.imshow(painted, interpolation="nearest", aspect=1)
    panels[0].set_ylabel(f"{example.name}, slice {k}", fontsize=8)


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
