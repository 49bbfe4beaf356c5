"""Fixtures of the phases' tests: the tiny source run's weights and a game about to begin."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data.slices import load_slices
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.settings import AdaptSettings
from cmda_tf.training.adversarial import make_players
from cmda_tf.training.common import source_run
from cmda_tf.training.weights import set_weights


@pytest.fixture(scope="module")
def source(tiny):
    return source_run(tiny(AdaptSettings)).weights()


@pytest.fixture(scope="module")
def game(tiny, config, manifest, source):
    """Players at the start, their updates compiled once, and one batch of both domains."""
    tf.keras.utils.set_random_seed(0)
    settings = tiny(AdaptSettings, clip=0.02)
    segmenter = build_segmenter(config)
    set_weights(segmenter, source, "source")
    dam = build_dam(config, 13, segmenter)
    players = make_players(settings, config, segmenter, dam)
    images = {
        domain: tf.constant(s.inputs(np.arange(22, 26)))
        for domain, s in (
            (d, load_slices(manifest, m, "train", False))
            for d, m in (("source", "mr"), ("target", "ct"))
        )
    }
    return players, segmenter, images
