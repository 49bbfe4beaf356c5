"""Average symmetric surface distance, the ASD of the paper's Table 1 (equal to MedPy's `assd`).

The surface of a mask is what one erosion with the face-connected structuring element removes;
what lies beyond the array counts as background. The distances of all voxels of both surfaces
to the other surface are averaged together, as MedPy 0.5 does; older releases gave both
directions the same weight whatever the size of the surfaces. Empty masks follow the one rule
of `cmda_tf.evaluation.masks`: truth or prediction empty, nan.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from cmda_tf.evaluation.masks import checked_masks


def average_surface_distance(
    prediction: np.ndarray, truth: np.ndarray, spacing: float | tuple[float, ...] = 1.0
) -> float:
    """Mean distance from each mask's surface voxels to the nearest one of the other mask.

    Args:
      prediction: bool array of any number of axes.
      truth: bool array of the same shape.
      spacing: voxel size, one number or one for each array axis; the result has its unit,
        so the default gives voxels.

    Returns:
      The distance, 0 or more; nan where either mask is empty.

    Raises:
      ValueError: the masks are not boolean or differ in shape, or the spacing does not fit.
    """
    prediction, truth = checked_masks(prediction, truth)
    sampling = _sampling(spacing, truth.ndim)
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


def _sampling(spacing: float | tuple[float, ...], axes: int) -> np.ndarray:
    """The spacing as one positive number for each axis."""
    sampling = np.asarray(spacing, float)
    if sampling.shape not in ((), (axes,)) or not np.all(np.isfinite(sampling) & (sampling > 0)):
        raise ValueError(f"expected one or {axes} positive spacings, found {spacing}")
    return np.broadcast_to(sampling, (axes,))
