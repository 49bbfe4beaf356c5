"""Which pixels of a prediction are sure enough to be learned from.

Each class has a threshold of its own (Zou et al., "Unsupervised domain adaptation for semantic
segmentation via class-balanced self-training", ECCV 2018), so that a class that is rarely sure
still teaches.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cmda_tf.data.slices import SliceStack

IGNORED = 255  # the pseudo label of a pixel that does not teach
MEASURED_SLICES = 256  # evenly spaced over all: some 16 of each training subject
_SLICES_A_BATCH = 16


def pseudo_labels(probabilities: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """The likeliest class where its probability reaches its threshold, else `IGNORED`.

    Args:
      probabilities: `[B, H, W, C]`.
      thresholds: `[C]` in 0..1.

    Returns:
      `[B, H, W]` uint8.
    """
    classes = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    sure = tf.reduce_max(probabilities, axis=-1) >= tf.gather(thresholds, classes)
    return tf.cast(tf.where(sure, classes, IGNORED), tf.uint8)


def class_thresholds(
    confidences: np.ndarray, predicted: np.ndarray, classes: int, quantile: float, cap: float
) -> np.ndarray:
    """The confidence from which each class may teach.

    Args:
      confidences: `[N]` probabilities of the predicted classes.
      predicted: `[N]` predicted classes.
      classes: their number C.
      quantile: share of the pixels of a class that stay below its threshold.
      cap: the greatest threshold, and that of a class which is never predicted.

    Returns:
      `[C]` float32.
    """
    own = [confidences[predicted == c] for c in range(classes)]
    values = [min(cap, float(np.quantile(x, quantile))) if len(x) else cap for x in own]
    return np.array(values, np.float32)


def measure_thresholds(
    predict: Callable[[tf.Tensor], tf.Tensor], stack: SliceStack, quantile: float, cap: float
) -> np.ndarray:
    """`class_thresholds` over up to `MEASURED_SLICES` evenly spaced slices of the stack.

    Args:
      predict: images `[B, H, W, 3]` to probabilities `[B, H, W, C]`.
      stack: target slices, no label is needed.
      quantile, cap: as for `class_thresholds`.
    """
    count = min(MEASURED_SLICES, len(stack.usable))
    chosen = stack.usable[np.linspace(0, len(stack.usable) - 1, count).astype(int)]
    confidences, predicted = [], []
    for start in range(0, count, _SLICES_A_BATCH):
        triples = stack.triples(chosen[start : start + _SLICES_A_BATCH])
        images = np.moveaxis(stack.images[triples].astype(np.float32), 1, -1)
        probabilities = predict(images).numpy()
        confidences.append(probabilities.max(axis=-1).ravel())
        predicted.append(probabilities.argmax(axis=-1).ravel())
    flat = np.concatenate(confidences), np.concatenate(predicted)
    return class_thresholds(*flat, probabilities.shape[-1], quantile, cap)
