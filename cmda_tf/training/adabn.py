"""AdaBN (Li et al., 2016): the baseline that every claim for adversarial training must exceed.

The BatchNorm statistics of the DAM's layers 1..d are re-estimated on unlabeled target slices;
nothing else changes. The same function ends an adversarial run, so that its row differs from
AdaBN's by the adversarial training alone.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cmda_tf.data.prepared import Dataset
from cmda_tf.data.slices import SliceStack
from cmda_tf.models.blocks import ModelConfig
from cmda_tf.models.segmenter import build_dam, build_router
from cmda_tf.old_settings import AdaptSettings
from cmda_tf.runs.run import Run, start_run
from cmda_tf.training.setup import (
    foreground_only,
    measured_batches,
    model_config,
    run_inputs,
    seed_everything,
    source_run,
    target_slices,
    trained_segmenter,
)


def adapt_statistics(settings: AdaptSettings, dataset: Dataset) -> Run:
    """`--phase=adabn`: a run whose DAM is the source's with target statistics."""
    config = model_config(settings, dataset)
    origin = source_run(settings)
    run = start_run("adabn", settings, config, run_inputs(dataset, settings.target, origin))
    if run.finished:
        return run
    seed_everything(settings)
    segmenter = trained_segmenter(config, origin)
    dam = build_dam(config, settings.depth, segmenter)
    stack = foreground_only(settings, target_slices(settings, dataset), segmenter)
    refresh_statistics(config, settings.depth, segmenter, dam, stack)
    run.finish(build_router(config, settings.depth, segmenter, dam))
    return run


def refresh_statistics(
    config: ModelConfig,
    depth: int,
    segmenter: tf.keras.Model,
    dam: tf.keras.Model,
    stack: SliceStack,
) -> None:
    """Sets the moving mean and variance of the DAM's BatchNorm layers from target slices.

    Args:
      config, depth: of the DAM.
      segmenter: any model of the same topology; only its layers' shapes are used.
      dam: changed in place; its trained weights stay as they are.
      stack: unlabeled target slices.
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
        inputs = probe(images, training=True)
        inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
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
