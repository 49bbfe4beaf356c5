"""A voxel grid that solids are painted on: one tissue map and one label map."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cmda_tf.phantom.shapes import Solid
from cmda_tf.phantom.tissues import TISSUE_ID, is_one_of


@dataclass(frozen=True)
class Layer:
    """One coat of paint."""

    solids: Sequence[Solid]
    tissue: str  # its name
    label: int | None = None  # code to write; None leaves the label as it is
    over: tuple[str, ...] | None = None  # tissues that may be covered; None: all of them


class VoxelPainting:
    """Tissue ids (`tissue`, uint8) and label codes (`label`, int16) of a voxel grid, [k, j, i].

    All is air and label 0 at first.

    Args:
      points: float32 [3, k, j, i], the anatomical position of each voxel, warp included.
      to_index: [3, 4] affine from unwarped points to (i, j, k).
      reach_mm: the greatest displacement of `points` by the warp, on any axis.
    """

    def __init__(self, points: np.ndarray, to_index: np.ndarray, reach_mm: float):
        self.points = points
        self.tissue = np.zeros(points.shape[1:], np.uint8)
        self.label = np.zeros(points.shape[1:], np.int16)
        self._to_index = to_index
        self._reach_mm = reach_mm

    def paint(self, layers: Iterable[Layer]) -> None:
        """Paints layers, later ones over earlier ones."""
        for layer in layers:
            for solid in layer.solids:
                self._paint(layer, solid)

    def _paint(self, layer: Layer, solid: Solid) -> None:
        """Paints one solid of a layer, within the box of voxels that holds it."""
        box = k, j, i = self._box(*solid.bounds())
        tissue = self.tissue[box]
        if not tissue.size:
            return
        mask = solid.inside(self.points[:, k, j, i])
        if layer.over is not None:
            mask &= is_one_of(tissue, layer.over)
        tissue[mask] = TISSUE_ID[layer.tissue]
        if layer.label is not None:
            self.label[box][mask] = layer.label

    def _box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
        """Slices [k, j, i] of the voxels that may lie between two corners."""
        low, high = low - self._reach_mm, high + self._reach_mm
        corners = np.array(np.meshgrid(*zip(low, high))).reshape(3, -1)
        index = self._to_index[:, :3] @ corners + self._to_index[:, 3:]
        first = np.maximum(np.floor(index.min(1)), 0).astype(int)
        last = np.maximum(np.ceil(index.max(1)) + 1, 0).astype(int)  # beyond the end: cut off
        return tuple(slice(a, b) for a, b in zip(first[::-1], last[::-1]))
