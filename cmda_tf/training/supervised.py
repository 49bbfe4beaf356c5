"""Supervised training of a segmenter on one modality (the paper, sections 3.1 and 3.4).

`--phase=source` trains on the source (Seg-MRI), with `--modality=ct` on the target (Seg-CT);
`--phase=finetune` starts from the source model (Seg-CT-STL).
"""

import functools

import tensorflow as tf

from cmda_tf.data.batches import batches
from cmda_tf.data.dataset import Dataset
from cmda_tf.inference.networks import trained_segmenter
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.runs.run import Run
from cmda_tf.training.loop import Loop, previews
from cmda_tf.training.phases import FinetunePhase, SourcePhase
from cmda_tf.training.setup import source_run, start
from cmda_tf.training.steps import make_source_step, staircase


def train_segmenter(settings: SourcePhase | FinetunePhase, dataset: Dataset) -> Run:
    """Trains a segmenter, or goes on where an earlier call was stopped; gives the finished run."""
    source = source_run(settings) if isinstance(settings, FinetunePhase) else None
    run = start(settings, dataset, source)
    if run.finished:
        return run
    config, supervised, seed = run.config, settings.supervised, settings.compute.seed
    segmenter = build_segmenter(config) if source is None else trained_segmenter(config, source)
    stack = dataset.slices(settings.modality, "train", with_labels=True)
    steps, rate = settings.schedule.steps, settings.schedule.learning_rate
    decay = supervised.learning_rate_decay, supervised.learning_rate_decay_every
    optimizer = tf.keras.optimizers.Adam(rate)
    optimizer.build(segmenter.trainable_variables)
    rates = functools.partial(staircase, rate, *decay)
    parts = settings.loss, settings.affine, settings.intensity
    step = make_source_step(segmenter, optimizer, rates, *parts, seed, settings.loop.jit_compile)
    loop = Loop(run.folder, ["train"], segmenter=segmenter, optimizer=optimizer)
    sampling = settings.loop.batch, seed
    draw = functools.partial(batches, stack, *sampling, balanced=supervised.balanced)
    intervals = settings.loop.log_every, settings.loop.checkpoint_every
    loop.run("train", steps, draw, step, *intervals, previews(segmenter, stack))
    return run.finish(segmenter)
