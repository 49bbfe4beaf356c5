"""Entropy of predictions against SciPy's."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from scipy.stats import entropy

from cmda_tf.losses.entropy import prediction_entropy


def test_entropy_is_a_share_of_the_largest():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = entropy(softmax(logits, axis=-1), base=5, axis=-1).mean()
    assert float(prediction_entropy(tf.constant(logits))) == pytest.approx(expected, rel=1e-5)
    assert float(prediction_entropy(tf.zeros([1, 2, 2, 5]))) == pytest.approx(1)
    sure = tf.one_hot([[[0, 1]]], 5) * 1e4
    assert float(prediction_entropy(sure)) == 0
