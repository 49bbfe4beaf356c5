"""Preprocessing: where voxels land, what smoothing does, what the intensities become."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import (
    AXIAL,
    ball,
    centered_geometry,
    dice,
    heart_codes,
    heart_image,
    labels_to_raw,
    oblique,
    points_mm,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cmda_tf.data.preprocess import anti_alias, normalize, preprocess, to_classes
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import box_center_mm

# Thousandths of a degree: ITK cannot invert directions with cosines such as 1e-308.
ANGLES = st.tuples(*[st.integers(-180_000, 180_000).map(lambda a: a / 1000)] * 3)
SPACINGS = st.tuples(*[st.floats(1.8, 4.0)] * 3)
CENTERS = st.tuples(*[st.floats(-200, 200)] * 3)
# A scanner may store any axis in either direction, left-handed frames included.
FLIPS = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
ORDERS = st.permutations([0, 1, 2])
# Patient direction, the array axis it runs along, and the end it points to (anterior: k = 0).
SIDES = {
    "left": ((1, 0, 0), 2, +1),
    "right": ((-1, 0, 0), 2, -1),
    "inferior": ((0, 0, -1), 1, +1),
    "superior": ((0, 0, 1), 1, -1),
    "posterior": ((0, 1, 0), 0, +1),
    "anterior": ((0, -1, 0), 0, -1),
}


def scan(angles, spacing_mm, center_mm, flips, order, extent_mm=120):
    """A geometry covering `extent_mm` a side around `center_mm`."""
    matrix = np.reshape(oblique(*angles), (3, 3))[:, list(order)] * np.array(flips)
    size = [math.ceil(extent_mm / s) for s in spacing_mm]
    return centered_geometry(size, spacing_mm, tuple(matrix.ravel().tolist()), center_mm)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SIDES)), ANGLES, SPACINGS, CENTERS, FLIPS, ORDERS)
def test_a_marker_lands_at_its_anatomical_end(side, angles, spacing_mm, center_mm, flips, order):
    towards, axis, sign = SIDES[side]
    raw = scan(angles, spacing_mm, center_mm, flips, order)
    marker_mm = np.asarray(center_mm) + 28 * np.array(towards)
    marker = ball(raw, marker_mm, 17)  # more than the 2 % that are cut
    image = raw.apply(marker.astype(np.float32))
    classes = raw.apply(marker.astype(np.uint8))
    subject = preprocess("ct_train_1", "ct", image, classes, size=32, spacing_mm=3.0)
    expected = np.full(3, 15.5)
    expected[axis] += sign * 28 / 3.0
    middle = (subject.image.min() + subject.image.max()) / 2
    for mask in (subject.image > middle, subject.label == 1):
        np.testing.assert_allclose(ndimage.center_of_mass(mask), expected, atol=0.5)
    grid = subject.grid.blank()
    found_mm = grid.TransformContinuousIndexToPhysicalPoint(expected[::-1].tolist())
    np.testing.assert_allclose(found_mm, marker_mm, atol=1e-6)


@settings(max_examples=8, deadline=None)
@given(ANGLES, st.tuples(*[st.floats(0.9, 2.0)] * 3), CENTERS, FLIPS, ORDERS)
def test_labels_come_back_from_any_scan(angles, spacing_mm, center_mm, flips, order):
    raw = scan(angles, spacing_mm, center_mm, flips, order)
    truth = ball(raw, np.add(center_mm, (5, -8, 3)), 30).astype(np.uint8)
    image = raw.apply(truth.astype(np.float32))
    subject = preprocess("a", "ct", image, raw.apply(truth), size=110, spacing_mm=1.0)
    back = labels_to_raw(subject.label, subject)
    assert back.GetSize() == image.GetSize() and back.GetDirection() == image.GetDirection()
    assert back.GetOrigin() == image.GetOrigin() and back.GetSpacing() == image.GetSpacing()
    assert dice(sitk.GetArrayFromImage(back) == 1, truth == 1) > 0.95


def test_every_structure_of_an_oblique_anisotropic_scan_comes_back():
    raw = centered_geometry((180, 140, 80), (0.7, 0.9, 1.6), oblique(18, -11, 25), (31, -42, 77))
    codes = heart_codes(raw, (35, -40, 75))
    classes = to_classes(raw.apply(codes), "label", HEART)
    image = raw.apply(heart_image(raw, (35, -40, 75)).astype(np.float32))
    subject = preprocess("a", "mr", image, classes, size=128, spacing_mm=1.0, center_on_label=True)
    assert subject.label_inside == pytest.approx(1, abs=0.01)
    back = sitk.GetArrayFromImage(labels_to_raw(subject.label, subject, HEART))
    for code in (205, 420, 500, 820):
        assert dice(back == code, codes == code) > 0.97, code
    assert set(np.unique(back)) == {0, 205, 420, 500, 820}


def test_interpolation_is_one_linear_step():
    raw = centered_geometry((20, 22, 24), (2.0, 1.8, 1.6), oblique(20, 10, 40), (5, 6, 7))
    volume = np.random.default_rng(1).normal(size=raw.shape_kji).astype(np.float32)
    # Target as fine as the raw spacing: no smoothing, so SciPy must find the same values.
    subject = preprocess("a", "mr", raw.apply(volume), size=24, spacing_mm=1.6)
    offsets = points_mm(subject.grid) - np.array(raw.origin_mm)
    steps = offsets @ np.reshape(raw.direction, (3, 3)) / np.array(raw.spacing_mm)
    expected = ndimage.map_coordinates(
        volume, np.moveaxis(steps, -1, 0)[::-1], order=1, cval=np.nan
    )
    interior = ~np.isnan(expected) & (subject.image < subject.image.max())
    slope, start = np.polyfit(expected[interior], subject.image[interior], 1)
    np.testing.assert_allclose(
        subject.image[interior], slope * expected[interior] + start, atol=1e-4
    )
    assert interior.sum() > 2000 and slope > 0


def test_smoothing_has_the_stated_width_on_every_axis():
    volume = np.zeros((21, 61, 41), np.float32)
    volume[10, 30, 20] = 1
    spacing_mm = (1.0, 0.5, 4.0)  # i, j, k; the last is coarser than the target
    smooth = anti_alias(centered_geometry((41, 61, 21), spacing_mm).apply(volume), 3.0)
    values = sitk.GetArrayFromImage(smooth)
    assert values.sum() == pytest.approx(1, abs=1e-4)
    for axis, raw_mm, expected_mm2 in ((2, 1.0, 8 / 5.545), (1, 0.5, 8.75 / 5.545), (0, 4.0, 0)):
        profile = values.sum(tuple({0, 1, 2} - {axis}))
        offsets_mm = (np.arange(profile.size) - profile.size // 2) * raw_mm
        assert (profile * offsets_mm**2).sum() == pytest.approx(expected_mm2, rel=0.01, abs=1e-9)


def test_stripes_finer_than_the_grid_do_not_alias():
    raw = centered_geometry((96, 96, 96), (1.0, 1.0, 1.0))
    step = (points_mm(raw)[..., 0] > 0) * 10.0
    stripes = 10.0 * (np.arange(96) % 2)
    subject = preprocess(
        "a", "ct", raw.apply((step + stripes).astype(np.float32)), size=20, spacing_mm=4.0
    )
    plain = preprocess("a", "ct", raw.apply(step.astype(np.float32)), size=20, spacing_mm=4.0)
    np.testing.assert_allclose(subject.image, plain.image, atol=0.05)


def test_an_image_as_coarse_as_the_grid_is_not_smoothed():
    image = centered_geometry((8, 8, 8), (3.0, 4.0, 5.0)).blank(sitk.sitkFloat32)
    assert anti_alias(image, 3.0) is image


def test_normalize_by_hand():
    # 50 values 1..50 in the field of view: the 98th percentile lies at 1 + 0.98 * 49 = 49.02.
    volume = np.full((2, 5, 10), np.nan, np.float32)
    volume[0] = np.arange(1, 51).reshape(5, 10)
    values = np.minimum(np.arange(1, 51), 49.02)
    normalized, cut = normalize(volume, "a")
    assert cut == pytest.approx(49.02)
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(
        normalized[0].ravel(), (values - values.mean()) / values.std(), rtol=1e-5
    )
    np.testing.assert_array_equal(normalized[1], normalized[0, 0, 0])


def test_padding_does_not_enter_the_statistics():
    raw = centered_geometry((20, 20, 20), (2.0, 2.0, 2.0), oblique(0, 0, 30))
    volume = np.random.default_rng(0).normal(1000, 50, raw.shape_kji).astype(np.float32)
    subject = preprocess("a", "ct", raw.apply(volume), size=48, spacing_mm=1.5)
    padding = subject.image == subject.image.min()
    # The scan is 40 mm a side and the grid 72 mm, so four fifths of it are padding.
    assert padding.mean() == pytest.approx(1 - 40**3 / 72**3, abs=0.01)
    assert subject.image[0, 0, 0] == subject.image.min()
    assert subject.image[~padding].mean() == pytest.approx(0, abs=0.01)
    assert subject.image[~padding].std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("bright", [0, 1])
def test_nothing_left_after_the_cut_is_an_error(bright):
    volume = np.zeros((10, 10, 10), np.float32)
    volume[0, 0, :bright] = 5
    with pytest.raises(DataError, match="mr_train_7_image: nothing to see"):
        normalize(volume, "mr_train_7_image")


def test_a_grid_beside_the_scan_is_an_error():
    with pytest.raises(DataError, match="mr_7: no voxel of the prepared grid lies inside the scan"):
        normalize(np.full((3, 3, 3), np.nan, np.float32), "mr_7")


def test_center_is_the_bounding_box_of_all_structures():
    raw = centered_geometry((40, 30, 20), (1.0, 2.0, 3.0), AXIAL, (100, 0, 0))
    classes = np.zeros(raw.shape_kji, np.uint8)
    classes[4:9, 10, 20] = 1  # k 4..8, j 10..12, i 20..30: middle (25, 11, 6)
    classes[5, 12, 30] = 4
    x, y, z = raw.origin_mm
    assert box_center_mm(raw.apply(classes)) == pytest.approx((x + 25, y + 22, z + 18))


def test_labels_move_the_grid_only_where_asked():
    raw = centered_geometry((40, 40, 40), (3.0, 3.0, 3.0), oblique(5, 0, 0), (10, 20, 30))
    image = raw.apply(heart_image(raw, (20, 25, 35)).astype(np.float32))
    classes = to_classes(raw.apply(heart_codes(raw, (20, 25, 35))), "label", HEART)
    options = {"size": 32, "spacing_mm": 3.5}
    plain = preprocess("a", "ct", image, None, **options)
    labeled = preprocess("a", "ct", image, classes, **options)
    centered = preprocess("a", "ct", image, classes, **options, center_on_label=True)
    unlabeled = preprocess("a", "ct", image, None, **options, center_on_label=True)
    for other in (labeled, unlabeled):
        assert other.grid == plain.grid and other.intensity_cut == plain.intensity_cut
        np.testing.assert_array_equal(other.image, plain.image)
    assert plain.label is None and plain.label_inside is None
    middle = plain.grid.blank().TransformContinuousIndexToPhysicalPoint((15.5,) * 3)
    assert middle == pytest.approx((10, 20, 30))
    middle = centered.grid.blank().TransformContinuousIndexToPhysicalPoint((15.5,) * 3)
    assert middle == pytest.approx(box_center_mm(classes))
    assert math.dist(middle, (20, 25, 35)) < 12


def test_share_of_the_structures_inside_the_grid():
    raw = centered_geometry((60, 60, 60), (1.0, 1.0, 1.0))
    classes = np.zeros(raw.shape_kji, np.uint8)
    classes[10:50, 10:50, 10:50] = 3  # 40 mm a side, cut to 20 mm by the grid
    image = raw.apply(np.random.default_rng(0).normal(size=raw.shape_kji).astype(np.float32))
    subject = preprocess("a", "ct", image, raw.apply(classes), size=20, spacing_mm=1.0)
    assert subject.label_inside == pytest.approx(1 / 8)
