"""What a plan will cost: arithmetic counted from the networks, time and memory guessed from it."""

import shlex
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cmda_tf.datasets import DataSettings, open_dataset
from cmda_tf.models.critic import build_critic, build_feature_paths
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.models.settings import ModelConfig
from cmda_tf.phantom.recipe import SIZE
from cmda_tf.reproduction.jobs import available_cores
from cmda_tf.reproduction.plan import Step
from cmda_tf.training import phases
from cmda_tf.training.phases import AdaptPhase, Phase
from cmda_tf.training.settings import LoopSettings

SUPERVISED = (phases.SourcePhase, phases.FinetunePhase)
PAPER_SIZE = 256
BACKWARD = 2  # a backward pass costs about twice the forward pass
SUBJECTS = 16  # for training, of each modality: the field's split, and the phantom's
_FLOAT, _VOXEL = 4, 3  # bytes: of a number; of a voxel's image and label
_PROCESS = 0.6 * 2**30  # bytes of TensorFlow 2.21 and what it has read, before the first update


class Cost(NamedTuple):
    """Floating-point operations of a run's updates; bytes of weights, gradients and optimizer
    slots, of the activations that a backward pass keeps, of images and of TensorFlow itself."""

    flop: float
    memory: float


def slice_size(settings: DataSettings) -> int:
    """Height and width of slices: of the prepared data; of the phantom; else the paper's."""
    if settings.prepared is None:
        return SIZE
    there = Path(settings.prepared).is_dir()
    return open_dataset(settings.prepared).size if there else PAPER_SIZE


def estimate(settings: Phase, size: int) -> Cost:
    """Counts what a phase computes, on slices of `size` pixels.

    Evaluation, statistics and the choice of a snapshot are left out: they cost little beside it.
    """
    updates = _of_updates(settings, size)
    modalities = 1 if isinstance(settings, (*SUPERVISED, phases.AdabnPhase)) else 2
    images = modalities * SUBJECTS * size**3 * _VOXEL
    return Cost(updates.flop, updates.memory + images + _PROCESS)


def _of_updates(settings: Phase, size: int) -> Cost:
    config = ModelConfig(size=size, width=settings.network.width)
    segmenter = build_segmenter(config)
    forward = forward_flop(segmenter)
    if isinstance(settings, SUPERVISED):
        flop = settings.schedule.steps * settings.loop.batch * forward * (1 + BACKWARD)
        return Cost(flop, _memory([segmenter], [segmenter], settings.loop.batch))
    if isinstance(settings, phases.SelftrainPhase):  # the teacher only predicts
        dam, batch = build_dam(config, settings.dam.depth, segmenter), settings.loop.batch
        teaching = settings.self_training
        learned = 2 if teaching.source_weight else 1  # batches: pseudo labels, the source's own
        passes = 1 + learned * (1 + BACKWARD)
        flop = teaching.selftrain_steps * batch * forward * passes
        return Cost(flop, _memory([segmenter, dam, dam], [dam], batch))
    if isinstance(settings, AdaptPhase):
        return _adversarial(settings, config, segmenter, forward)
    return Cost(0.0, _memory([segmenter], [], LoopSettings.batch))


def _adversarial(
    settings: AdaptPhase, config: ModelConfig, segmenter: tf.keras.Model, forward: float
) -> Cost:
    """Of critic and DAM updates."""
    dam = build_dam(config, settings.dam.depth, segmenter)
    taps = settings.critic.taps
    paths = build_feature_paths(config, settings.dam.depth, taps, segmenter, dam)
    critics = [build_critic(config, paths.channels)]
    if settings.critic.mask_critic_weight:  # it rests in the warm-up
        critics.append(build_critic(config, config.classes, prefix="mask_"))
    judges = [forward_flop(critic) for critic in critics]
    # A critic sees both roles; its own backward pass is all there is. The DAM's goes through
    # critics, frozen layers and DAM once.
    warmup_update, critic_update = (
        2 * forward + 2 * judge * (1 + BACKWARD) for judge in (judges[0], sum(judges))
    )
    dam_update = (forward + sum(judges)) * (1 + BACKWARD)
    schedule, batch = settings.adversarial, settings.loop.batch
    joint = schedule.critic_updates * critic_update + dam_update
    flop = schedule.warmup_updates * warmup_update + schedule.joint_updates * joint
    return Cost(batch * flop, _memory([segmenter, dam, *critics], [dam, *critics], batch))


def _memory(models: list, trained: list, batch: int) -> float:
    """Bytes: weights of all models; gradient and two slots of trained ones; activations."""
    weights = sum(int(np.prod(w.shape)) for m in models for w in m.weights)
    slots = 3 * sum(int(np.prod(w.shape)) for m in trained for w in m.trainable_weights)
    kept = batch * sum(int(np.prod(x.output.shape[1:])) for m in models for x in m.layers)
    return float(_FLOAT * (weights + slots + kept))


def forward_flop(model: tf.keras.Model) -> float:
    """Operations of a forward pass of one image: two for each multiply-add of a kernel."""
    total = 0.0
    for layer in model.layers:
        if isinstance(layer, (tf.keras.layers.Conv2D, tf.keras.layers.Dense)):
            positions = np.prod(layer.output.shape[1:-1])  # of a convolution; else 1
            total += 2.0 * np.prod(layer.kernel.shape) * positions
    return total


def side_by_side(workers: int, threads: int) -> float:
    """How many jobs' work is done in the time of one, for so many workers at a time with so many
    threads each (0: one per core), given the cores of this machine."""
    return min(workers, max(1.0, available_cores() / threads)) if threads else 1.0


def measured_throughput(repetitions: int = 5) -> float:
    """FLOP a second of this machine in a convolution like the segmenter's middle ones."""
    x, kernel = tf.ones([8, 32, 32, 128]), tf.ones([3, 3, 128, 128])
    flop, times = 2.0 * 8 * 32 * 32 * 9 * 128 * 128, []
    for _ in range(repetitions + 1):  # the first one warms up
        start = time.perf_counter()
        tf.nn.conv2d(x, kernel, 1, "SAME").numpy()
        times.append(time.perf_counter() - start)
    return flop / statistics.median(times[1:])


def describe_plan(plans: Mapping[int, Sequence[Step]], workers: int, threads: int) -> list[str]:
    """One line per run of each seed's steps with its estimated time and memory, and one for all of
    them, with so many `workers` at a time and `threads` of each."""
    speed, total, costs, memory, lines = measured_throughput(), 0.0, {}, [], []
    for step in (step for plan in plans.values() for step in plan):
        size = slice_size(step.settings.data)
        if step.row not in costs:
            costs[step.row] = estimate(step.settings, size)
        cost, duration = costs[step.row], "finished"
        if not step.finished:
            seconds = cost.flop / speed
            total, duration = total + seconds, _duration(seconds)
            memory.append(cost.memory)
        memory_used = f"{cost.memory / 2**30:5.1f} GiB"
        lines.append(f"{duration:>10s}  {memory_used}  {shlex.join(step.command)}")
    most = sum(sorted(memory)[-workers:])
    total /= side_by_side(workers, threads)
    lines.append(
        f"{_duration(total):>10s}  {most / 2**30:5.1f} GiB  in all, "
        f"--workers={workers} at a time, on {size}x{size} slices, at the {speed / 1e9:.0f} GFLOP/s "
        "measured here in a 3x3 convolution; evaluation comes on top"
    )
    return lines


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"
