"""BatchNorm statistics of a DAM, re-estimated on unlabeled target slices (AdaBN, Li et al., 2016).

It is the baseline that every claim for adversarial training must exceed. The same function ends
an adversarial run, so that its row differs from AdaBN's by the adversarial training alone.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cmda_tf.data.batches import batches
from cmda_tf.data.slices import SliceStack
from cmda_tf.models.segmenter import build_dam
from cmda_tf.models.settings import ModelConfig

MEASURED_SLICES = 256  # some 16 of each training subject; more of them hardly differ
_MEASURED_BATCH = 32


def measured_batches(stack: SliceStack) -> tf.data.Dataset:
    """Batches for statistics: up to `MEASURED_SLICES` usable slices, drawn at random, in whole
    batches of 32; all in one where there are fewer."""
    count = len(stack.usable)
    number = max(1, min(MEASURED_SLICES, count) // _MEASURED_BATCH)
    return batches(stack, min(_MEASURED_BATCH, count), 0, 0, number)


def refresh_statistics(
    config: ModelConfig,
    depth: int,
    segmenter: tf.keras.Model,
    dam: tf.keras.Model,
    stack: SliceStack,
) -> None:
    """Sets the moving mean and variance of the DAM's BatchNorm layers from unlabeled target slices.

    The DAM is changed in place, its trained weights stay as they are. The segmenter is any model of
    the same topology: only its layers' shapes are used.
    """
    make_refresh(config, depth, segmenter, stack)(dam)


def make_refresh(
    config: ModelConfig, depth: int, segmenter: tf.keras.Model, stack: SliceStack
) -> Callable[[tf.keras.Model], None]:
    """`refresh_statistics` as a function of the DAM alone, traced once for any number of calls.

    One pass over `measured_batches`, each layer seeing inputs normalized by their own batch below
    it; means over batches, the variance by the law of total variance.
    """
    # Its layers have one node each, the DAM's several. Dropout, which training=True would wake,
    # would add its own noise to the variances.
    twin = build_dam(dataclasses.replace(config, dropout=0.0), depth, segmenter)
    norms = [x for x in twin.layers if isinstance(x, tf.keras.layers.BatchNormalization)]
    if not norms:
        return lambda dam: None
    probe = tf.keras.Model(twin.input, [norm.input for norm in norms])

    @tf.function
    def moments(images: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        inputs = tf.nest.flatten(probe(images, training=True))  # one is no list
        return [tf.nn.moments(tf.cast(x, tf.float32), axes=[0, 1, 2]) for x in inputs]

    def refresh(dam: tf.keras.Model) -> None:
        twin.set_weights(dam.get_weights())
        samples = [moments(b["images"]) for b in measured_batches(stack)]
        for index, norm in enumerate(norms):
            means = np.stack([sample[index][0] for sample in samples])
            variances = np.stack([sample[index][1] for sample in samples])
            layer = dam.get_layer(norm.name)
            layer.moving_mean.assign(means.mean(axis=0))
            layer.moving_variance.assign(variances.mean(axis=0) + means.var(axis=0))

    return refresh
