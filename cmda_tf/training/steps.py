"""The supervised update, and what all updates share.

A factory returns a `tf.function` of (update number, batch) to metrics, a dict of scalars. Learning
rate and random draws follow from the number, so that a resumed run repeats what an undisturbed
one does.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from cmda_tf.losses.hybrid import hybrid_loss
from cmda_tf.losses.settings import SegmentationLoss
from cmda_tf.transforms.affine import augment_affine
from cmda_tf.transforms.intensity import augment_intensity
from cmda_tf.transforms.settings import AffineAugmentation, IntensityAugmentation

Metrics = dict[str, tf.Tensor]
Update = Callable[[tf.Tensor, dict[str, Any]], Metrics]


def staircase(initial: float, factor: float, interval: int, number: tf.Tensor) -> tf.Tensor:
    """Learning rate at update `number`: `initial` times `factor` for each `interval` before it."""
    return initial * tf.pow(factor, tf.cast(number // interval, tf.float32))


def fold(seed: int, *numbers: Any) -> tf.Tensor:
    """A stateless `[2]` seed that is a function of `seed` and the numbers."""
    folded = tf.constant([seed, 0], tf.int64)
    for number in numbers:
        folded = tf.random.experimental.stateless_fold_in(folded, tf.cast(number, tf.int64))
    return folded


def minimize(loss: tf.Tensor, tape: tf.GradientTape, optimizer: Any, variables: list) -> None:
    """Applies the gradients of `loss` to `variables`."""
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))


def ema_update(average: tf.keras.Model, model: tf.keras.Model, decay: Any) -> None:
    """Moves every weight of an average, BatchNorm statistics as well, towards that of a model of
    the same layers; `decay` is the share of its own value that it keeps."""
    for mean, new in zip(average.weights, model.weights):
        mean.assign(decay * tf.convert_to_tensor(mean) + (1.0 - decay) * tf.convert_to_tensor(new))


def make_source_step(
    segmenter: tf.keras.Model,
    optimizer: Any,
    learning_rate: Callable[[tf.Tensor], tf.Tensor],
    loss: SegmentationLoss,
    affine: AffineAugmentation | None = None,
    intensity: IntensityAugmentation | None = None,
    seed: int = 0,
    jit_compile: bool = False,
) -> Update:
    """Supervised step on a batch of `images` and `labels`: one update of all the segmenter's
    weights on Eq. 1. Both are warped alike; then the images alone get a random appearance."""
    variables = segmenter.trainable_variables

    @tf.function(jit_compile=jit_compile)
    def update(images: tf.Tensor, labels: tf.Tensor) -> Metrics:
        with tf.GradientTape() as tape:
            metrics = hybrid_loss(segmenter(images, training=True), labels, loss)
        minimize(metrics["loss"], tape, optimizer, variables)
        return metrics

    @tf.function
    def step(number: tf.Tensor, batch: dict[str, tf.Tensor]) -> Metrics:
        optimizer.learning_rate.assign(learning_rate(number))
        # XLA has no kernel for the warp: it stays outside the compiled part.
        seeds = fold(seed, number)
        images, labels = augment_affine(batch["images"], batch["labels"], seeds, affine)
        return update(augment_intensity(images, fold(seed, number, 1), intensity), labels)

    return step
