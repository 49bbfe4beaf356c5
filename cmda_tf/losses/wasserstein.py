"""The adversarial losses (the paper, Eqs. 5 and 6) and what keeps the critic Lipschitz.

Eq. 6 clips the critic's weights. Two later constraints do the same job: the gradient penalty
(Gulrajani et al., 2017) and a bound of the kernels' spectral norms (after Miyato et al., 2018).
"""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

_POWER_ITERATIONS = 10


def dam_loss(target_scores: tf.Tensor) -> tf.Tensor:
    """Eq. 5: minus the mean of the critic's scores `[B, 1]` of target features."""
    return -tf.reduce_mean(target_scores)


def critic_loss(target_scores: tf.Tensor, source_scores: tf.Tensor) -> tf.Tensor:
    """Eq. 6: mean score of target features minus mean score of source features, `[B, 1]` each.

    Its negative is the critic's estimate of the Wasserstein distance, up to a factor.
    """
    return tf.reduce_mean(target_scores) - tf.reduce_mean(source_scores)


def clipped_weights(critic: tf.keras.Model) -> list[Any]:
    """The critic's convolution and linear kernels.

    The normalization's scale and shift are left free, as in the authors' program: bounding them
    too would bound the features it is there to rescale.
    """
    return [v for v in critic.trainable_variables if len(v.shape) > 1]


def clip_weights(variables: Iterable[Any], bound: float) -> None:
    """Clips each variable to [-bound, bound]: the Lipschitz constraint of Eq. 6."""
    for variable in variables:
        variable.assign(tf.clip_by_value(tf.convert_to_tensor(variable), -bound, bound))


def bound_spectral_norms(variables: Iterable[Any], seed: tf.Tensor) -> None:
    """Divides each kernel, seen as the matrix [inputs, outputs], by its norm where above 1.

    The norm is a few power iterations' estimate, from a new start (by the seed `[2]`) at each
    update: an update changes a kernel little, so what one estimate misses the next ones find.
    """
    for variable in variables:
        kernel = tf.convert_to_tensor(variable)
        matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
        right = tf.random.stateless_normal([kernel.shape[-1], 1], seed)
        for _ in range(_POWER_ITERATIONS):
            left = tf.math.l2_normalize(matrix @ right)
            right = tf.math.l2_normalize(tf.transpose(matrix) @ left)
        norm = tf.norm(matrix @ right)
        variable.assign(kernel / tf.maximum(norm, 1.0))


def gradient_penalty(
    critic: tf.keras.Model, source: tf.Tensor, target: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Mean squared distance of the score's gradient norm from 1, between source and target.

    At random points (by the seed `[2]`) on the lines between critic inputs `[B, H, W, C]`. The
    critic has no BatchNorm, which would make one sample's score depend on the others.
    """
    share = tf.random.stateless_uniform([tf.shape(source)[0], 1, 1, 1], seed)
    share = tf.cast(share, source.dtype)
    between = share * source + (1 - share) * target
    with tf.GradientTape() as tape:
        tape.watch(between)
        scores = critic(between, training=True)
    gradients = tf.cast(tape.gradient(scores, between), tf.float32)
    norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]) + 1e-12)
    return tf.reduce_mean(tf.square(norms - 1.0))
