"""Unsupervised adaptation: critic warm-up, then joint updates (the paper, sections 3.3-3.4).

Of the target only images of its training subjects are read, never a label.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from cmda_tf.data.batches import batches
from cmda_tf.data.dataset import Dataset
from cmda_tf.data.slices import SliceStack
from cmda_tf.inference.foreground import foreground_slices
from cmda_tf.inference.networks import Networks, trained_segmenter
from cmda_tf.inference.statistics import measured_batches
from cmda_tf.model_selection.choice import choose_final
from cmda_tf.model_selection.scoring import SnapshotModel
from cmda_tf.models.critic import FeaturePaths, build_critic, build_feature_paths
from cmda_tf.models.segmenter import build_dam, path
from cmda_tf.runs.run import Run
from cmda_tf.runs.weights import snapshot_writer
from cmda_tf.training import adversarial_networks as updates
from cmda_tf.training.adversarial_networks import AdversarialNetworks, Critic
from cmda_tf.training.loop import Loop, previews
from cmda_tf.training.phases import AdaptPhase
from cmda_tf.training.settings import AdversarialSettings, CriticSettings
from cmda_tf.training.setup import source_run, start
from cmda_tf.training.steps import staircase


def adapt(settings: AdaptPhase, dataset: Dataset) -> Run:
    """Trains a DAM against the critic, or goes on with it; the router is the run's model."""
    init = source_run(settings)
    run = start(settings, dataset, init)
    if run.finished:
        return run
    segmenter = trained_segmenter(run.config, init)
    depth, roles = settings.dam.depth, settings.data
    nets = Networks(run.config, segmenter, build_dam(run.config, depth, segmenter), depth)
    router = nets.router()
    source = dataset.slices(roles.source, "train", with_labels=False)
    target = dataset.target_slices(roles.target)
    if settings.slices.foreground_only:
        source, target = (foreground_slices(stack, segmenter) for stack in (source, target))
    jit_compile = settings.loop.jit_compile
    trained = make_networks(settings.critic, settings.adversarial, nets, source, jit_compile)
    _train(run, settings, trained, router, source, target)
    choose_final(run, SnapshotModel(run, nets, router, target), dataset)
    return run.finish(router)


def make_networks(
    critic: CriticSettings,
    adversarial: AdversarialSettings,
    nets: Networks,
    source: SliceStack | None = None,
    jit_compile: bool = False,
) -> AdversarialNetworks:
    """The DAM and new critics, with an optimizer each; freezes the trained segmenter.

    `source` are unlabeled slices, for `critic.standardize_taps`.
    """
    config, segmenter, dam, depth = nets.config, nets.segmenter, nets.dam, nets.depth
    segmenter.trainable = False
    paths = build_feature_paths(config, depth, critic.taps, segmenter, dam)
    if critic.standardize_taps:
        if source is None:
            raise ValueError("source: expected slices to standardize the taps by, found none")
        paths = paths.standardized(*source_moments(paths, source))

    def make(channels: int, view: Callable, weight: float = 1.0, prefix: str = "") -> Critic:
        network = build_critic(config, channels, critic.critic_norm, prefix)
        optimizer = _rmsprop(adversarial, adversarial.critic_learning_rate, network)
        return Critic(network, optimizer, view, critic, weight)

    mask_critic = None
    if weight := critic.mask_critic_weight:
        mask_critic = make(config.classes, lambda f: tf.nn.softmax(f.logits), weight, "mask_")
    optimizer = _rmsprop(adversarial, adversarial.dam_learning_rate, dam)
    own = make(paths.channels, lambda features: features.tapped)
    average = build_dam(config, depth, segmenter) if adversarial.dam_ema_decay else None
    parts = paths, dam, optimizer, own, mask_critic, average
    return AdversarialNetworks(*parts, adversarial, jit_compile)


def _rmsprop(settings: AdversarialSettings, rate: float, model: tf.keras.Model) -> Any:
    """An optimizer of the DAM or a critic.

    Keras' RMSProp starts its accumulator at zeros with epsilon 1e-7 (TensorFlow 1, which the
    authors used: at ones, 1e-10). With ones the first DAM updates would be some hundred times
    smaller than the rate says, and a short schedule would end before they are not.
    """
    optimizer = tf.keras.optimizers.RMSprop(rate, epsilon=settings.rmsprop_epsilon)
    optimizer.build(model.trainable_variables)
    if settings.rmsprop_start:
        for accumulator in optimizer._velocities:  # no public name in Keras 2 or 3
            accumulator.assign(tf.fill(accumulator.shape, settings.rmsprop_start))
    return optimizer


def source_moments(paths: FeaturePaths, source: SliceStack) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and standard deviation of each channel of the critic's input over source slices, those
    of `measured_batches`: `[channels]` float32; a channel that never varies has deviation 1."""
    means, squares = [], []
    for batch in measured_batches(source):
        tapped = tf.cast(paths.source_features(batch["images"]).tapped, tf.float32)
        means.append(tf.reduce_mean(tapped, [0, 1, 2]))
        squares.append(tf.reduce_mean(tf.square(tapped), [0, 1, 2]))
    mean = tf.reduce_mean(means, axis=0)
    variance = tf.reduce_mean(squares, axis=0) - tf.square(mean)
    return mean, tf.where(variance > 1e-8, tf.sqrt(tf.maximum(variance, 1e-8)), 1.0)


def _train(
    run: Run,
    settings: AdaptPhase,
    nets: AdversarialNetworks,
    router: tf.keras.Model,
    source: SliceStack,
    target: SliceStack,
) -> None:
    """Warm-up and joint updates."""
    schedule, affine, batch = settings.adversarial, settings.affine, settings.loop.batch
    total, critic_updates = schedule.joint_updates, schedule.critic_updates
    loop = Loop(run.folder, ("warmup", "joint"), **_state(nets))
    warmup_seed, joint_seed = 2 * settings.compute.seed, 2 * settings.compute.seed + 1
    warmup = updates.make_warmup_step(nets, schedule.critic_learning_rate, affine, warmup_seed)
    pairs = functools.partial(_pairs, source, target, batch, warmup_seed)
    intervals = settings.loop.log_every, settings.loop.checkpoint_every
    loop.run("warmup", schedule.warmup_updates, pairs, warmup, *intervals)

    def rates(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        decay = schedule.adversarial_decay, schedule.adversarial_decay_every, number
        initial = schedule.critic_learning_rate, schedule.dam_learning_rate
        return staircase(initial[0], *decay), staircase(initial[1], *decay)

    count = critic_updates + 1  # batches per joint update, each `[B, H, W, 3]`

    def split(images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, [count, batch, *images.shape[1:]])

    def rounds(start: int, stop: int) -> tf.data.Dataset:
        whole = _pairs(source, target, batch * count, joint_seed, start, stop)
        return whole.map(lambda pair: {role: split(images) for role, images in pair.items()})

    joint = updates.make_joint_update(nets, rates, critic_updates, affine, joint_seed)
    kept = nets.dam if nets.average is None else nets.average
    keep = snapshot_writer(run.folder, kept, settings.selection.snapshot_every, total)
    if loop.done("joint") == 0:
        keep(0, {})
    images = previews(path(router, "target"), target)
    # A joint update is as long as twenty others, so each is worth an entry.
    loop.run("joint", total, rounds, joint, 1, schedule.joint_checkpoint_every, images, keep)


def _state(nets: AdversarialNetworks) -> dict[str, Any]:
    """What decides the next update, for the checkpoints."""
    state = {"dam": nets.dam, "dam_optimizer": nets.dam_optimizer}
    state |= {"critic": nets.critic.network, "critic_optimizer": nets.critic.optimizer}
    if mask_critic := nets.mask_critic:
        state |= {"mask_critic": mask_critic.network, "mask_optimizer": mask_critic.optimizer}
    return state if nets.average is None else {**state, "average": nets.average}


def _pairs(
    source: SliceStack, target: SliceStack, batch: int, seed: int, start: int, stop: int
) -> tf.data.Dataset:
    """Batches of `source` and `target` images `[B, H, W, 3]`, drawn independently."""

    def images(stack: SliceStack, seed: int) -> tf.data.Dataset:
        return batches(stack, batch, seed, start, stop).map(lambda b: b["images"])

    roles = {"source": images(source, 2 * seed), "target": images(target, 2 * seed + 1)}
    return tf.data.Dataset.zip(roles)
