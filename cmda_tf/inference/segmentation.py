"""A segmentation on the grid of the image that it is of."""

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cmda_tf.data.structures import Structures
from cmda_tf.volumes.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model says of an image."""

    classes: sitk.Image  # class indices (uint8) on the image's grid
    structures: Structures  # what they mean
    seen: Geometry  # grid that the model saw; beyond it all is background
    probabilities: np.ndarray  # `[K, J, I, classes]` float32 on that grid
    raw: Geometry  # grid of the image

    @property
    def label(self) -> sitk.Image:
        """Label codes (uint16), the data set's own, on the image's grid."""
        codes = np.array(self.structures.written_codes, np.uint16)
        return self.raw.apply(codes[sitk.GetArrayViewFromImage(self.classes)])

    def probability(self, name: str) -> sitk.Image:
        """Probability of a structure (float32, 0..1) on the image's grid; KeyError for no such."""
        return _on_grid(self.probabilities, self.structures[name].index, self.seen, self.raw)

    def entropy(self) -> sitk.Image:
        """Entropy of the prediction (float32, 0..1) on the image's grid: how unsure it is.

        1 where all classes are equally likely; 0 beyond the grid that the model saw.
        """
        p = np.maximum(self.probabilities, 1e-12)
        entropy = -(p * np.log(p)).sum(axis=-1) / math.log(self.structures.classes)
        return self.raw.resample(self.seen.apply(entropy.astype(np.float32)), sitk.sitkLinear, 0.0)

    def volumes_mm3(self) -> dict[str, float]:
        """Volume of each structure, in the order of the table's columns."""
        voxel_mm3 = math.prod(self.raw.spacing_mm)
        classes = sitk.GetArrayViewFromImage(self.classes)
        counts = np.bincount(classes.ravel(), minlength=self.structures.classes)
        return {s.name: float(counts[s.index]) * voxel_mm3 for s in self.structures.in_columns}


def to_segmentation(
    probabilities: np.ndarray,
    seen: Geometry,
    raw: Geometry,
    structures: Structures,
    keep_largest: bool = False,
) -> Segmentation:
    """The likeliest class of every voxel of the image, on its grid `raw`.

    The probabilities `[K, J, I, classes]` on the grid `seen` are interpolated, not the classes, so
    that outlines are as fine as the image's own grid. One class at a time: a scan of 512x512x400
    voxels has 100 million. Of each structure the largest connected component may be kept.
    """
    best = np.zeros(raw.shape_kji, np.float32)
    classes = np.zeros(raw.shape_kji, np.uint8)
    for index in range(structures.classes):
        values = sitk.GetArrayViewFromImage(on := _on_grid(probabilities, index, seen, raw))
        better = values > best
        best[better], classes[better] = values[better], index
        del values, on
    for item in structures if keep_largest else ():
        mask = raw.apply((classes == item.index).astype(np.uint8))
        parts = sitk.RelabelComponent(sitk.ConnectedComponent(mask))
        classes[sitk.GetArrayViewFromImage(parts) > 1] = 0
    return Segmentation(raw.apply(classes), structures, seen, probabilities, raw)


def _on_grid(probabilities: np.ndarray, index: int, seen: Geometry, raw: Geometry) -> sitk.Image:
    """One class' probability on the image's grid; beyond what was seen all is background."""
    values = seen.apply(np.ascontiguousarray(probabilities[..., index], np.float32))
    return raw.resample(values, sitk.sitkLinear, float(index == 0))
