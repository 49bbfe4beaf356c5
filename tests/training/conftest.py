"""Fixtures of the phases' tests: the tiny source run's weights and a game about to begin."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data.slices import load_slices
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.old_settings import AdaptSettings
from cmda_tf.runs.weights import set_weights
from cmda_tf.training.adversarial import make_networks
from cmda_tf.training.setup import source_run


@pytest.fixture(scope="module")
def source(tiny):
    return source_run(tiny(AdaptSettings)).weights()


@pytest.fixture(scope="module")
def game(tiny, config, dataset, source):
    """Players at the start, their updates compiled once, and one batch of both roles."""
    tf.keras.utils.set_random_seed(0)
    settings = tiny(AdaptSettings, clip=0.02)
    segmenter = build_segmenter(config)
    set_weights(segmenter, source, "source")
    dam = build_dam(config, 13, segmenter)
    networks = make_networks(settings, config, segmenter, dam)
    images = {
        role: tf.constant(s.inputs(np.arange(22, 26)))
        for role, s in (
            (d, load_slices(dataset, m, "train", False))
            for d, m in (("source", "mr"), ("target", "ct"))
        )
    }
    return networks, segmenter, images
