"""Figures without window, pyplot and global state: any thread may draw them, none need closing."""

import io
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cmda_tf.files import replacing

DPI = 200


class Canvas(Figure):
    """A figure that a notebook shows when it is a cell's last value."""

    def __init__(self, width_inch: float, height_inch: float, **options):
        super().__init__(figsize=(width_inch, height_inch), facecolor="white", **options)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        """What IPython shows."""
        out = io.BytesIO()
        self.savefig(out, format="png", dpi=DPI // 2)
        return out.getvalue()


def show_gray(panel: Axes, plane: np.ndarray, low: float, high: float, **options: Any) -> None:
    """Shows a plane `[H, W]` in gray between two intensities, without ticks and frame."""
    options |= {"cmap": "gray", "vmin": low, "vmax": high, "interpolation": "nearest"}
    panel.imshow(plane, **options)
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)


def label_axes(panel: Axes, x: str, y: str | None = None, grid: bool = True) -> None:
    """Says in small print what the axes are."""
    panel.set_xlabel(x, fontsize=9)
    if y is not None:
        panel.set_ylabel(y, fontsize=9)
    panel.tick_params(labelsize=8)
    if grid:
        panel.grid(alpha=0.3)


def save(figure: Figure, path_stem: str | Path) -> tuple[Path, Path]:
    """Writes a figure as PNG and PDF, each atomically and without the date in it.

    The path has no suffix, a dot in its name is kept; DataError if its folder cannot be written to.
    """
    paths = Path(f"{path_stem}.png"), Path(f"{path_stem}.pdf")
    with matplotlib.rc_context({"pdf.fonttype": 42}):  # text stays text, not outlines
        for path, undated in zip(paths, ({}, {"CreationDate": None})):
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=DPI, metadata=undated)
    return paths
