"""Fixtures of the phases' tests: the tiny source run's weights, networks about to be trained."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.inference.networks import Networks
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.runs.weights import set_weights
from cmda_tf.training.adversarial import make_networks
from cmda_tf.training.phases import AdaptPhase
from cmda_tf.training.setup import source_run


@pytest.fixture(scope="module")
def source(tiny):
    return source_run(tiny(AdaptPhase)).weights()


@pytest.fixture(scope="module")
def build(tiny, config, source):
    """`build(config=..., **changes)`: new networks on the trained source model."""

    def networks(config=config, **changes):
        settings = tiny(AdaptPhase, **changes)
        segmenter = build_segmenter(config)
        set_weights(segmenter, source, "source")
        nets = Networks(config, segmenter, build_dam(config, 13, segmenter), 13)
        return make_networks(settings.critic, settings.adversarial, nets), segmenter

    return networks


@pytest.fixture(scope="module")
def start(build, dataset):
    """Networks at the start, their updates compiled once, and one batch of both roles."""
    tf.keras.utils.set_random_seed(0)
    networks, segmenter = build(clip=0.02)
    images = {
        role: tf.constant(dataset.slices(modality, "train", False).inputs(np.arange(22, 26)))
        for role, modality in (("source", "mr"), ("target", "ct"))
    }
    return networks, segmenter, images
