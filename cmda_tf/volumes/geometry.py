"""Where voxels are: the geometry of an image and the prepared grid.

Physical space is LPS in millimeters (x grows to the patient's left, y to posterior, z to
superior), as in SimpleITK. An image has SimpleITK index order (i, j, k) and its array the
axes [k, j, i]. The prepared grid is axis-aligned in the patient's frame, "LIP": i grows to
the patient's left, j to inferior, k to posterior, so `volume_kji[k]` is a coronal slice with
the head up and the patient's right on the left-hand side (radiological display).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from cmda_tf.volumes.checks import MAX_VOXELS

# How far a label's corners may lie from its image's, as a share of the smallest spacing.
# Rounding in a NIfTI header moves them by about 1e-4 voxel; a wrong file by whole voxels.
CORNER_TOLERANCE_VOXEL = 0.1
# Columns: the physical directions of i (left), j (inferior) and k (posterior).
LIP_DIRECTION = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)


@dataclass(frozen=True)
class Geometry:
    """Grid of a 3-D image; ValueError for values that are not finite numbers of a legal grid."""

    size_ijk: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]  # of voxel centers along i, j, k
    origin_mm: tuple[float, float, float]  # physical point (LPS) of voxel (0, 0, 0)
    direction: tuple[float, ...]  # orthonormal 3x3, row-major; column a is that of index axis a

    def __post_init__(self):
        lengths = [len(v) for v in (self.size_ijk, self.spacing_mm, self.origin_mm)]
        if lengths != [3, 3, 3] or len(self.direction) != 9:
            raise ValueError("a geometry has 3 sizes, spacings and origins and 9 direction cosines")
        if min(self.size_ijk) < 1 or math.prod(self.size_ijk) > MAX_VOXELS:
            raise ValueError(f"size {self.size_ijk} is outside 1 to {MAX_VOXELS} voxels")
        if not np.isfinite([*self.spacing_mm, *self.origin_mm, *self.direction]).all():
            raise ValueError("spacing, origin or direction is not finite")
        matrix = np.reshape(self.direction, (3, 3))
        if min(self.spacing_mm) <= 0 or not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3):
            raise ValueError("spacing is not positive or direction is not orthonormal")

    @classmethod
    def of(cls, image: sitk.Image) -> "Geometry":
        """The geometry of a 3-D SimpleITK image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Shape of the array [K, J, I]."""
        return self.size_ijk[::-1]

    @property
    def corners_mm(self) -> np.ndarray:
        """Physical points (LPS) of the eight corner voxels' centers, [8, 3]."""
        ends = np.array(list(itertools.product(*[(0, n - 1) for n in self.size_ijk])))
        matrix = np.reshape(self.direction, (3, 3))
        return np.array(self.origin_mm) + (ends * self.spacing_mm) @ matrix.T

    def mismatch(self, other: "Geometry") -> str:
        """How another grid differs, up to `CORNER_TOLERANCE_VOXEL`; "" if it is the same."""
        if self.size_ijk != other.size_ijk:
            return f"size {other.size_ijk} against {self.size_ijk}"
        apart_mm = np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max()
        if apart_mm <= CORNER_TOLERANCE_VOXEL * min(self.spacing_mm):
            return ""
        return f"corners up to {apart_mm:.3g} mm apart"

    def holds(self, point_mm: Sequence[float]) -> bool:
        """Whether a point (LPS) lies within one of the voxels."""
        along_mm = (np.asarray(point_mm) - self.origin_mm) @ np.reshape(self.direction, (3, 3))
        index, size = along_mm / self.spacing_mm, np.array(self.size_ijk)
        return bool(np.all((index >= -0.5) & (index <= size - 0.5)))

    def blank(self, pixel_type: int = sitk.sitkUInt8) -> sitk.Image:
        """An image of zeros on this grid."""
        return self._place(sitk.Image(list(self.size_ijk), pixel_type))

    def apply(self, array_kji: np.ndarray) -> sitk.Image:
        """The image of the voxels [K, J, I] on this grid; ValueError for another grid's shape."""
        if array_kji.shape != self.shape_kji:
            raise ValueError(f"expected an array of shape {self.shape_kji}, got {array_kji.shape}")
        return self._place(sitk.GetImageFromArray(array_kji))

    def _place(self, image: sitk.Image) -> sitk.Image:
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image

    def resample(self, image: sitk.Image, interpolator: int, outside: float) -> sitk.Image:
        """`image` at this grid's voxel centers, in its own pixel type; beyond it `outside`."""
        return sitk.Resample(image, self.blank(), sitk.Transform(), interpolator, outside)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {name: list(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Geometry":
        """Inverse of `to_dict`; KeyError, TypeError or ValueError for anything else."""
        kinds = {"size_ijk": int, "spacing_mm": float, "origin_mm": float, "direction": float}
        fields: dict[str, Any] = {n: tuple(map(kind, values[n])) for n, kind in kinds.items()}
        return cls(**fields)


def prepared_grid(center_mm: Sequence[float], size: int, spacing_mm: float) -> Geometry:
    """The cubic LIP grid of `size` voxels per side, its middle at a point (LPS)."""
    half_mm = np.full(3, spacing_mm * (size - 1) / 2)
    origin_mm = np.asarray(center_mm) - np.reshape(LIP_DIRECTION, (3, 3)) @ half_mm
    return Geometry((size,) * 3, (float(spacing_mm),) * 3, tuple(origin_mm.tolist()), LIP_DIRECTION)


def box_center_mm(mask: sitk.Image) -> tuple[float, float, float]:
    """Physical center (LPS) of the bounding box, along the image's axes, of all non-zero voxels.

    The mask is of any integer type; at least one voxel is not zero.
    """
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.Execute(mask > 0)
    box = statistics.GetBoundingBox(1)
    middle = [start + (length - 1) / 2 for start, length in zip(box[:3], box[3:])]
    return mask.TransformContinuousIndexToPhysicalPoint(middle)
