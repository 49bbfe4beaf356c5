"""Unsupervised adaptation: critic warm-up, then joint updates (the paper, sections 3.3-3.4).

Of the target only images of its training subjects are read, never a label.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from cmda_tf.data.manifest import Manifest
from cmda_tf.data.slices import SliceStack, batches, load_slices
from cmda_tf.models.critic import build_critic, build_feature_paths
from cmda_tf.models.segmenter import build_dam, build_router, path
from cmda_tf.selection.bench import Workbench
from cmda_tf.selection.choice import choose_final
from cmda_tf.selection.snapshots import keeper
from cmda_tf.settings import AdaptSettings
from cmda_tf.training.common import (
    augmentation,
    model_config,
    previews,
    run_inputs,
    seed_everything,
    source_run,
    target_slices,
    trained_segmenter,
)
from cmda_tf.training.loop import Loop
from cmda_tf.training.runs import Run, start_run
from cmda_tf.training.steps import (
    AdversarialPlayers,
    make_joint_update,
    make_warmup_step,
    staircase,
)


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
    players = make_players(settings, config, segmenter, dam)
    source = load_slices(manifest, settings.source, "train", with_labels=False)
    target = target_slices(settings, manifest)
    _compete(run, settings, players, router, source, target)
    bench = Workbench(settings, config, segmenter, dam, router, target)
    choose_final(run, bench, manifest)
    run.finish(router)
    return run


def make_players(settings, config, segmenter, dam) -> AdversarialPlayers:
    """The DAM and a new critic, with an optimizer each.

    Keras' RMSProp starts its accumulator at zeros with epsilon 1e-7 (TensorFlow 1, which the
    authors used: at ones, 1e-10). With ones the first DAM updates would be some hundred times
    smaller than the rate says, and a short schedule would end before they are not.
    """
    segmenter.trainable = False
    paths = build_feature_paths(config, settings.depth, settings.taps, segmenter, dam)
    critic = build_critic(config, paths.channels)
    optimizers = [
        tf.keras.optimizers.RMSprop(rate)
        for rate in (settings.dam_learning_rate, settings.critic_learning_rate)
    ]
    for optimizer, model in zip(optimizers, (dam, critic)):
        optimizer.build(model.trainable_variables)
    return AdversarialPlayers(
        paths, dam, critic, *optimizers, clip=settings.clip, jit_compile=settings.jit_compile
    )


def _compete(
    run: Run,
    settings: AdaptSettings,
    players: AdversarialPlayers,
    router: tf.keras.Model,
    source: SliceStack,
    target: SliceStack,
) -> None:
    """Warm-up and joint updates."""
    loop = Loop(
        run.folder,
        dam=players.dam,
        critic=players.critic,
        dam_optimizer=players.dam_optimizer,
        critic_optimizer=players.critic_optimizer,
    )
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
    keep = keeper(run.folder, players.dam, settings.snapshot_every, settings.joint_updates)
    if loop.done("joint") == 0:
        keep(0, {})
    loop.run("joint", settings.joint_updates, rounds, joint, 1, every, show, keep)


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
