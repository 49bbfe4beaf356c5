"""The adversarial losses (the paper, Eqs. 5 and 6) and the clipping constraint of Eq. 6."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf


def dam_loss(target_scores: tf.Tensor) -> tf.Tensor:
    """Eq. 5: minus the mean critic score of target features.

    Args:
      target_scores: `[B, 1]`.
    """
    return -tf.reduce_mean(target_scores)


def critic_loss(target_scores: tf.Tensor, source_scores: tf.Tensor) -> tf.Tensor:
    """Eq. 6: mean score of target features minus mean score of source features.

    Its negative is the critic's estimate of the Wasserstein distance, up to a factor.

    Args:
      target_scores, source_scores: `[B, 1]`.
    """
    return tf.reduce_mean(target_scores) - tf.reduce_mean(source_scores)


def clipped_weights(critic: tf.keras.Model) -> list[Any]:
    """The critic's convolution and linear kernels.

    BatchNorm's scale and shift are left free, as in the authors' program: bounding them too
    would bound the features the norm is there to rescale.
    """
    return [v for v in critic.trainable_variables if len(v.shape) > 1]


def clip_weights(variables: Iterable[Any], bound: float) -> None:
    """Clips each variable to [-bound, bound]: the Lipschitz constraint of Eq. 6."""
    for variable in variables:
        variable.assign(tf.clip_by_value(tf.convert_to_tensor(variable), -bound, bound))
