"""Supervised training of a segmenter on one domain (the paper, sections 3.1 and 3.4).

`--phase=source` trains on the source (Seg-MRI), with `--domain=ct` on the target (Seg-CT);
`--phase=finetune` starts from the source model (Seg-CT-STL).
"""

import dataclasses
import functools

import tensorflow as tf

from cmda_tf.data.manifest import Manifest
from cmda_tf.data.slices import SliceStack, batches, load_slices
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.settings import SourceSettings
from cmda_tf.training.common import (
    appearance,
    augmentation,
    model_config,
    previews,
    run_inputs,
    seed_everything,
    source_run,
)
from cmda_tf.training.loop import Loop
from cmda_tf.training.names import training_domain
from cmda_tf.training.runs import Run, start_run
from cmda_tf.training.steps import make_source_step, staircase
from cmda_tf.training.weights import set_weights


def train_segmenter(phase: str, settings: SourceSettings, manifest: Manifest) -> Run:
    """Trains a segmenter, or goes on where an earlier call was stopped.

    Args:
      phase: `source` or `finetune`.
      settings: of the phase.
      manifest: of the prepared data.

    Returns:
      The finished run.
    """
    config = model_config(settings, manifest)
    domain = training_domain(phase, settings)
    origin = source_run(settings) if phase == "finetune" else None
    if phase == "finetune":
        steps, rate = settings.finetune_steps, settings.finetune_learning_rate
        settings = dataclasses.replace(settings, steps=steps, learning_rate=rate)
    run = start_run(phase, settings, config, run_inputs(manifest, domain, origin))
    if run.finished:
        return run
    seed_everything(settings)
    segmenter = build_segmenter(config)
    if origin is not None:
        set_weights(segmenter, origin.weights(), str(origin.folder))
    stack = load_slices(manifest, domain, "train", with_labels=True)
    _optimise(run, settings, segmenter, stack)
    run.finish(segmenter)
    return run


def _optimise(
    run: Run, settings: SourceSettings, segmenter: tf.keras.Model, stack: SliceStack
) -> None:
    """The training loop."""
    optimizer = tf.keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(segmenter.trainable_variables)
    every = settings.learning_rate_decay_every
    step = make_source_step(
        segmenter,
        optimizer,
        functools.partial(staircase, settings.learning_rate, settings.learning_rate_decay, every),
        settings.dice_weight,
        augmentation(settings),
        settings.seed,
        settings.jit_compile,
        appearance(settings),
        settings.class_weights,
    )
    loop = Loop(run.folder, segmenter=segmenter, optimizer=optimizer)
    loop.restore("train")
    draw = functools.partial(
        batches, stack, settings.batch, settings.seed, balanced=settings.balanced
    )
    loop.run(
        "train",
        settings.steps,
        draw,
        step,
        settings.log_every,
        settings.checkpoint_every,
        previews(segmenter, stack),
    )
