"""The hybrid segmentation loss (the paper, Eq. 1). Logits `[B, H, W, C]`, labels `[B, H, W]`."""

import tensorflow as tf

from cmda_tf.losses.settings import SegmentationLoss

_EPSILON = 1e-7


def hybrid_loss(
    logits: tf.Tensor, labels: tf.Tensor, terms: SegmentationLoss, mask: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Class-weighted cross-entropy minus lambda times the soft Dice.

    As scalars `loss`, `cross_entropy` (>= 0, mean over pixels) and `dice` (0..1). Labels are
    integers in 0..C-1. The mask `[B, H, W]` says which pixels count, all for None; the labels of
    the others may have any value. Where no pixel counts, both terms are 0.
    """
    truth = tf.one_hot(tf.cast(labels, tf.int32), logits.shape[-1], dtype=logits.dtype)
    if mask is not None:
        mask = tf.cast(mask, logits.dtype)[..., tf.newaxis]
        truth *= mask
    cross_entropy = weighted_cross_entropy(logits, truth, mask, terms.class_weights)
    probabilities = tf.nn.softmax(logits)
    dice = soft_dice(probabilities if mask is None else probabilities * mask, truth)
    loss = cross_entropy - terms.dice_weight * dice
    return {"loss": loss, "cross_entropy": cross_entropy, "dice": dice}


def weighted_cross_entropy(
    logits: tf.Tensor, truth: tf.Tensor, mask: tf.Tensor | None, class_weights: bool
) -> tf.Tensor:
    """First term of Eq. 1, with w_c = 1 - the share of class c in the batch; mean over pixels.

    With these weights (1 without `class_weights`) the background, most of a slice, weighs little,
    and structures are predicted larger than they are. The truth `[B, H, W, C]` is one-hot, and all
    zero where the mask `[B, H, W, 1]` is: shares and mean are over the mask's ones.
    """
    share = 1.0 if mask is None else tf.maximum(tf.reduce_mean(mask), _EPSILON)
    weights = 1.0 - tf.reduce_mean(truth, axis=[0, 1, 2]) / share if class_weights else 1.0
    per_pixel = tf.reduce_sum(weights * truth * tf.nn.log_softmax(logits), axis=-1)
    return -tf.reduce_mean(per_pixel) / share


def soft_dice(probabilities: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
    """Second term of Eq. 1 of softmax outputs and one-hot truth `[B, H, W, C]`, mean over classes.

    The denominators are squared. Each class is summed over the whole batch, so that a class missing
    from one slice does not count as missed there.
    """
    axes = [0, 1, 2]
    overlap = 2.0 * tf.reduce_sum(probabilities * truth, axes)
    total = tf.reduce_sum(tf.square(probabilities), axes) + tf.reduce_sum(truth, axes)
    return tf.reduce_mean(overlap / (total + _EPSILON))
