"""Where in a large volume are the structures? The model itself looks, in windows of its size."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import SimpleITK as sitk

from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import Geometry, box_center_mm

Look = Callable[[Sequence[float]], tuple[Geometry, np.ndarray]]


def find_center_mm(
    image: sitk.Image, look: Look, window_mm: float, name: str = "image"
) -> tuple[float, ...]:
    """The center (LPS, mm) of what the model finds.

    Windows half overlap and cover the volume. The one with most foreground gives a first center,
    a second look from there the final one. `look` leads from a window's center (LPS, mm) to its
    grid and probabilities `[K, J, I, classes]`. DataError, with the name of the image, if nothing
    is found anywhere.
    """
    largest, first = 0, None
    for center in window_centers(image, window_mm):
        with contextlib.suppress(DataError):  # nothing but one value in this window
            volume, middle = _foreground(*look(center))
            if volume > largest:
                largest, first = volume, middle
    if first is None:
        raise DataError(
            f"{name}: the model finds none of its structures; a point x, y, z says where they are"
        )
    _, second = _foreground(*look(first))
    return second or first


def window_centers(image: sitk.Image, window_mm: float) -> list[tuple[float, ...]]:
    """Centers of half overlapping windows that cover the volume's box in LPS."""
    along: list[Iterable[float]] = []
    half = window_mm / 2
    for values in Geometry.of(image).corners_mm.T:
        low, high = values.min(), values.max()
        if (spare := high - low - window_mm) <= 0:
            along.append([(low + high) / 2])
        else:
            along.append(np.linspace(low + half, high - half, 1 + math.ceil(spare / half)))
    return [tuple(map(float, point)) for point in itertools.product(*along)]


def _foreground(grid: Geometry, probabilities: np.ndarray) -> tuple[int, tuple[float, ...] | None]:
    """Voxels of the largest connected foreground, and the center of its box."""
    foreground = (probabilities.argmax(axis=-1) > 0).astype(np.uint8)
    largest = sitk.RelabelComponent(sitk.ConnectedComponent(grid.apply(foreground))) == 1
    voxels = int(np.count_nonzero(sitk.GetArrayViewFromImage(largest)))
    return voxels, box_center_mm(largest) if voxels else None
