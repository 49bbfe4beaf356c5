"""What a scanner decides: field of view, spacing, slice direction, obliquity, table position."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from cmda_tf.volumes.geometry import Geometry

# Columns are the directions of i, j and k in LPS; right-handed, as acquired.
STACKS = {
    "axial": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "axial-RAS": np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]),
    "sagittal": np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
}

# Stacks, deviation and bound of the obliquity [degrees], field of view and table range [mm].
_HABITS = {
    "ct": (("axial", "axial-RAS"), 2.0, 5.0, (195, 235), (30.0, 30.0, 400.0)),
    "mr": (("axial", "sagittal", "coronal"), 10.0, 25.0, (205, 245), (25.0, 25.0, 60.0)),
}
_SPACING_MM = {  # in plane, between slices
    ("ct", "fast"): ((1.8, 2.2), (1.8, 2.6)),
    ("ct", "full"): ((0.8, 0.95), (0.8, 1.2)),
    ("mr", "fast"): ((1.9, 2.3), (2.1, 2.8)),
    ("mr", "full"): ((0.85, 1.1), (1.0, 1.25)),
}
MAX_OFFSET_MM = 15.0  # of the heart's middle from that of the field of view, on each axis


@dataclass(frozen=True)
class Scan:
    """What the scanner decides for one patient."""

    grid: Geometry  # the voxels in scanner coordinates
    stack: str  # name of the slice direction, a key of `STACKS`
    heart_mm: np.ndarray  # scanner coordinates [3] of the middle of the heart


def plan_scan(modality: str, resolution: str, rng: np.random.Generator) -> Scan:
    """Places a patient in the scanner and plans the scan ("mr" or "ct", "fast" or "full").

    Both resolutions draw the same numbers, so they see the same patient in the same place.
    """
    stacks, tilt_sd, tilt_max, field_of_view, table = _HABITS[modality]
    stack = stacks[rng.integers(len(stacks))]
    tilt = np.clip(rng.normal(0, tilt_sd, 3), -tilt_max, tilt_max)
    direction = Rotation.from_euler("xyz", tilt, degrees=True).as_matrix() @ STACKS[stack]
    ranges = _SPACING_MM[modality, resolution]
    in_plane, slices = (np.interp(s, (0, 1), r) for s, r in zip(rng.random(2), ranges))
    spacing = np.round([in_plane, in_plane, slices], 4)
    size = np.round(rng.uniform(*field_of_view, 3) / spacing).astype(int)
    middle = rng.uniform(-1, 1, 3) * table
    heart = middle + rng.uniform(-MAX_OFFSET_MM, MAX_OFFSET_MM, 3)
    return Scan(grid_around(middle, size, spacing, direction), stack, heart)


def grid_around(
    middle_mm: np.ndarray, size: np.ndarray, spacing_mm: np.ndarray, direction: np.ndarray
) -> Geometry:
    """The grid with this point [3] (LPS) halfway between its first and last voxels on all axes.

    Size and spacing [3] are along i, j, k, whose directions are the columns of `direction` [3, 3].
    """
    origin = middle_mm - direction @ (spacing_mm * (size - 1) / 2)
    return Geometry(*(tuple(v.ravel().tolist()) for v in (size, spacing_mm, origin, direction)))


def points_from(center_mm: np.ndarray, grid: Geometry) -> np.ndarray:
    """Positions of a grid's voxels relative to a center, float32 [3, k, j, i] in mm."""
    points = np.empty((3, *grid.shape_kji), np.float32)
    for a, (steps, start) in enumerate(zip(_steps(grid), grid.origin_mm - center_mm)):
        i, j, k = (np.arange(n) * step for n, step in zip(grid.size_ijk, steps))
        points[a] = (k + start)[:, None, None] + (j[:, None] + i)
    return points


def to_index_from(center_mm: np.ndarray, grid: Geometry) -> np.ndarray:
    """Affine [3, 4] from positions relative to a center, in mm, to a grid's (i, j, k)."""
    linear = np.linalg.inv(_steps(grid))
    return np.column_stack([linear, linear @ (center_mm - grid.origin_mm)])


def _steps(grid: Geometry) -> np.ndarray:
    """From one voxel to the next along i, j and k, as columns [3, 3] in mm."""
    return np.reshape(grid.direction, (3, 3)) * grid.spacing_mm
