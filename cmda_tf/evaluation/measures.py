"""Dice and ASD, the measures of the paper's Table 1 (equal to MedPy's `dc` in percent and `assd`).

One rule for empty masks: where the truth is empty, the structure is not there to be scored, and
both are not available (nan); where only the prediction is, Dice is 0 and the ASD not available.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree


def dice_percent(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient of bool arrays, twice the common volume over the sum of both volumes.

    In [0, 100], nan where the truth is empty. ValueError: they are not boolean or differ in shape.
    """
    prediction, truth = _checked(prediction, truth)
    if not truth.any():
        return float("nan")
    common = np.count_nonzero(prediction & truth)
    return 200.0 * common / (np.count_nonzero(prediction) + np.count_nonzero(truth))


def average_surface_distance(
    prediction: np.ndarray, truth: np.ndarray, spacing: float | tuple[float, ...] = 1.0
) -> float:
    """Mean distance from each mask's surface voxels to the nearest one of the other mask.

    The surface of a mask is what one erosion with the face-connected structuring element removes;
    what lies beyond the array counts as background. The distances of all voxels of both surfaces
    are averaged together, as MedPy 0.5 does; older releases gave both directions the same weight
    whatever the size of the surfaces.

    The masks are bool arrays of one shape with any number of axes. The distance, nan where either
    is empty, has the unit of the voxel size `spacing`, one number or one for each axis. ValueError:
    the masks are not boolean or differ in shape, or the spacing does not fit.
    """
    prediction, truth = _checked(prediction, truth)
    sampling = np.asarray(spacing, float)
    fits = sampling.shape in ((), (truth.ndim,)) and np.all(np.isfinite(sampling) & (sampling > 0))
    if not fits:
        raise ValueError(f"expected one or {truth.ndim} positive spacings, found {spacing}")
    if not (prediction.any() and truth.any()):
        return float("nan")
    surfaces = _surface_points(prediction) * sampling, _surface_points(truth) * sampling
    # A search tree over surface voxels costs a fraction of a distance transform of the
    # volume: at 256^3 0.4-2 s instead of 8-10 s where two masks lie far apart.
    to_truth, _ = KDTree(surfaces[1]).query(surfaces[0])
    to_prediction, _ = KDTree(surfaces[0]).query(surfaces[1])
    return float(np.concatenate([to_truth, to_prediction]).mean())


def _surface_points(mask: np.ndarray) -> np.ndarray:
    """Indices [N, axes] of the mask's voxels that have a face neighbor outside of it."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    surface = mask[box] ^ ndimage.binary_erosion(mask[box], border_value=0)
    return np.argwhere(surface) + [axis.start for axis in box]


def _checked(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The masks as arrays, once they are known to be boolean and of one shape."""
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.dtype != bool or truth.dtype != bool:
        raise ValueError(f"expected boolean masks, found {prediction.dtype} and {truth.dtype}")
    if prediction.shape != truth.shape:
        raise ValueError(f"masks differ in shape: {prediction.shape} and {truth.shape}")
    return prediction, truth
