"""Unsupervised adaptation: critic warm-up, then joint updates (the paper, sections 3.3-3.4).

Of the target only images of its training subjects are read, never a label.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from cmda_tf.data.prepared import Dataset
from cmda_tf.data.slices import SliceStack, batches, load_slices
from cmda_tf.model_selection.choice import choose_final
from cmda_tf.model_selection.snapshot_model import SnapshotModel
from cmda_tf.models.blocks import ModelConfig
from cmda_tf.models.critic import FeaturePaths, build_critic, build_feature_paths
from cmda_tf.models.segmenter import build_dam, build_router, path
from cmda_tf.old_settings import AdaptSettings
from cmda_tf.runs.run import Run, start_run
from cmda_tf.runs.snapshots import snapshot_writer
from cmda_tf.training.loop import Loop
from cmda_tf.training.networks import (
    AdversarialNetworks,
    Critic,
    make_joint_update,
    make_warmup_step,
)
from cmda_tf.training.setup import (
    augmentation,
    foreground_only,
    measured_batches,
    model_config,
    previews,
    run_inputs,
    seed_everything,
    source_run,
    target_slices,
    trained_segmenter,
)
from cmda_tf.training.steps import staircase


def adapt(settings: AdaptSettings, dataset: Dataset) -> Run:
    """`--phase=adapt`: trains a DAM of `settings.depth` against the critic, or goes on with it.

    Returns:
      The finished run; its model is the router with both paths.
    """
    config = model_config(settings, dataset)
    origin = source_run(settings)
    run = start_run("adapt", settings, config, run_inputs(dataset, settings.target, origin))
    if run.finished:
        return run
    seed_everything(settings)
    segmenter = trained_segmenter(config, origin)
    dam = build_dam(config, settings.depth, segmenter)
    router = build_router(config, settings.depth, segmenter, dam)
    source = load_slices(dataset, settings.source, "train", with_labels=False)
    source = foreground_only(settings, source, segmenter)
    target = foreground_only(settings, target_slices(settings, dataset), segmenter)
    networks = make_networks(settings, config, segmenter, dam, source)
    _compete(run, settings, networks, router, source, target)
    candidate = SnapshotModel(settings, config, segmenter, dam, router, target)
    choose_final(run, candidate, dataset)
    run.finish(router)
    return run


def make_networks(
    settings: AdaptSettings,
    config: ModelConfig,
    segmenter: tf.keras.Model,
    dam: tf.keras.Model,
    source: SliceStack | None = None,
) -> AdversarialNetworks:
    """The DAM and new critics, with an optimizer each.

    Args:
      settings: of the phase.
      config: of the networks.
      segmenter, dam: the trained segmenter, which is frozen, and the DAM.
      source: unlabeled source slices, for `settings.standardize_taps`.
    """
    segmenter.trainable = False
    paths = build_feature_paths(config, settings.depth, settings.taps, segmenter, dam)
    if settings.standardize_taps:
        paths = paths.standardized(*source_moments(paths, source))
    critic = _critic(settings, config, paths.channels, lambda features: features.tapped)
    mask_critic = None
    if weight := settings.mask_critic_weight:
        view = lambda features: tf.nn.softmax(features.logits)  # noqa: E731
        mask_critic = _critic(settings, config, config.classes, view, weight, "mask_")
    average = build_dam(config, settings.depth, segmenter) if settings.dam_ema_decay else None
    return AdversarialNetworks(
        paths,
        dam,
        _rmsprop(settings, settings.dam_learning_rate, dam),
        critic,
        mask_critic,
        settings.entropy_weight,
        average,
        settings.dam_ema_decay,
        settings.jit_compile,
    )


def _critic(settings, config, channels, view, weight=1.0, prefix="") -> Critic:
    """A new critic as the settings ask for."""
    network = build_critic(config, channels, settings.critic_norm, prefix)
    optimizer = _rmsprop(settings, settings.critic_learning_rate, network)
    rule = (settings.constraint, settings.clip, settings.penalty)
    return Critic(network, optimizer, view, weight, *rule)


def _rmsprop(settings: AdaptSettings, rate: float, model: tf.keras.Model) -> Any:
    """A player's optimizer.

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
    of `measured_batches`.

    Returns:
      Two `[channels]` float32 tensors; a channel that never varies has deviation 1.
    """
    means, squares = [], []
    for batch in measured_batches(source):
        tapped = tf.cast(paths.source_features(batch["images"]).tapped, tf.float32)
        means.append(tf.reduce_mean(tapped, [0, 1, 2]))
        squares.append(tf.reduce_mean(tf.square(tapped), [0, 1, 2]))
    mean = tf.reduce_mean(means, axis=0)
    variance = tf.reduce_mean(squares, axis=0) - tf.square(mean)
    return mean, tf.where(variance > 1e-8, tf.sqrt(tf.maximum(variance, 1e-8)), 1.0)


def _compete(
    run: Run,
    settings: AdaptSettings,
    networks: AdversarialNetworks,
    router: tf.keras.Model,
    source: SliceStack,
    target: SliceStack,
) -> None:
    """Warm-up and joint updates."""
    loop = Loop(run.folder, **_state(networks))
    loop.restore("warmup", "joint")
    warps = augmentation(settings)
    warmup_seed, joint_seed = 2 * settings.seed, 2 * settings.seed + 1
    warmup = make_warmup_step(networks, settings.critic_learning_rate, warps, warmup_seed)
    pairs = functools.partial(_pairs, source, target, settings.batch, warmup_seed)
    log_every, checkpoint_every = settings.log_every, settings.checkpoint_every
    loop.run("warmup", settings.warmup_updates, pairs, warmup, log_every, checkpoint_every)
    joint = make_joint_update(
        networks,
        _learning_rates(settings),
        settings.critic_updates,
        warps,
        joint_seed,
    )
    rounds = functools.partial(
        _rounds, source, target, settings.batch, settings.critic_updates + 1, joint_seed
    )
    show = previews(path(router, "target"), target)
    # A joint update is as long as twenty others, so each is worth an entry.
    every = settings.joint_checkpoint_every
    kept = networks.dam if networks.average is None else networks.average
    keep = snapshot_writer(run.folder, kept, settings.snapshot_every, settings.joint_updates)
    if loop.done("joint") == 0:
        keep(0, {})
    loop.run("joint", settings.joint_updates, rounds, joint, 1, every, show, keep)


def _state(networks: AdversarialNetworks) -> dict[str, Any]:
    """What decides the next update, for the checkpoints."""
    state = {"dam": networks.dam, "dam_optimizer": networks.dam_optimizer}
    state |= {"critic": networks.critic.network, "critic_optimizer": networks.critic.optimizer}
    if mask_critic := networks.mask_critic:
        state |= {"mask_critic": mask_critic.network, "mask_optimizer": mask_critic.optimizer}
    if networks.average is not None:
        state["average"] = networks.average
    return state


def _learning_rates(settings: AdaptSettings) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Joint update number to the rates of the critic and of the DAM."""
    factor, every = settings.adversarial_decay, settings.adversarial_decay_every
    return lambda number: (
        staircase(settings.critic_learning_rate, factor, every, number),
        staircase(settings.dam_learning_rate, factor, every, number),
    )


def _pairs(
    source: SliceStack, target: SliceStack, batch: int, seed: int, start: int, stop: int
) -> tf.data.Dataset:
    """Batches of `source` and `target` images `[B, H, W, 3]`, drawn independently."""
    stacks = {"source": source, "target": target}
    return tf.data.Dataset.zip(
        {
            role: batches(stack, batch, 2 * seed + index, start, stop).map(lambda b: b["images"])
            for index, (role, stack) in enumerate(stacks.items())
        }
    )


def _rounds(
    source: SliceStack, target: SliceStack, batch: int, count: int, seed: int, start: int, stop: int
) -> tf.data.Dataset:
    """The images of whole joint updates: `[count, B, H, W, 3]` for each role."""
    pairs = _pairs(source, target, batch * count, seed, start, stop)

    def split(images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, [count, batch, *images.shape[1:]])

    return pairs.map(lambda pair: {role: split(images) for role, images in pair.items()})
