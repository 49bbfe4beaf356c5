"""Eqs. 5 and 6 against values worked by hand, and the clipping constraint."""

import numpy as np
import tensorflow as tf

from cmda_tf.losses.wasserstein import (
    bound_spectral_norms,
    clip_weights,
    clipped_weights,
    critic_loss,
    dam_loss,
    gradient_penalty,
)
from cmda_tf.models.critic import build_critic


def test_signs():
    target, source = tf.constant([[1.0], [3.0]]), tf.constant([[5.0], [9.0]])
    assert float(dam_loss(target)) == -2.0
    assert float(critic_loss(target, source)) == 2.0 - 7.0


def test_kernels_are_clipped_and_normalization_is_not(config):
    critic = build_critic(config, 4)
    for variable in critic.trainable_variables:
        variable.assign(tf.fill(variable.shape, 0.5))
    kernels = clipped_weights(critic)
    clip_weights(kernels, 0.03)
    assert len(kernels) == 2 * 5 + 5 + 1 + 1  # blocks, strided convolutions, down6, score
    for variable in critic.trainable_variables:
        value = np.unique(np.asarray(variable))
        assert value == (np.float32(0.03) if len(variable.shape) > 1 else np.float32(0.5))


def test_spectral_norms_end_at_most_at_one():
    draw = np.random.default_rng(0).normal
    kernels = [draw(size=(3, 3, 4, 8)), 1e-3 * draw(size=(3, 3, 4, 8)), draw(size=(20, 1))]
    kernels = [tf.Variable(k.astype(np.float32)) for k in kernels]
    small = kernels[1].numpy()
    for number in range(20):  # as after each of twenty updates
        bound_spectral_norms(kernels, [0, number])
    norms = [np.linalg.norm(k.numpy().reshape(-1, k.shape[-1]), 2) for k in kernels]
    np.testing.assert_allclose(norms[::2], 1, atol=0.02)
    np.testing.assert_array_equal(kernels[1], small)


def test_gradient_penalty_of_a_linear_critic():
    inputs = tf.keras.Input((2, 2, 1))
    dense = tf.keras.layers.Dense(1, use_bias=False)
    critic = tf.keras.Model(inputs, dense(tf.keras.layers.Flatten()(inputs)))
    dense.kernel.assign([[2.0], [2.0], [2.0], [2.0]])  # gradient of norm 4 everywhere
    source, target = tf.zeros([3, 2, 2, 1]), tf.ones([3, 2, 2, 1])
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(critic, source, target, [0, 1])
    assert abs(float(penalty) - 9) < 1e-4
    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w| = 2 * 3 * 2 / 4
    np.testing.assert_allclose(tape.gradient(penalty, dense.kernel), [[3.0]] * 4, rtol=1e-4)
