"""What a scanner decides: field of view, spacing, slice direction, obliquity, table position."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

RESOLUTIONS = ("fast", "full")

# Columns are the directions of i, j and k in LPS; right-handed, as acquired.
STACKS = {
    "axial": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "axial-RAS": np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]),
    "sagittal": np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}

# (stacks, obliquity sd and bound in degrees, in-plane spacing, slice spacing, table range in mm)
_HABITS = {
    ("ct", "fast"): (("axial", "axial-RAS"), 2.0, 5.0, (1.8, 2.2), (1.8, 2.6)),
    ("ct", "full"): (("axial", "axial-RAS"), 2.0, 5.0, (0.8, 0.95), (0.8, 1.2)),
    ("mr", "fast"): (("axial", "sagittal", "coronal"), 10.0, 25.0, (1.9, 2.3), (2.1, 2.8)),
    ("mr", "full"): (("axial", "sagittal", "coronal"), 10.0, 25.0, (0.85, 1.1), (1.0, 1.25)),
}
_TABLE_MM = {"ct": (30.0, 30.0, 400.0), "mr": (25.0, 25.0, 60.0)}
MAX_OFFSET_MM = 15.0  # of the heart's middle from that of the field of view, on each axis


@dataclass(frozen=True)
class Grid:
    """A voxel grid in LPS millimeters, as SimpleITK describes it.

    Attributes:
      size: voxels (i, j, k).
      spacing_mm: (i, j, k).
      origin_mm: position [3] of voxel (0, 0, 0).
      direction: [3, 3]; its columns are the axes' directions.
      stack: name of the slice direction.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: np.ndarray
    direction: np.ndarray
    stack: str

    def points(self, center_mm: np.ndarray) -> np.ndarray:
        """Voxel positions relative to `center_mm`, float32 [3, k, j, i]."""
        steps = self.direction * self.spacing_mm
        i, j, k = (np.arange(n)[:, None] for n in self.size)
        start = self.origin_mm - center_mm
        along_i, along_j, along_k = i * steps[:, 0], j * steps[:, 1], k * steps[:, 2] + start
        points = np.empty((3, *self.size[::-1]), np.float32)
        for a in range(3):
            plane = along_j[:, None, a] + along_i[None, :, a]
            points[a] = along_k[:, None, None, a] + plane
        return points

    def to_index(self, center_mm: np.ndarray) -> np.ndarray:
        """Affine [3, 4] from positions relative to `center_mm` to (i, j, k)."""
        linear = np.linalg.inv(self.direction * self.spacing_mm)
        return np.column_stack([linear, linear @ (center_mm - self.origin_mm)])

    def to_image(self, array_kji: np.ndarray) -> sitk.Image:
        """A SimpleITK image of an array on this grid."""
        image = sitk.GetImageFromArray(array_kji)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm.tolist())
        image.SetDirection(self.direction.ravel().tolist())
        return image


def position(modality: str, resolution: str, rng: np.random.Generator) -> tuple[Grid, np.ndarray]:
    """Places a patient in the scanner and plans the scan.

    Args:
      modality: "mr" or "ct".
      resolution: one of `RESOLUTIONS`.
      rng: what decides; both resolutions draw the same numbers, so they see the same patient
        in the same place.

    Returns:
      the voxel grid, and the scanner coordinates [3] of the middle of the heart in mm.
    """
    stacks, tilt_sd, tilt_max, in_plane, slices = _HABITS[modality, resolution]
    stack = stacks[rng.integers(len(stacks))]
    tilt = np.clip(rng.normal(0, tilt_sd, 3), -tilt_max, tilt_max)
    direction = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix() @ STACKS[stack]
    share = rng.random(2)
    spacing = np.array([np.interp(s, (0, 1), r) for s, r in zip(share, (in_plane, slices))])
    spacing = np.round(spacing[[0, 0, 1]], 4)
    extent = rng.uniform(205, 245, 3) if modality == "mr" else rng.uniform(195, 235, 3)
    size = np.round(extent / spacing).astype(int)
    middle = rng.uniform(-1, 1, 3) * _TABLE_MM[modality]
    heart = middle + rng.uniform(-MAX_OFFSET_MM, MAX_OFFSET_MM, 3)
    origin = middle - direction @ (spacing * (size - 1) / 2)
    return Grid(tuple(size.tolist()), tuple(spacing.tolist()), origin, direction, stack), heart
