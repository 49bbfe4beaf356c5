"""ASD: values worked by hand, agreement with MedPy, the rule for empty masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from medpy.metric.binary import assd
from scipy import ndimage

from cmda_tf.evaluation.measures import average_surface_distance

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=7)
SPACING = st.floats(0.3, 5.0)
CASES = SHAPES.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(bool, shape), hnp.arrays(bool, shape), st.tuples(*[SPACING] * len(shape))
    )
)


def blob(seed: int, shape=(18, 22, 20)) -> np.ndarray:
    """A smooth random mask; where it is thresholded it often touches the border."""
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 3, mode="nearest") > 0.02


def voxel(*index: int, shape=(9, 9, 9)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[index] = True
    return mask


def test_two_voxels_worked_by_hand():
    assert average_surface_distance(voxel(1, 1, 1), voxel(1, 4, 5)) == pytest.approx(5.0)
    distance = average_surface_distance(voxel(1, 1, 1), voxel(1, 4, 5), (9.0, 2.0, 0.5))
    assert distance == pytest.approx(math.hypot(3 * 2.0, 4 * 0.5))


def test_every_surface_voxel_has_the_same_weight():
    # Two voxels at distances 0 and 4 from the truth, one at distance 0 from the prediction.
    prediction = voxel(4, 4, 0) | voxel(4, 4, 4)
    assert average_surface_distance(prediction, voxel(4, 4, 4)) == pytest.approx(4 / 3)


def test_the_inside_of_a_mask_does_not_count():
    solid = np.zeros((9, 9, 9), bool)
    solid[2:7, 2:7, 2:7] = True
    hollow = solid ^ ndimage.binary_erosion(solid)
    assert average_surface_distance(solid, solid) == 0.0
    inner = ndimage.binary_erosion(solid)
    expected = assd(solid, inner)
    assert expected > 0
    assert average_surface_distance(solid, inner) == pytest.approx(expected, abs=1e-6)
    # A shell one voxel thick is its own surface, the same as the solid's.
    assert average_surface_distance(hollow, solid) == 0.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [1.0, (0.7, 0.9, 1.6)])
def test_blobs_agree_with_medpy(seed, spacing):
    prediction, truth = blob(seed), blob(seed + 100)
    assert truth[0].any() or truth[:, 0].any() or truth[..., 0].any()  # it touches the border
    expected = assd(prediction, truth, voxelspacing=spacing)
    actual = average_surface_distance(prediction, truth, spacing)
    assert actual == pytest.approx(expected, abs=1e-6)


@given(CASES)
def test_agrees_with_medpy(case):
    prediction, truth, spacing = case
    actual = average_surface_distance(prediction, truth, spacing)
    if prediction.any() and truth.any():
        assert actual == pytest.approx(assd(prediction, truth, voxelspacing=spacing), abs=1e-6)
    else:
        assert math.isnan(actual)


def test_symmetric_and_independent_of_the_field_of_view():
    prediction, truth = blob(1), blob(2)
    distance = average_surface_distance(prediction, truth)
    assert average_surface_distance(truth, prediction) == pytest.approx(distance, abs=1e-12)
    padded = [np.pad(mask, ((0, 30), (5, 0), (2, 9))) for mask in (prediction, truth)]
    assert average_surface_distance(*padded) == pytest.approx(distance, abs=1e-12)


def test_empty_masks():
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    for masks in [(full, empty), (empty, full), (empty, empty)]:
        assert math.isnan(average_surface_distance(*masks))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), 0.0, (1.0, -1.0, 1.0), float("nan")])
def test_unfit_spacing_is_refused(spacing):
    with pytest.raises(ValueError, match="spacings"):
        average_surface_distance(voxel(0, 0, 0), voxel(1, 1, 1), spacing)
