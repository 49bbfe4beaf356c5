"""Which pixels of a prediction are sure enough to be learned from, and as which class.

Each class has a threshold of its own (Zou et al., "Unsupervised domain adaptation for semantic
segmentation via class-balanced self-training", ECCV 2018), so that a class that is rarely sure
still teaches. The classes' shares may be aligned with those of the source's labels (after
Berthelot et al., "ReMixMatch", ICLR 2020): the anatomy is the same in both modalities.
"""

import numpy as np
import tensorflow as tf

from cmda_tf.data.slices import SliceStack
from cmda_tf.inference.predictor import Predictor
from cmda_tf.inference.statistics import MEASURED_SLICES

IGNORED = 255  # the pseudo label of a pixel that does not teach
MEASURED_PIXELS = 1 << 20  # of those slices; more would take minutes at 256x256
_ALIGNMENT_ROUNDS = 50
_LARGEST_FACTOR = np.float32(1e3)
_SMALLEST_SHARE = 1e-6  # of a class that is not predicted


class Rule:
    """Turns probabilities into pseudo labels; before its first measurement nothing teaches.

    Args:
      classes: their number C.
      quantile, cap: share of each predicted class that need not teach, and the greatest threshold.
      shares: `[C]` class shares to align with, or None.

    Attributes:
      thresholds: `[C]`, the probability from which each class teaches.
      factors: `[C]`, of the classes' probabilities; ones without `shares`.
    """

    def __init__(self, classes: int, quantile: float, cap: float, shares: np.ndarray | None):
        self.quantile, self.cap, self.shares = quantile, cap, shares
        self.thresholds, self.factors = (
            tf.Variable(tf.ones([classes]), trainable=False) for _ in range(2)
        )

    def measure(self, predictor: Predictor, stack: SliceStack) -> None:
        """Measures factors, then thresholds on the aligned probabilities `[B, H, W, C]` that the
        predictor gives for target slices, without a label."""
        probabilities = predictions(predictor, stack)
        if self.shares is not None:
            factors = class_factors(probabilities, self.shares)
            probabilities = aligned(probabilities, factors)
            self.factors.assign(factors)
        flat = probabilities.max(axis=-1), probabilities.argmax(axis=-1)
        classes = probabilities.shape[-1]
        self.thresholds.assign(class_thresholds(*flat, classes, self.quantile, self.cap))

    def labels(self, probabilities: tf.Tensor) -> tf.Tensor:
        """`pseudo_labels` of the aligned probabilities."""
        return pseudo_labels(aligned(probabilities, self.factors), self.thresholds)


def pseudo_labels(probabilities: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """The likeliest class, `[B, H, W]` uint8, where its probability reaches its threshold, else
    `IGNORED`; of probabilities `[B, H, W, C]` by thresholds `[C]` in 0..1."""
    classes = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    sure = tf.reduce_max(probabilities, axis=-1) >= tf.gather(thresholds, classes)
    return tf.cast(tf.where(sure, classes, IGNORED), tf.uint8)


def class_thresholds(
    confidences: np.ndarray, predicted: np.ndarray, classes: int, quantile: float, cap: float
) -> np.ndarray:
    """The confidence from which each class may teach, `[C]` float32, from `[N]` probabilities of
    predicted classes and these: their quantile, at most `cap`, which is also the threshold of a
    class that is never predicted."""
    by_class = [confidences[predicted == c] for c in range(classes)]
    values = [min(cap, float(np.quantile(x, quantile))) if len(x) else cap for x in by_class]
    return np.array(values, np.float32)


def class_shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """The share of each class among all pixels of `[N, H, W]` labels; `[C]` float64."""
    return np.bincount(labels.ravel(), minlength=classes) / labels.size


def class_factors(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Factors with which the likeliest classes of `[N, C]` probabilities have the wanted shares
    `[C]` of sum 1: `[C]` float32 within 1/1000..1000, the first being 1.

    The predicted labels are what teaches. With factors that give the mean probabilities the shares
    instead, what the model is unsure of still goes to the background, and structures come out
    too small.
    """
    factors = best = np.ones(len(shares), np.float32)
    least = np.inf
    for _ in range(_ALIGNMENT_ROUNDS):
        labels = (probabilities * factors).argmax(axis=-1)
        actual = np.bincount(labels, minlength=len(shares)) / len(labels)
        if (miss := np.abs(actual - shares).sum()) < least:  # equal pixels may jump to and fro
            best, least = factors, miss
        # The root damps: a share may answer to its factor more than in proportion.
        factors = factors * np.sqrt(shares / np.maximum(actual, _SMALLEST_SHARE)).astype(np.float32)
        factors = np.clip(factors / factors[0], 1 / _LARGEST_FACTOR, _LARGEST_FACTOR)
    return best


def aligned(probabilities, factors):
    """Probabilities `[..., C]` times the factors `[C]`, brought back to sum 1."""
    scaled = probabilities * factors
    total = np.sum if isinstance(scaled, np.ndarray) else tf.reduce_sum
    return scaled / total(scaled, axis=-1, keepdims=True)


def predictions(predictor: Predictor, stack: SliceStack) -> np.ndarray:
    """Probabilities `[pixels, C]` of up to `MEASURED_SLICES` evenly spaced slices.

    Of large slices pixels at equal distances, `MEASURED_PIXELS` in all or a few more.
    """
    count = min(MEASURED_SLICES, len(stack.usable))
    chosen = stack.usable[np.linspace(0, len(stack.usable) - 1, count).astype(int)]
    step = max(1, count * stack.size**2 // MEASURED_PIXELS)
    batches = predictor.on_slices(stack, chosen)
    return np.concatenate([p.reshape(-1, p.shape[-1])[::step] for p in batches])
