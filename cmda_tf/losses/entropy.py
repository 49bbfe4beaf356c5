"""Entropy of predictions, to be minimized on unlabeled images (Vu et al., 2019)."""

import math

import tensorflow as tf


def prediction_entropy(logits: tf.Tensor) -> tf.Tensor:
    """Mean entropy over pixels of the softmax of `[B, H, W, C]` float32 logits.

    As a share of its largest possible value: a scalar in 0..1.
    """
    log_p = tf.nn.log_softmax(logits)
    entropy = -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)
    return tf.reduce_mean(entropy) / math.log(logits.shape[-1])
