"""Randomized appearance: what it keeps, what it changes, and by how much."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from cmda_tf.transforms.intensity import (
    augment_intensity,
    blurred,
    monotone_curve,
    own_convolution,
    random_increments,
    random_network,
    smooth_fields,
)
from cmda_tf.transforms.settings import IntensityAugmentation

ALL = IntensityAugmentation(1.0, 0.3, random_networks=1.0, contrast=0.2, blur=0.7, noise=0.2)
SEED = tf.constant([5, 6], tf.int64)


@pytest.fixture(scope="module")
def images():
    """Four images of mean 0 and deviation 1; the left quarter is padding."""
    values = np.random.default_rng(0).gamma(2.0, 1.0, (4, 24, 20, 3))
    values[:, :, :5] = values.min(axis=(1, 2, 3), keepdims=True) - 0.2
    centered = values - values.mean(axis=(1, 2, 3), keepdims=True)
    return tf.constant(centered / values.std(axis=(1, 2, 3), keepdims=True), tf.float32)


def test_off_is_the_very_same_image(images):
    assert augment_intensity(images, SEED, None) is images
    assert augment_intensity(images, SEED, IntensityAugmentation()) is images


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(IntensityAugmentation)])
def test_each_effect_is_a_function_of_the_seed_alone(images, name):
    one = IntensityAugmentation(**{name: 0.9})
    first, again, other = (augment_intensity(images, [1, n], one).numpy() for n in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    assert np.abs(first - images).max() > 0.01
    assert first.dtype == np.float32 and first.shape == images.shape


def test_effects_differ_between_images_and_agree_between_slices():
    same = tf.tile(tf.random.stateless_uniform([1, 16, 16, 1], [0, 0]), [3, 1, 1, 3])
    actual = augment_intensity(same, SEED, dataclasses.replace(ALL, noise=0.0)).numpy()
    np.testing.assert_array_equal(actual[..., 0], actual[..., 2])
    assert np.abs(actual[0] - actual[1]).max() > 0.05
    noisy = augment_intensity(same, SEED, IntensityAugmentation(noise=0.5)).numpy()
    assert np.abs(noisy[..., 0] - noisy[..., 2]).max() > 0.05  # noise is each slice's own


def test_curve_keeps_order_mean_and_deviation(images):
    actual = augment_intensity(images, SEED, IntensityAugmentation(intensity_curves=1.0)).numpy()
    for before, after in zip(images.numpy(), actual):
        order = np.argsort(before, axis=None)
        assert (np.diff(after.ravel()[order]) >= -1e-5).all()
    np.testing.assert_allclose(actual.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(actual.std(axis=(1, 2, 3)), 1, atol=1e-4)


def test_curve_by_hand():
    # Degree 2, increments 1/4 and 3/4: f(x) = 2 x (1 - x) / 4 + x^2 = x / 2 + x^2 / 2.
    x = np.linspace(0, 1, 5, dtype=np.float32).reshape(1, 5, 1, 1)
    actual = monotone_curve(tf.constant(x), tf.constant([[0.25, 0.75]]))
    np.testing.assert_allclose(actual, x / 2 + x**2 / 2, atol=1e-6)
    np.testing.assert_allclose(monotone_curve(tf.constant(x), tf.fill([1, 6], 1 / 6)), x, atol=1e-6)


def test_curves_have_the_documented_spread():
    increments = random_increments(SEED, 4000, IntensityAugmentation(intensity_curves=1.0))
    np.testing.assert_allclose(tf.reduce_sum(increments, axis=1), 1, atol=1e-5)
    ratio = tf.reduce_max(increments, axis=1) / tf.reduce_min(increments, axis=1)
    assert float(tf.reduce_min(ratio)) > 1 and float(tf.reduce_max(ratio)) <= np.exp(4)
    grid = tf.tile(tf.reshape([0.0, 0.25, 0.5, 0.75, 1.0], [1, 5, 1, 1]), [4000, 1, 1, 1])
    curves = monotone_curve(grid, increments).numpy()[:, :, 0, 0]
    np.testing.assert_allclose(curves[:, [0, -1]], [[0, 1]] * 4000, atol=1e-5)
    assert (np.diff(curves, axis=1) > 0).all()
    assert curves[:, 2].mean() == pytest.approx(0.5, abs=0.01)
    assert curves[:, 2].std() == pytest.approx(0.13, abs=0.01)


def test_network_keeps_mean_deviation_and_what_is_constant(images):
    actual = random_network(images, SEED).numpy()
    np.testing.assert_allclose(actual.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(actual.std(axis=(1, 2, 3)), 1, atol=1e-4)
    # Padding is 5 columns wide, and 4 layers see as many pixels aside.
    assert (np.ptp(actual[:, :, :1], axis=(1, 2, 3)) < 1e-5).all()
    flat = tf.fill([2, 16, 16, 3], -0.8)
    np.testing.assert_allclose(random_network(flat, SEED), flat, atol=1e-5)


def test_networks_turn_some_images_dark_to_bright():
    ramp = tf.tile(tf.reshape(tf.linspace(-1.0, 3.0, 256), [1, 16, 16, 1]), [400, 1, 1, 1])
    actual = random_network(ramp, SEED).numpy().reshape(400, -1)
    rises = actual[:, -40] > actual[:, 40]
    assert 0.4 < rises.mean() < 0.6


def test_own_convolution_is_scipys():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 7, 5, 2)).astype(np.float32)
    kernels, shifts = rng.normal(size=(2, 9, 2, 4)), rng.normal(size=(2, 4))
    actual = own_convolution(x, kernels.astype(np.float32), shifts.astype(np.float32)).numpy()
    for b, c, o in np.ndindex(2, 3, 4):
        parts = [
            ndimage.correlate(x[b, c, ..., i], kernels[b, :, i, o].reshape(3, 3), mode="reflect")
            for i in range(2)
        ]
        np.testing.assert_allclose(actual[b, c, ..., o], sum(parts) + shifts[b, o], atol=1e-4)


def test_padding_stays_constant_unless_blurred(images):
    strengths = IntensityAugmentation(intensity_curves=1.0, bias_field=0.5, contrast=0.3, noise=0.5)
    actual = augment_intensity(images, SEED, strengths).numpy()
    assert (np.ptp(actual[:, :, :5], axis=(1, 2, 3)) < 1e-6).all()
    bent = augment_intensity(
        images, SEED, IntensityAugmentation(intensity_curves=1.0, bias_field=0.5)
    ).numpy()
    np.testing.assert_array_equal(bent[:, 0, 0, 0], bent.min(axis=(1, 2, 3)))


def test_constant_image_stays_finite_and_constant():
    flat = tf.fill([2, 16, 16, 3], -0.8)
    actual = augment_intensity(flat, SEED, ALL).numpy()
    assert np.isfinite(actual).all() and (np.ptp(actual, axis=(1, 2, 3)) < 1e-5).all()
    bent = augment_intensity(
        flat, SEED, IntensityAugmentation(intensity_curves=1.0, bias_field=0.3)
    )
    np.testing.assert_allclose(bent, flat, atol=1e-6)


def test_fields_have_mean_zero_and_mean_square_one():
    fields = smooth_fields(SEED, 3000, 24, 16).numpy()
    np.testing.assert_allclose(fields.mean(axis=(1, 2)), 0, atol=1e-5)
    assert np.square(fields).mean() == pytest.approx(1, abs=0.05)
    steps = np.diff(fields, axis=1)
    assert np.square(steps).mean() < 0.1  # smooth: a whole period takes the image's height


def test_bias_field_multiplies_what_lies_above_the_minimum(images):
    actual = augment_intensity(images, SEED, IntensityAugmentation(bias_field=0.4)).numpy()
    factors = (actual - actual[:, :1, :1, :1])[:, :, 5:] / (images - images[:, :1, :1, :1])[
        :, :, 5:
    ]
    logarithms = np.log(factors)  # a field and, from the standardization, a constant
    logarithms -= logarithms.mean(axis=(1, 2, 3), keepdims=True)
    assert np.ptp(logarithms, axis=-1).max() < 1e-2  # the same for the three slices
    assert 0.2 < logarithms.std() < 0.7


def test_contrast_keeps_its_range():
    images = tf.tile(tf.constant([[[[0.0]], [[1.0]]]]), [2000, 1, 1, 1])
    actual = augment_intensity(images, SEED, IntensityAugmentation(contrast=0.2)).numpy()[
        :, :, 0, 0
    ]
    shift, factor = actual[:, 0], actual[:, 1] - actual[:, 0]
    for values, middle in ((shift, 0.0), (factor, 1.0)):
        assert np.abs(values - middle).max() <= 0.2 + 1e-6
        assert values.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)  # uniform
    assert abs(np.corrcoef(shift, factor)[0, 1]) < 0.1


def test_noise_has_its_deviation():
    ramp = tf.tile(tf.reshape(tf.linspace(0.0, 1.0, 1024), [1, 32, 32, 1]), [500, 1, 1, 1])
    difference = (augment_intensity(ramp, SEED, IntensityAugmentation(noise=0.3)) - ramp).numpy()[
        :, 1:
    ]
    sigmas = difference.std(axis=(1, 2, 3))
    assert sigmas.max() < 0.33 and sigmas.mean() == pytest.approx(0.15, abs=0.02)
    assert np.abs(difference.mean()) < 0.005


def test_blur_of_a_point_is_a_gaussian_in_the_plane():
    point = np.zeros((2, 21, 17, 3), np.float32)
    point[:, 10, 8, 1] = 1
    actual = blurred(tf.constant(point), tf.constant([1.5, 0.0])).numpy()
    np.testing.assert_array_equal(actual[1], point[1])
    y, x = np.mgrid[-10:11, -8:9]
    gaussian = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    np.testing.assert_allclose(actual[0, ..., 1], gaussian / gaussian.sum(), atol=1e-5)
    assert not actual[0, ..., [0, 2]].any()
    constant = blurred(tf.ones([1, 9, 9, 1]), tf.constant([2.0]))
    np.testing.assert_allclose(constant, 1, atol=1e-5)


def test_no_gradient_and_the_same_in_a_graph(images):
    with tf.GradientTape() as tape:
        tape.watch(images)
        actual = augment_intensity(images, SEED, ALL)
    assert tape.gradient(actual, images) is None
    signature = [tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([2], tf.int64)]
    graph = tf.function(lambda x, seed: augment_intensity(x, seed, ALL), input_signature=signature)
    np.testing.assert_allclose(graph(images, SEED), actual, atol=1e-4)
    np.testing.assert_array_equal(graph(images, SEED), graph(images, SEED))
