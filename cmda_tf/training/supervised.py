"""Supervised training of a segmenter on one modality (the paper, sections 3.1 and 3.4).

`--phase=source` trains on the source (Seg-MRI), with `--modality=ct` on the target (Seg-CT);
`--phase=finetune` starts from the source model (Seg-CT-STL).
"""

import dataclasses
import functools

import tensorflow as tf

from cmda_tf.data.prepared import Dataset
from cmda_tf.data.slices import SliceStack, batches, load_slices
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.old_settings import SourceSettings
from cmda_tf.runs.naming import training_modality
from cmda_tf.runs.run import Run, start_run
from cmda_tf.runs.weights import set_weights
from cmda_tf.training.loop import Loop
from cmda_tf.training.setup import (
    appearance,
    augmentation,
    model_config,
    previews,
    run_inputs,
    seed_everything,
    source_run,
)
from cmda_tf.training.steps import make_source_step, staircase


def train_segmenter(phase: str, settings: SourceSettings, dataset: Dataset) -> Run:
    """Trains a segmenter, or goes on where an earlier call was stopped.

    Args:
      phase: `source` or `finetune`.
      settings: of the phase.
      dataset: of the prepared data.

    Returns:
      The finished run.
    """
    config = model_config(settings, dataset)
    modality = training_modality(phase, settings)
    origin = source_run(settings) if phase == "finetune" else None
    if phase == "finetune":
        steps, rate = settings.finetune_steps, settings.finetune_learning_rate
        settings = dataclasses.replace(settings, steps=steps, learning_rate=rate)
    run = start_run(phase, settings, config, run_inputs(dataset, modality, origin))
    if run.finished:
        return run
    seed_everything(settings)
    segmenter = build_segmenter(config)
    if origin is not None:
        set_weights(segmenter, origin.weights(), str(origin.folder))
    stack = load_slices(dataset, modality, "train", with_labels=True)
    _optimize(run, settings, segmenter, stack)
    run.finish(segmenter)
    return run


def _optimize(
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
