"""Unsupervised adaptation: critic warm-up, then joint updates (the paper, sections 3.3-3.4).

Of the target only images of its training subjects are read, never a label.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from cmda_tf.data.manifest import Manifest
from cmda_tf.data.slices import SliceStack, batches, load_slices
from cmda_tf.models.blocks import ModelConfig
from cmda_tf.models.critic import FeaturePaths, build_critic, build_feature_paths
from cmda_tf.models.segmenter import build_dam, build_router, path
from cmda_tf.selection.bench import Workbench
from cmda_tf.selection.choice import choose_final
from cmda_tf.selection.snapshots import keeper
from cmda_tf.settings import AdaptSettings
from cmda_tf.training.common import (
    augmentation,
    found_slices,
    measured_batches,
    model_config,
    previews,
    run_inputs,
    seed_everything,
    source_run,
    target_slices,
    trained_segmenter,
)
from cmda_tf.training.loop import Loop
from cmda_tf.training.players import (
    AdversarialPlayers,
    Critic,
    make_joint_update,
    make_warmup_step,
)
from cmda_tf.training.runs import Run, start_run
from cmda_tf.training.steps import staircase


def adapt(settings: AdaptSettings, manifest: Manifest) -> Run:
    """`--phase=adapt`: trains a DAM of `settings.depth` against the critic, or goes on with it.

    Returns:
      The finished run; its model is the router with both paths.
    """
    config = model_config(settings, manifest)
    origin = source_run(settings)
    run = start_run("adapt", settings, config, run_inputs(manifest, settings.target, origin))
    if run.finished:
        return run
    seed_everything(settings)
    segmenter = trained_segmenter(config, origin)
    dam = build_dam(config, settings.depth, segmenter)
    router = build_router(config, settings.depth, segmenter, dam)
    source = load_slices(manifest, settings.source, "train", with_labels=False)
    source = found_slices(settings, source, segmenter)
    target = found_slices(settings, target_slices(settings, manifest), segmenter)
    players = make_players(settings, config, segmenter, dam, source)
    _compete(run, settings, players, router, source, target)
    bench = Workbench(settings, config, segmenter, dam, router, target)
    choose_final(run, bench, manifest)
    run.finish(router)
    return run


def make_players(
    settings: AdaptSettings,
    config: ModelConfig,
    segmenter: tf.keras.Model,
    dam: tf.keras.Model,
    source: SliceStack | None = None,
) -> AdversarialPlayers:
    """The DAM and new critics, with an optimizer each.

    Args:
      settings: of the phase.
      config: of the networks.
      segmenter, dam: the trained segmenter, which is frozen, and the DAM.
      source: unlabelled source slices, for `settings.standardise_taps`.
    """
    segmenter.trainable = False
    paths = build_feature_paths(config, settings.depth, settings.taps, segmenter, dam)
    if settings.standardise_taps:
        paths = paths.standardised(*source_moments(paths, source))
    critic = _critic(settings, config, paths.channels, lambda features: features.tapped)
    mask_critic = None
    if weight := settings.mask_critic_weight:
        view = lambda features: tf.nn.softmax(features.logits)  # noqa: E731
        mask_critic = _critic(settings, config, config.classes, view, weight, "mask_")
    average = build_dam(config, settings.depth, segmenter) if settings.dam_average else None
    return AdversarialPlayers(
        paths,
        dam,
        _rmsprop(settings, settings.dam_learning_rate, dam),
        critic,
        mask_critic,
        settings.entropy_weight,
        average,
        settings.dam_average,
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
    players: AdversarialPlayers,
    router: tf.keras.Model,
    source: SliceStack,
    target: SliceStack,
) -> None:
    """Warm-up and joint updates."""
    loop = Loop(run.folder, **_state(players))
    loop.restore("warmup", "joint")
    warps = augmentation(settings)
    warmup_seed, joint_seed = 2 * settings.seed, 2 * settings.seed + 1
    warmup = make_warmup_step(players, settings.critic_learning_rate, warps, warmup_seed)
    pairs = functools.partial(_pairs, source, target, settings.batch, warmup_seed)
    log_every, checkpoint_every = settings.log_every, settings.checkpoint_every
    loop.run("warmup", settings.warmup_updates, pairs, warmup, log_every, checkpoint_every)
    joint = make_joint_update(
        players,
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
    kept = players.dam if players.average is None else players.average
    keep = keeper(run.folder, kept, settings.snapshot_every, settings.joint_updates)
    if loop.done("joint") == 0:
        keep(0, {})
    loop.run("joint", settings.joint_updates, rounds, joint, 1, every, show, keep)


def _state(players: AdversarialPlayers) -> dict[str, Any]:
    """What decides the next update, for the checkpoints."""
    state = {"dam": players.dam, "dam_optimizer": players.dam_optimizer}
    state |= {"critic": players.critic.network, "critic_optimizer": players.critic.optimizer}
    if mask_critic := players.mask_critic:
        state |= {"mask_critic": mask_critic.network, "mask_optimizer": mask_critic.optimizer}
    if players.average is not None:
        state["average"] = players.average
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
            domain: batches(stack, batch, 2 * seed + index, start, stop).map(lambda b: b["images"])
            for index, (domain, stack) in enumerate(stacks.items())
        }
    )


def _rounds(
    source: SliceStack, target: SliceStack, batch: int, count: int, seed: int, start: int, stop: int
) -> tf.data.Dataset:
    """The images of whole joint updates: `[count, B, H, W, 3]` for each domain."""
    pairs = _pairs(source, target, batch * count, seed, start, stop)

    def split(images: tf.Tensor) -> tf.Tensor:
        return tf.reshape(images, [count, batch, *images.shape[1:]])

    return pairs.map(lambda pair: {domain: split(images) for domain, images in pair.items()})
