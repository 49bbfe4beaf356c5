"""From the label codes of a file to the class indices of a data set's structures."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cmda_tf.data.structures import Structures
from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import Geometry

_UNKNOWN = 255


def to_classes(label: sitk.Image, path: str | Path, structures: Structures) -> sitk.Image:
    """Turns label codes into class indices.

    Args:
      label: integer codes.
      path: its file, for messages.
      structures: whose codes these are.

    Returns:
      Class indices on the same grid, uint8.

    Raises:
      DataError: a code is not in the table, or no structure is there. A label without any
        structure is refused instead of counted as a subject without a heart; a subject whose
        label is to be ignored is prepared by leaving the label file out.
    """
    codes = sitk.GetArrayViewFromImage(label)
    known = structures.code_to_class
    table = np.full(max(known) + 1, _UNKNOWN, np.uint8)
    table[list(known)] = list(known.values())
    for extreme in (codes.min(), codes.max()):
        if extreme not in known:
            raise DataError(_unknown(path, extreme, known))
    classes = np.stack([table[plane] for plane in codes])
    if (unknown := classes == _UNKNOWN).any():
        raise DataError(_unknown(path, codes[unknown][0], known))
    if not classes.any():
        names = ", ".join(f"{s.codes[0]} {s.name}" for s in structures)
        raise DataError(f"{path}: holds none of the structures ({names})")
    return Geometry.of(label).apply(classes)


def _unknown(path: str | Path, code: int, known: Iterable[int]) -> str:
    return f"{path}: label code {code} is unknown; known codes are {sorted(known)}"
