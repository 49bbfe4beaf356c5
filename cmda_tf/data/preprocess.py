"""From a scanner's volume to a prepared subject.

The paper, section 3.4: resample to an isotropic grid in one anatomical frame, crop or pad it
around the heart, standardize the intensities. Here voxels reach the prepared grid by one
interpolation, oblique scans included, and the top 2 % of the histogram are cut first.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from cmda_tf.data.structures import Structures
from cmda_tf.data.subjects import Subject
from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import Geometry, box_center_mm, prepared_grid

# Raised whenever the arithmetic below changes, so that stores made before are made anew.
PREPROCESSING_VERSION = 1
CUT_PERCENTILE = 98.0
_UNKNOWN = 255


def to_classes(label: sitk.Image, path: str | Path, structures: Structures) -> sitk.Image:
    """Turns the label codes of a file at `path` into class indices (uint8) on the same grid.

    DataError if a code is unknown, or no structure there: that is no subject without a heart. (To
    ignore a label, its file is left out.)
    """
    codes = sitk.GetArrayViewFromImage(label)
    known = structures.code_to_class
    table = np.full(max(known) + 1, _UNKNOWN, np.uint8)
    table[list(known)] = list(known.values())
    unknown = np.setdiff1d([codes.min(), codes.max()], list(known))
    if not unknown.size:
        classes = np.stack([table[plane] for plane in codes])
        unknown = codes[classes == _UNKNOWN]
    if unknown.size:
        raise DataError(
            f"{path}: label code {unknown[0]} is unknown; known codes are {sorted(known)}"
        )
    if not classes.any():
        names = ", ".join(f"{s.codes[0]} {s.name}" for s in structures)
        raise DataError(f"{path}: holds none of the structures ({names})")
    return Geometry.of(label).apply(classes)


def preprocess(
    id: str,
    modality: str,
    image: sitk.Image,
    classes: sitk.Image | None = None,
    *,
    size: int,
    spacing_mm: float,
    center_on_label: bool = False,
    center_mm: Sequence[float] | None = None,
) -> Subject:
    """Brings one volume (float32) to the prepared grid and intensity scale.

    The LIP grid has `size` voxels per side, `spacing_mm` apart. Its center is `center_mm` (LPS); or
    that of the bounding box of the structures, where `center_on_label` is asked for and `classes`,
    class indices (uint8) on the image's grid, are given; or that of the volume. Except for that,
    labels have no influence on the image. DataError, with the `id`, if the image is constant within
    the grid once its histogram is cut.
    """
    if center_mm is None and classes is not None and center_on_label:
        center_mm = box_center_mm(classes)
    elif center_mm is None:
        middle = [(n - 1) / 2 for n in image.GetSize()]
        center_mm = image.TransformContinuousIndexToPhysicalPoint(middle)
    grid = prepared_grid(center_mm, size, spacing_mm)
    sampled = grid.resample(anti_alias(image, spacing_mm), sitk.sitkLinear, math.nan)
    normalized, cut = normalize(sitk.GetArrayFromImage(sampled), id)
    label, inside = None, None
    if classes is not None:
        label = sitk.GetArrayFromImage(grid.resample(classes, sitk.sitkNearestNeighbor, 0))
        voxels = np.count_nonzero(sitk.GetArrayViewFromImage(classes))
        raw_mm3 = voxels * math.prod(classes.GetSpacing())
        inside = min(1.0, np.count_nonzero(label) * spacing_mm**3 / raw_mm3)
    return Subject(id, modality, normalized, label, grid, Geometry.of(image), cut, inside)


def anti_alias(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Smooths an image so that it can be sampled at a coarser spacing.

    A Gaussian along each axis that is finer than the target widens a point spread function
    of full width at half maximum equal to the raw spacing r to one of the target spacing s:
    sigma_mm = sqrt((s^2 - r^2) / (8 ln 2)) (Cardoso et al., "Scale factor point spread
    function matching: beyond aliasing in image resampling", MICCAI 2015). Axes as coarse as
    the target or coarser stay untouched; borders replicate. The image is float32.
    """
    raw_mm = image.GetSpacing()
    sigmas_mm = [math.sqrt(max(0, spacing_mm**2 - r**2) / (8 * math.log(2))) for r in raw_mm]
    if not any(sigmas_mm):
        return image
    volume_kji = sitk.GetArrayFromImage(image)
    for axis, (sigma_mm, raw) in enumerate(zip(sigmas_mm, raw_mm)):
        if sigma_mm:
            ndimage.gaussian_filter1d(
                volume_kji, sigma_mm / raw, axis=2 - axis, output=volume_kji, mode="nearest"
            )
    return Geometry.of(image).apply(volume_kji)


def normalize(volume_kji: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Cuts the top 2 % of the histogram, then zero mean and unit standard deviation.

    All three statistics are taken over the field of view; the padding beyond it, NaN in the float32
    [K, J, I], gets the smallest normalized value within it. Also gives the intensity of the cut.
    DataError, with the `name`, if nothing or but one value is left.
    """
    seen = ~np.isnan(volume_kji)
    values = volume_kji[seen]
    if not values.size:
        raise DataError(f"{name}: no voxel of the prepared grid lies inside the scan")
    cut = float(np.percentile(values, CUT_PERCENTILE))
    values = np.minimum(values, np.float32(cut))
    if values.min() == values.max():
        raise DataError(
            f"{name}: nothing to see in the prepared grid: at least {CUT_PERCENTILE:g} % of its "
            f"{values.size} voxels inside the scan have the same value"
        )
    mean, sd = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    values = ((values - mean) / sd).astype(np.float32)
    normalized = np.full(volume_kji.shape, values.min(), np.float32)
    normalized[seen] = values
    return normalized, cut
