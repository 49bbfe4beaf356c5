"""From probabilities on the model's grid to a segmentation on the image's, worked by hand."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique

from cmda_tf.data.structures import Structure, Structures
from cmda_tf.inference.segmentation import to_segmentation
from cmda_tf.volumes.geometry import Geometry

TABLE = Structures(
    (Structure("liver", 1, (6,), "#a0522d"), Structure("kidneys", 2, (2, 3), "#ffd21f")),
    background_codes=(0,),
    columns=("kidneys", "liver"),
)
SEEN = centered_geometry((4, 4, 4), (2.0, 2.0, 2.0))


def one_hot(classes):
    return np.eye(3, dtype=np.float32)[classes]


def array(image):
    return sitk.GetArrayFromImage(image)


def test_on_the_same_grid_it_is_the_argmax():
    p = np.random.default_rng(0).dirichlet([1, 1, 1], (4, 4, 4)).astype(np.float32)
    actual = to_segmentation(p, SEEN, SEEN, TABLE)
    np.testing.assert_array_equal(array(actual.classes), p.argmax(axis=-1))
    np.testing.assert_array_equal(array(actual.label), np.array([0, 6, 2])[p.argmax(axis=-1)])
    assert actual.label.GetPixelID() == sitk.sitkUInt16
    np.testing.assert_allclose(array(actual.probability("kidneys")), p[..., 2], atol=1e-6)
    entropy = -(p * np.log(p)).sum(axis=-1) / math.log(3)
    np.testing.assert_allclose(array(actual.entropy()), entropy, atol=1e-5)
    with pytest.raises(KeyError):
        actual.probability("spleen")


def test_image_grid_is_kept_exactly_and_beyond_is_background():
    raw = centered_geometry((13, 11, 9), (1.5, 1.1, 2.3), oblique(10, 20, -30), (1, 2, 3))
    actual = to_segmentation(one_hot(np.ones((4, 4, 4), int)), SEEN, raw, TABLE)
    for image in (actual.label, actual.classes, actual.entropy(), actual.probability("liver")):
        assert Geometry.of(image) == raw
    corner = array(actual.label)[0, 0, 0], array(actual.probability("liver"))[0, 0, 0]
    assert corner == (0, 0) and array(actual.label)[4, 5, 6] == 6


def test_outline_lies_where_probabilities_cross():
    # Along i: background 1, 1, 0.2, 0.2; liver the rest. They cross at 1 + 0.5 / 0.8 = 1.625.
    background = np.broadcast_to(np.array([1, 1, 0.2, 0.2], np.float32), (4, 4, 4))
    p = np.stack([background, 1 - background, 0 * background], axis=-1)
    raw = Geometry((31, 1, 1), (0.2, 1.0, 1.0), (SEEN.origin_mm[0], 0.0, 0.0), SEEN.direction)
    actual = array(to_segmentation(p, SEEN, raw, TABLE).classes)[0, 0]
    inside = np.arange(31) * 0.2 / 2.0 > 1.625  # in voxels of the seen grid
    np.testing.assert_array_equal(actual, inside)


def test_volumes_by_hand():
    classes = np.zeros((4, 4, 4), int)
    classes[0], classes[1, 0] = 1, 2  # 16 and 4 voxels of 8 mm3
    actual = to_segmentation(one_hot(classes), SEEN, SEEN, TABLE)
    assert actual.volumes_mm3() == {"kidneys": 32.0, "liver": 128.0}
    assert list(actual.volumes_mm3()) == ["kidneys", "liver"]


def test_largest_component_of_each_structure_is_kept():
    classes = np.zeros((4, 4, 4), int)
    classes[0, :2], classes[3, 3, 3] = 1, 1
    classes[0, 3], classes[2, 0, 0] = 2, 2
    kept = to_segmentation(one_hot(classes), SEEN, SEEN, TABLE, keep_largest=True)
    expected = classes.copy()
    expected[3, 3, 3] = expected[2, 0, 0] = 0
    np.testing.assert_array_equal(array(kept.classes), expected)
    actual = to_segmentation(one_hot(classes), SEEN, SEEN, TABLE)
    np.testing.assert_array_equal(array(actual.classes), classes)
