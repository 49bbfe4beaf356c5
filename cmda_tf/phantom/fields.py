"""Smooth random fields on a voxel grid."""

import numpy as np


def smooth_field(
    shape_kji, spacing_kji_mm, correlation_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """A Gaussian random field with zero mean and unit standard deviation, float32 [k, j, i].

    White noise on a lattice as wide as the correlation length, spread by Gaussians of that
    standard deviation; the kernel is separable, so the cost is that of three small matrix products.
    """
    spread = [_spread(n, s, correlation_mm) for n, s in zip(shape_kji, spacing_kji_mm)]
    field = rng.standard_normal([w.shape[1] for w in spread], dtype=np.float32)
    for weights in spread:  # each product moves the next axis to the front of the queue
        field = np.tensordot(field, weights, axes=(0, 1))
    return field


def _spread(size: int, spacing_mm: float, correlation_mm: float) -> np.ndarray:
    """Weights [voxel, lattice node] of unit norm for each voxel."""
    voxels = np.arange(size) * spacing_mm
    nodes = np.arange(-3, np.ceil(voxels[-1] / correlation_mm) + 4) * correlation_mm
    weights = np.exp(-0.5 * ((voxels[:, None] - nodes) / correlation_mm) ** 2)
    return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
