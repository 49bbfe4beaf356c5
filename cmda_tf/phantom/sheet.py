"""The contact sheet: three planes of every subject, image and label overlay."""

from pathlib import Path

import matplotlib.colors
import matplotlib.figure
import numpy as np
import SimpleITK as sitk

from cmda_tf.data.structures import HEART
from cmda_tf.files import replacing
from cmda_tf.volumes.geometry import Geometry, box_center_mm

PIXELS, PIXEL_MM = 100, 2.4  # of a plane
COLUMNS = 4  # panels in a row
# Right, up and away from the viewer for each plane, in LPS (radiologic display).
_PLANES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((0, 1, 0), (0, 0, -1), (-1, 0, 0)),
)


def panel(image: sitk.Image, label: sitk.Image) -> np.ndarray:
    """Axial, coronal and sagittal slices through the middle of the heart.

    As uint8 RGB [2 * PIXELS, 3 * PIXELS, 3]: the scan above, its label (MM-WHS codes on the same
    grid) laid over it below.
    """
    center = box_center_mm(label)
    values = sitk.GetArrayViewFromImage(image)
    low, high = np.percentile(values[::2, ::2, ::2], (1, 99))
    columns = []
    for plane in _PLANES:
        gray = _slice(image, center, plane, sitk.sitkLinear, float(values.min()))
        gray = np.clip((gray - low) / (high - low), 0, 1)[..., None].repeat(3, 2)
        codes = _slice(label, center, plane, sitk.sitkNearestNeighbor, 0.0)
        overlaid = gray.copy()
        for structure in HEART:
            color = np.array(matplotlib.colors.to_rgb(structure.color), np.float32)
            where = codes == structure.codes[0]
            overlaid[where] = 0.5 * gray[where] + 0.5 * color
        columns.append(np.concatenate([gray, overlaid]))
    return (255 * np.concatenate(columns, axis=1)).astype(np.uint8)


def write_sheet(path: str | Path, panels: dict[str, np.ndarray]) -> None:
    """Writes all panels, of one size, with their subjects' ids as one PNG."""
    height, width = next(iter(panels.values())).shape[:2]
    rows = -(-len(panels) // COLUMNS)
    canvas = np.zeros((rows * height, COLUMNS * width, 3), np.uint8)
    figure = matplotlib.figure.Figure(figsize=(COLUMNS * width / 100, rows * height / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    for n, (name, rgb) in enumerate(panels.items()):
        y, x = height * (n // COLUMNS), width * (n % COLUMNS)
        canvas[y : y + height, x : x + width] = rgb
        axes.text(x + 4, y + 14, name, color="yellow", fontsize=8)
    axes.imshow(canvas)
    axes.set_axis_off()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _slice(image: sitk.Image, center, plane, interpolator: int, outside: float) -> np.ndarray:
    """A slice [PIXELS, PIXELS] through `center`."""
    axes = np.array(plane, float).T
    half_mm = PIXEL_MM * (PIXELS - 1) / 2
    origin = center - half_mm * (axes[:, 0] + axes[:, 1])
    size, spacing_mm = (PIXELS, PIXELS, 1), (PIXEL_MM,) * 3
    grid = Geometry(size, spacing_mm, tuple(origin.tolist()), tuple(axes.ravel().tolist()))
    return sitk.GetArrayFromImage(grid.resample(image, interpolator, outside))[0].astype(np.float32)
