"""The package's own updates, without augmentation, as functions without arguments."""

import functools
from collections.abc import Callable

import numpy as np
import SimpleITK as sitk
import tensorflow as tf
from case import CRITIC_UPDATES, DEPTH, Case

from cmda_tf.data.preprocess import preprocess
from cmda_tf.evaluation.measures import average_surface_distance, dice_percent
from cmda_tf.inference.networks import Networks
from cmda_tf.inference.predictor import Predictor, classes
from cmda_tf.losses.settings import SegmentationLoss
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.models.settings import ModelConfig
from cmda_tf.training.adversarial import make_networks
from cmda_tf.training.adversarial_networks import make_joint_update
from cmda_tf.training.settings import AdversarialSettings, CriticSettings
from cmda_tf.training.steps import make_source_step

RATE = 3e-4


def tasks(case: Case) -> tuple[dict[str, Callable], list[int]]:
    """Every update by its name, each call does one and waits for its end; the numbers of trained
    weights of segmenter and critic."""
    config = ModelConfig(case.size, width=case.width, precision=case.precision)
    segmenter, number = build_segmenter(config), tf.constant(0, tf.int64)
    shape = [case.batch, case.size, case.size]
    images = tf.random.stateless_normal([*shape, 3], [0, 0])
    labels = tf.random.stateless_uniform(shape, [0, 1], 0, 5, tf.int32)
    optimizer = tf.keras.optimizers.Adam(RATE)
    optimizer.build(segmenter.trainable_variables)
    step = make_source_step(segmenter, optimizer, lambda _: RATE, SegmentationLoss())
    predictor = Predictor(segmenter, classes)
    volume = np.random.default_rng(0).normal(size=[case.size] * 3).astype(np.float32)

    depth, frozen = DEPTH, build_segmenter(config)
    nets = Networks(config, frozen, build_dam(config, depth, frozen), depth)
    trained = make_networks(CriticSettings(), AdversarialSettings(), nets)
    rates = lambda _: (tf.constant(RATE), tf.constant(RATE))  # noqa: E731
    joint = make_joint_update(trained, rates, CRITIC_UPDATES, None, 0)
    stack = tf.repeat(images[tf.newaxis], CRITIC_UPDATES + 1, axis=0)
    seed = tf.constant([0, 0], tf.int64)
    models = segmenter, trained.critic.network
    counts = [sum(v.numpy().size for v in model.trainable_variables) for model in models]
    return {
        "forward": lambda: predictor.on_inputs(images.numpy()),
        "source_step": lambda: step(number, {"images": images, "labels": labels})["loss"].numpy(),
        "critic_update": lambda: trained.critic_graph(images, images, seed)["distance"].numpy(),
        "dam_update": lambda: trained.dam_graph(images)["dam_loss"].numpy(),
        "joint_update": lambda: joint(number, {"source": stack, "target": stack})[
            "dam_loss"
        ].numpy(),
        "prediction": lambda: predictor.on_volume(volume),
        "preparation": _preparation,
        "evaluation": _evaluation,
    }, counts


@functools.cache  # made by the call that is not timed
def _scan() -> sitk.Image:
    """A CT of 512x512x300 voxels, 0.4 x 0.4 x 0.6 mm."""
    noise = np.random.default_rng(0).integers(-1000, 1000, (300, 512, 512), np.int16)
    image = sitk.Cast(sitk.GetImageFromArray(noise), sitk.sitkFloat32)
    image.SetSpacing((0.4, 0.4, 0.6))
    return image


@functools.cache
def _masks() -> list[np.ndarray]:
    """Two overlapping balls in 256^3 voxels."""
    grid = np.mgrid[:256, :256, :256]
    return [((grid - middle) ** 2).sum(axis=0) < 60**2 for middle in (125, 130)]


def _preparation() -> None:
    """The scan to 256^3 voxels of 1 mm."""
    preprocess("scan", "ct", _scan(), size=256, spacing_mm=1.0)


def _evaluation() -> None:
    """Dice and surface distance of one structure."""
    for measure in (dice_percent, average_surface_distance):
        measure(*_masks())
