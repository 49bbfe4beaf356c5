"""Eqs. 5 and 6 against values worked by hand, and the clipping constraint."""

import numpy as np
import tensorflow as tf

from cmda_tf.losses.wasserstein import clip_weights, clipped_weights, critic_loss, dam_loss
from cmda_tf.models.critic import build_critic


def test_signs():
    target, source = tf.constant([[1.0], [3.0]]), tf.constant([[5.0], [9.0]])
    assert float(dam_loss(target)) == -2.0
    assert float(critic_loss(target, source)) == 2.0 - 7.0


def test_kernels_are_clipped_and_normalisation_is_not(config):
    critic = build_critic(config, 4)
    for variable in critic.trainable_variables:
        variable.assign(tf.fill(variable.shape, 0.5))
    kernels = clipped_weights(critic)
    clip_weights(kernels, 0.03)
    assert len(kernels) == 2 * 5 + 5 + 1 + 1  # blocks, strided convolutions, down6, score
    for variable in critic.trainable_variables:
        value = np.unique(np.asarray(variable))
        assert value == (np.float32(0.03) if len(variable.shape) > 1 else np.float32(0.5))
