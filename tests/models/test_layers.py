"""Batch normalization by the fused kernel, against Keras' own."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.models import layers
from cmda_tf.models.layers import BatchNorm

X = np.random.default_rng(0).normal(1, 2, (4, 5, 6, 3)).astype(np.float32)
SETTINGS = {"momentum": 0.9, "epsilon": 1e-3}


def pair(dtype="float32"):
    """Ours and Keras', with the same weights that are none of the initial ones."""
    made = [
        kind(**SETTINGS, dtype=dtype) for kind in (BatchNorm, tf.keras.layers.BatchNormalization)
    ]
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4)]
    for layer in made:
        layer.build(X.shape)
        layer.set_weights(weights)
    return made


def run(layer, x, training):
    """Output, and gradients of its cubes' sum with regard to input, scale and offset."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 3)
    return [y.numpy(), *(g.numpy() for g in tape.gradient(loss, [x, *layer.weights[:2]]))]


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_gradients_are_those_of_keras(monkeypatch, training, gpu):
    monkeypatch.setattr(layers, "on_gpu", lambda: gpu)
    ours, keras = pair()
    for actual, expected in zip(run(ours, X, training), run(keras, X, training)):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


def test_moving_statistics_by_hand():
    layer = pair()[0]
    mean, variance = (w.copy() for w in layer.get_weights()[2:])
    layer(X, training=False)
    np.testing.assert_array_equal(layer.get_weights()[2:], [mean, variance])
    layer(X, training=True)
    flat = X.reshape(-1, 3)
    expected = 0.9 * mean + 0.1 * flat.mean(0), 0.9 * variance + 0.1 * flat.var(0, ddof=1)
    np.testing.assert_allclose(layer.get_weights()[2:], expected, rtol=1e-5)


def test_frozen_it_uses_its_moving_statistics_and_leaves_them():
    layer = pair()[0]
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(X, training=True), layer(X, training=False))
    np.testing.assert_array_equal(layer.get_weights(), before)


def test_bfloat16_is_normalized_in_float32():
    layer = pair(tf.keras.mixed_precision.Policy("mixed_bfloat16"))[0]
    exact = pair()[0]
    half = tf.cast(X, tf.bfloat16)  # the layer's input as the layer below would give it
    actual, expected = layer(half, training=True), exact(tf.cast(half, tf.float32), training=True)
    assert actual.dtype == tf.bfloat16
    # Rounded once, at the end: half of bfloat16's last bit, 2^-9 of the value.
    np.testing.assert_allclose(tf.cast(actual, tf.float32), expected, rtol=2**-8, atol=1e-6)
    assert {w.dtype for w in layer.get_weights()} == {np.dtype(np.float32)}
