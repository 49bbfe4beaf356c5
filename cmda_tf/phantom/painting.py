"""Tissues, and a voxel grid that solids of them are painted on: a tissue map and a label map.

A tissue's id is its position in `TISSUES`; `mr.PROPERTIES` and `ct.hounsfield` give each of
them its appearance. Blood is one tissue per compartment, since contrast agent and flow differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cmda_tf.data.structures import HEART
from cmda_tf.phantom.shapes import Solid

TISSUES = (
    *("air", "lung", "lung_vessel", "fat", "skin", "muscle", "cartilage", "cortical_bone"),
    *("marrow", "disc", "cord", "liver", "stomach", "vessel_wall", "valve", "myocardium"),
    *(f"{place}_blood" for place in ("lv", "la", "aorta", "rv", "ra", "pa", "svc", "ivc")),
)
TISSUE_ID = {name: index for index, name in enumerate(TISSUES)}

# Label codes of MM-WHS; the latter three are background to `HEART`.
LV_MYO, LA, LV, AA = HEART.written_codes[1:]
RV, RA, PA = 600, 550, 850


def is_one_of(tissue: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Whether each of the tissue ids (uint8, any shape) is one of the named tissues, bool."""
    return np.isin(tissue, [TISSUE_ID[name] for name in names])


@dataclass(frozen=True)
class Layer:
    """One coat of paint."""

    solids: Sequence[Solid]
    tissue: str  # its name
    label: int | None = None  # code to write; None leaves the label as it is
    over: tuple[str, ...] | None = None  # tissues that may be covered; None: all of them


class VoxelPainting:
    """Tissue ids (uint8) and label codes (int16) of a voxel grid [k, j, i], at first air and 0.

    Points, float32 [3, k, j, i], are each voxel's anatomical position, warped by at most `reach_mm`
    on any axis; `to_index` is the affine [3, 4] from unwarped points to (i, j, k).
    """

    def __init__(self, points: np.ndarray, to_index: np.ndarray, reach_mm: float):
        self.points, self._to_index, self._reach_mm = points, to_index, reach_mm
        self.tissue = np.zeros(points.shape[1:], np.uint8)
        self.label = np.zeros(points.shape[1:], np.int16)

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
