"""Re-estimated BatchNorm statistics, against those of all slices."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data.batches import batches
from cmda_tf.inference.statistics import refresh_statistics
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.runs.weights import set_weights
from cmda_tf.training.phases import AdaptPhase
from cmda_tf.training.setup import source_run


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_refreshed_statistics_are_those_of_all_slices(config, dataset, tiny, dropout):
    """Dropout is a matter of training: statistics are those that inference meets."""
    config = dataclasses.replace(config, dropout=dropout)
    segmenter = build_segmenter(config)
    set_weights(segmenter, source_run(tiny(AdaptPhase)).weights(), "source")
    dam = build_dam(config, 3, segmenter)
    stack = dataset.slices("ct", "train", with_labels=False)
    usable = len(stack.usable)
    refresh_statistics(config, 3, segmenter, dam, stack)
    number = usable // 32
    drawn = [b["images"] for b in batches(stack, 32, 0, 0, number)]
    first = tf.nn.conv2d(tf.concat(drawn, 0), dam.get_layer("dam_conv1_conv").kernel, 1, "SAME")
    first = tf.nn.conv2d(first, dam.get_layer("dam_rm1_block1_1_conv").kernel, 1, "SAME")
    norm = dam.get_layer("dam_rm1_block1_1_norm")
    np.testing.assert_allclose(norm.moving_mean, np.mean(first, (0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, np.var(first, (0, 1, 2)), rtol=1e-3)
