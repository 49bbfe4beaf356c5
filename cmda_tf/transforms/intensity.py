"""Randomized appearance on the device: the same anatomy as another scanner might show it.

A segmenter that has seen many appearances of its source relies less on the one it has (Billot
et al., "SynthSeg", Medical Image Analysis 2023; Zhou et al., "Models Genesis", 2019, for random
monotone intensity curves; Ouyang et al., "Causality-inspired single-source domain generalization
for medical image segmentation", TMI 2022, for random networks). Labels do not change.

Images are `[B, H, W, C]` float32, standardized by volume and cut at a percentile: most values lie
in -1..3. The C channels are neighboring slices of one volume and share all but the noise. Padding,
which holds the smallest value, stays as constant as it is in the prepared volumes: curves and bias
fields have it as their fixed point, networks map a constant to a constant, the noise leaves it out.
"""

import math
from dataclasses import astuple
from itertools import pairwise
from typing import Any

import tensorflow as tf

from cmda_tf.transforms.settings import IntensityAugmentation

CURVE_DEGREE = 6
FIELD_FREQUENCIES = 3  # constant, half a period and a whole one along each axis
NETWORK_WIDTHS = (2, 2, 2, 1)  # output channels of a random network's layers
_PADDING = 1e-3  # share of the range above the minimum that still counts as padding
_TINY = 1e-6


def augment_intensity(
    images: tf.Tensor, seed: tf.Tensor, strengths: IntensityAugmentation | None
) -> tf.Tensor:
    """Gives each image an appearance of its own, a function of the seed `[2]`; without a gradient.

    Volumes are standardized, so curve, bias and network leave mean and standard deviation of each
    image as they were; only contrast moves them. No strengths, or 0 for all: the very same images.
    """
    if strengths is None or not any(astuple(strengths)):
        return images
    seeds = [tf.random.experimental.stateless_fold_in(seed, k) for k in range(8)]
    low = tf.reduce_min(images, [1, 2, 3], keepdims=True)
    extent = tf.reduce_max(images, [1, 2, 3], keepdims=True) - low
    x = (images - low) / tf.maximum(extent, _TINY)
    seen = tf.cast(x > _PADDING, images.dtype)
    if strengths.intensity_curves:
        x = monotone_curve(x, random_increments(seeds[0], tf.shape(x)[0], strengths))
    if strengths.bias_field:
        fields = smooth_fields(seeds[1], *tf.unstack(tf.shape(x)[:3]))
        x *= tf.exp(strengths.bias_field * fields[..., tf.newaxis])
    if strengths.intensity_curves or strengths.bias_field:
        images = _standardized_as(x, images)
    if strengths.random_networks:
        shares = _up_to(strengths.random_networks, seeds[6], [tf.shape(images)[0], 1, 1, 1])
        x = images + shares * (random_network(images, seeds[7]) - images)
        images = _standardized_as(x, images)
    if strengths.contrast:
        unit = tf.random.stateless_uniform([2, tf.shape(x)[0], 1, 1, 1], seeds[2], -1.0, 1.0)
        images = images * (1.0 + strengths.contrast * unit[0]) + strengths.contrast * unit[1]
    if strengths.blur:
        images = blurred(images, _up_to(strengths.blur, seeds[3], tf.shape(images)[:1]))
    if strengths.noise:
        sigmas = _up_to(strengths.noise, seeds[4], [tf.shape(images)[0], 1, 1, 1])
        images += seen * sigmas * tf.random.stateless_normal(tf.shape(images), seeds[5])
    return tf.stop_gradient(images)


def random_network(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Each image through a shallow convolutional network of its own, with random weights.

    Layers of `NETWORK_WIDTHS` channels; half of their kernels see 3x3 pixels, half of them one.
    The C slices of an image share its network. Each image of the result `[B, H, W, C]` has the mean
    and the standard deviation that it had.
    """
    fold_in, count = tf.random.experimental.stateless_fold_in, tf.shape(images)[0]
    x = tf.transpose(images, [0, 3, 1, 2])[..., tf.newaxis]  # slices beside the batch
    for index, (inputs, outputs) in enumerate(pairwise((1, *NETWORK_WIDTHS))):
        draws = [fold_in(fold_in(seed, index), k) for k in range(3)]
        kernels = tf.random.stateless_normal([count, 9, inputs, outputs], draws[0])
        wide = tf.random.stateless_uniform([count, 1, 1, 1], draws[1]) < 0.5
        kernels *= tf.where(wide, 1.0, tf.one_hot(4, 9)[:, tf.newaxis, tf.newaxis])
        shifts = tf.random.stateless_normal([count, outputs], draws[2])
        x = own_convolution(tf.nn.leaky_relu(x, 0.01) if index else x, kernels, shifts)
    return _standardized_as(tf.transpose(x[..., 0], [0, 2, 3, 1]), images)


def own_convolution(x: tf.Tensor, kernels: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
    """A 3x3 convolution with kernels of each image's own; the borders are mirrored.

    Of x `[B, C, H, W, I]` with kernels `[B, 9, I, O]`, row by row, and shifts `[B, O]`; gives
    `[B, C, H, W, O]`.
    """
    height, width = tf.shape(x)[2], tf.shape(x)[3]
    padded = tf.pad(x, [[0, 0], [0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    places = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    sums = tf.einsum("bchwki,bkio->bchwo", tf.stack(places, axis=4), kernels)
    return sums + shifts[:, tf.newaxis, tf.newaxis, tf.newaxis]


def random_increments(seed, count: tf.Tensor, strengths: IntensityAugmentation) -> tf.Tensor:
    """`[count, CURVE_DEGREE]` positive increments that sum to 1, for `monotone_curve`.

    Those of one curve differ by a factor of at most exp(4 intensity_curves).
    """
    normal = tf.random.stateless_truncated_normal([count, CURVE_DEGREE], seed)  # within +-2
    return tf.nn.softmax(strengths.intensity_curves * normal)


def monotone_curve(x: tf.Tensor, increments: tf.Tensor) -> tf.Tensor:
    """Smooth increasing curves from (0, 0) to (1, 1).

    A Bernstein polynomial whose coefficients increase is itself increasing; its slope lies between
    `degree` times the smallest and the largest increment. Equal increments give the identity. A
    curve for each image of x `[B, H, W, C]` in 0..1, from increments `[B, degree]`, positive with
    sum 1.
    """
    sums = tf.cumsum(tf.pad(increments, [[0, 0], [1, 0]]), axis=1)
    level = [c[:, tf.newaxis, tf.newaxis, tf.newaxis] for c in tf.unstack(sums, axis=1)]
    while len(level) > 1:  # de Casteljau's algorithm
        level = [a + x * (b - a) for a, b in pairwise(level)]
    return level[0]


def smooth_fields(seed, count: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """`[count, height, width]` random sums of low cosines: each of mean 0 and, in expectation,
    mean square 1."""
    waves = FIELD_FREQUENCIES**2 - 1  # all but the constant
    weights = tf.random.stateless_normal([count, waves], seed)
    weights = tf.pad(weights, [[0, 0], [1, 0]]) / math.sqrt(waves)
    weights = tf.reshape(weights, [count, FIELD_FREQUENCIES, FIELD_FREQUENCIES])
    return tf.einsum("bkl,kh,lw->bhw", weights, _cosines(height), _cosines(width))


def _cosines(length: tf.Tensor) -> tf.Tensor:
    """`[FIELD_FREQUENCIES, length]`: orthogonal, each of mean square 1."""
    places = (tf.range(tf.cast(length, tf.float32)) + 0.5) / tf.cast(length, tf.float32)
    orders = tf.range(1.0, float(FIELD_FREQUENCIES))[:, tf.newaxis]
    waves = math.sqrt(2.0) * tf.cos(math.pi * orders * places)
    return tf.concat([tf.ones_like(places)[tf.newaxis], waves], axis=0)


def blurred(images: tf.Tensor, sigmas: tf.Tensor) -> tf.Tensor:
    """Gaussian blur in the plane, a width for each image; weights at the borders sum to 1.

    Of images `[B, H, W, C]` by standard deviations `[B]` in pixels; 0 leaves an image as it is.
    """
    rows, columns = (_gaussians(sigmas, tf.shape(images)[axis]) for axis in (1, 2))
    blurred = tf.einsum("bxj,byjc->byxc", columns, tf.einsum("byi,bijc->byjc", rows, images))
    # Some processors' softmax of a single weight is a hair below 1.
    return tf.where(sigmas[:, tf.newaxis, tf.newaxis, tf.newaxis] > 0, blurred, images)


def _gaussians(sigmas: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """`[B, length, length]` weights of each pixel (last axis) in each blurred one."""
    places = tf.range(tf.cast(length, tf.float32))
    steps = (places[:, tf.newaxis] - places) / tf.maximum(sigmas, _TINY)[:, tf.newaxis, tf.newaxis]
    return tf.nn.softmax(-0.5 * tf.square(steps))


def _up_to(largest: float, seed: tf.Tensor, shape: Any) -> tf.Tensor:
    """Uniform in 0..largest."""
    return tf.random.stateless_uniform(shape, seed, 0.0, largest)


def _standardized_as(x: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """`x` with the mean and the standard deviation of each of the `images`."""
    mean, variance = tf.nn.moments(images, [1, 2, 3], keepdims=True)
    x_mean, x_variance = tf.nn.moments(x, [1, 2, 3], keepdims=True)
    return (x - x_mean) * tf.sqrt(variance / tf.maximum(x_variance, _TINY**2)) + mean
