"""The random affine maps and their two implementations."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.transforms import affine as module
from cmda_tf.transforms.affine import augment_affine, random_affine, transform
from cmda_tf.transforms.settings import AffineAugmentation

RANGES = AffineAugmentation(rotation_degrees=25, zoom=0.2, shear=0.2, translation=0.1)
IDENTITY = [1.0, 0, 0, 0, 1, 0, 0, 0]


@pytest.fixture(scope="module")
def images():
    shape = (3, 17, 17, 3)
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def test_same_seed_same_maps(images):
    one, two, other = (augment_affine(images, None, [5, n], RANGES)[0].numpy() for n in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 0.1
    assert np.abs(one[0] - one[1]).max() > 0.1  # each image has a map of its own


def test_no_augmentation_and_no_range_leave_images_as_they_are(images):
    for off in (None, AffineAugmentation(augment=False)):
        assert augment_affine(images, None, [0, 0], off)[0] is images
    still = AffineAugmentation(True, 0, 0, 0, 0)
    np.testing.assert_allclose(augment_affine(images, None, [0, 0], still)[0], images, atol=1e-5)
    np.testing.assert_array_equal(transform(images, tf.constant([IDENTITY]), "nearest"), images)


def test_label_follows_its_image():
    label = np.zeros((4, 32, 32), np.uint8)
    label[:, 8:20, 10:26] = 3
    image = np.repeat(label[..., None], 3, axis=-1).astype(np.float32)
    warped, moved = augment_affine(tf.constant(image), tf.constant(label), [1, 2], RANGES)
    warped, moved = warped.numpy()[..., 1], moved.numpy()
    assert moved.dtype == np.uint8 and set(np.unique(moved)) == {0, 3}
    assert (moved != label).any()
    inside, outside = warped > 2.99, warped < 0.01  # away from the interpolated edge
    assert (moved[inside] == 3).all() and (moved[outside] == 0).all()
    assert inside.sum() > 300


def test_quarter_turn_equals_numpy():
    image = np.random.default_rng(0).normal(size=(1, 9, 9, 1)).astype(np.float32)
    # Output (x, y) from input (8 - y, x): a quarter turn about the center of 9 pixels.
    turned = transform(tf.constant(image), tf.constant([[0, -1.0, 8, 1, 0, 0, 0, 0]]), "bilinear")
    np.testing.assert_allclose(turned[0, ..., 0], np.rot90(image[0, ..., 0]), atol=1e-6)


def test_maps_keep_their_ranges():
    maps = random_affine([3, 4], 500, 33, 33, RANGES).numpy()
    assert maps.shape == (500, 8) and not maps[:, 6:].any()
    linear = maps[:, [0, 1, 3, 4]].reshape(-1, 2, 2)
    scale = np.sqrt(np.linalg.det(linear))  # rotation and shear keep areas
    assert 0.8 <= scale.min() < 0.83 and 1.17 < scale.max() <= 1.2
    angle = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    assert 23 < np.abs(angle).max() <= 25
    center = np.einsum("nij,j->ni", linear, [16, 16]) + maps[:, [2, 5]] - 16
    assert 3 < np.abs(center).max() <= 3.3 + 1e-4  # a tenth of 33 pixels


def test_zoom_changes_sizes_by_its_factor():
    maps = random_affine([5, 6], 20, 64, 64, AffineAugmentation(True, 0, 0.5, 0, 0))
    square = np.zeros((20, 64, 64, 1), np.float32)
    square[:, 22:42, 22:42] = 1
    sides = np.sqrt(transform(tf.constant(square), maps, "bilinear").numpy().sum((1, 2, 3)))
    # A map leads from output to input pixels, so its scale is one over the zoom.
    np.testing.assert_allclose(sides, 20 / maps.numpy()[:, 0], atol=0.5)
    assert sides.max() > 24 and sides.min() < 16


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_addons_and_core_operation_are_equal(images, interpolation):
    if module.transform is not module.transform_addons:
        pytest.skip("tensorflow-addons cannot be imported on this stack")
    maps = random_affine([9, 9], 3, 17, 17, RANGES)
    expected = module.transform_addons(images, maps, interpolation)
    np.testing.assert_array_equal(module.transform_core(images, maps, interpolation), expected)
    labels = tf.cast(images > 0, tf.uint8)
    actual = module.transform_core(labels, maps, "nearest")
    assert actual.dtype == tf.uint8
    np.testing.assert_array_equal(actual, module.transform_addons(labels, maps, "nearest"))
