"""What a plan will cost: arithmetic counted from the networks, time and memory guessed from it."""

import statistics
import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from cmda_tf.models.blocks import ModelConfig
from cmda_tf.models.critic import build_critic, build_feature_paths
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.reproduction.jobs import available_cores
from cmda_tf.reproduction.plan import Step

BACKWARD = 2  # a backward pass costs about twice the forward pass
SUBJECTS = 16  # for training, a modality: the field's split, and the phantom's
_FLOAT, _VOXEL = 4, 3  # bytes: of a number; of a voxel's image and label
_PROCESS = 0.6 * 2**30  # bytes of TensorFlow 2.21 and what it has read, before the first update


@dataclass(frozen=True)
class Cost:
    """Of one run.

    Attributes:
      flop: floating-point operations of all its updates.
      memory: bytes of weights, their gradients and optimizer slots, of the activations that a
        backward pass keeps, of the images and of TensorFlow itself.
    """

    flop: float
    memory: float


def estimate(step: Step, size: int) -> Cost:
    """Counts what a step of the plan computes, on slices of `size` pixels.

    Evaluation, statistics and the choice of a snapshot are left out: they cost little beside it.
    """
    updates = _estimate(step, size)
    modalities = 1 if step.phase in ("source", "finetune", "adabn") else 2
    images = modalities * SUBJECTS * size**3 * _VOXEL
    return Cost(updates.flop, updates.memory + images + _PROCESS)


def _estimate(step: Step, size: int) -> Cost:
    """Of the updates alone."""
    settings = step.settings
    config = ModelConfig(size=size, width=settings.width)
    segmenter = build_segmenter(config)
    forward = forward_flop(segmenter)
    if step.phase in ("source", "finetune"):
        updates = settings.steps if step.phase == "source" else settings.finetune_steps
        flop = updates * settings.batch * forward * (1 + BACKWARD)
        return Cost(flop, _memory([segmenter], [segmenter], settings.batch))
    if step.phase == "adabn":
        return Cost(0.0, _memory([segmenter], [], settings.batch))
    dam = build_dam(config, settings.depth, segmenter)
    if step.phase == "selftrain":  # the teacher only predicts
        learned = 2 if settings.source_weight else 1  # batches: pseudo labels, the source's own
        passes = 1 + learned * (1 + BACKWARD)
        flop = settings.selftrain_steps * settings.batch * forward * passes
        return Cost(flop, _memory([segmenter, dam, dam], [dam], settings.batch))
    paths = build_feature_paths(config, settings.depth, settings.taps, segmenter, dam)
    critics = [build_critic(config, paths.channels)]
    if settings.mask_critic_weight:  # it rests in the warm-up
        critics.append(build_critic(config, config.classes, prefix="mask_"))
    judges = [forward_flop(critic) for critic in critics]
    # A critic sees both modalities; its own backward pass is all there is. The DAM's goes through
    # critics, frozen layers and DAM once.
    warmup_update, critic_update = (
        2 * forward + 2 * judge * (1 + BACKWARD) for judge in (judges[0], sum(judges))
    )
    dam_update = (forward + sum(judges)) * (1 + BACKWARD)
    joint = settings.critic_updates * critic_update + dam_update
    flop = settings.warmup_updates * warmup_update + settings.joint_updates * joint
    memory = _memory([segmenter, dam, *critics], [dam, *critics], settings.batch)
    return Cost(settings.batch * flop, memory)


def forward_flop(model: tf.keras.Model) -> float:
    """Operations of a forward pass of one image: two for each multiply-add of a kernel."""
    total = 0.0
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.Conv2D):
            height, width = layer.output.shape[1:3]
            total += 2.0 * np.prod(layer.kernel.shape) * height * width
        elif isinstance(layer, tf.keras.layers.Dense):
            total += 2.0 * np.prod(layer.kernel.shape)
    return total


def side_by_side(workers: int, threads: int) -> float:
    """How many jobs' work is done in the time of one, given the cores of this machine.

    Args:
      workers: jobs at a time.
      threads: of each; 0 for as many as there are cores.
    """
    cores = available_cores()
    return min(workers, max(1.0, cores / threads)) if threads else 1.0


def measured_throughput(repetitions: int = 5) -> float:
    """FLOP a second of this machine in a convolution like the segmenter's middle ones."""
    x, kernel = tf.ones([8, 32, 32, 128]), tf.ones([3, 3, 128, 128])
    flop, times = 2.0 * 8 * 32 * 32 * 9 * 128 * 128, []
    for _ in range(repetitions + 1):  # the first one warms up
        start = time.perf_counter()
        tf.nn.conv2d(x, kernel, 1, "SAME").numpy()
        times.append(time.perf_counter() - start)
    return flop / statistics.median(times[1:])


def _memory(models: list, trained: list, batch: int) -> float:
    """Bytes: weights of all models; gradient and two slots of trained ones; activations."""
    weights = sum(int(np.prod(w.shape)) for m in models for w in m.weights)
    slots = 3 * sum(int(np.prod(w.shape)) for m in trained for w in m.trainable_weights)
    kept = batch * sum(int(np.prod(x.output.shape[1:])) for m in models for x in m.layers)
    return float(_FLOAT * (weights + slots + kept))
