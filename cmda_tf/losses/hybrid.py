"""The hybrid segmentation loss (the paper, Eq. 1). Logits `[B, H, W, C]`, labels `[B, H, W]`."""

import tensorflow as tf

_EPSILON = 1e-7


def hybrid_loss(
    logits: tf.Tensor, labels: tf.Tensor, dice_weight: float = 1.0
) -> dict[str, tf.Tensor]:
    """Class-weighted cross-entropy minus `dice_weight` times the soft Dice.

    Args:
      logits: `[B, H, W, C]` float32, before the softmax.
      labels: `[B, H, W]` integer classes in 0..C-1.
      dice_weight: lambda of Eq. 1.

    Returns:
      Scalars `loss`, `cross_entropy` (>= 0, mean over pixels) and `dice` (0..1).
    """
    truth = tf.one_hot(tf.cast(labels, tf.int32), logits.shape[-1], dtype=logits.dtype)
    cross_entropy = weighted_cross_entropy(logits, truth)
    dice = soft_dice(tf.nn.softmax(logits), truth)
    loss = cross_entropy - dice_weight * dice
    return {"loss": loss, "cross_entropy": cross_entropy, "dice": dice}


def weighted_cross_entropy(logits: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """First term of Eq. 1, with w_c = 1 - the share of class c in the batch; mean over pixels.

    Args:
      logits: `[B, H, W, C]`.
      truth: `[B, H, W, C]` one-hot.
    """
    weights = 1.0 - tf.reduce_mean(truth, axis=[0, 1, 2])
    return -tf.reduce_mean(tf.reduce_sum(weights * truth * tf.nn.log_softmax(logits), axis=-1))


def soft_dice(probabilities: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """Second term of Eq. 1 with squared denominators, averaged over classes.

    Each class is summed over the whole batch, so that a class missing from one slice does not
    count as missed there.

    Args:
      probabilities: `[B, H, W, C]`, softmax outputs.
      truth: `[B, H, W, C]` one-hot.
    """
    axes = [0, 1, 2]
    overlap = 2.0 * tf.reduce_sum(probabilities * truth, axes)
    total = tf.reduce_sum(tf.square(probabilities), axes) + tf.reduce_sum(truth, axes)
    return tf.reduce_mean(overlap / (total + _EPSILON))
