"""Which pixels teach, worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data.slices import load_slices
from cmda_tf.training.pseudo_labels import (
    IGNORED,
    class_thresholds,
    measure_thresholds,
    pseudo_labels,
)


def test_pixels_reach_the_threshold_of_their_class():
    p = [[[0.7, 0.2, 0.1], [0.8, 0.1, 0.1]], [[0.3, 0.5, 0.2], [0.1, 0.45, 0.45]]]
    found = pseudo_labels(tf.constant([p]), tf.constant([0.75, 0.5, 0.0]))
    assert found.dtype == tf.uint8
    # 0.7 of class 0 is below 0.75; 0.5 of class 1 just suffices; 0.45 of class 1 does not.
    np.testing.assert_array_equal(found, [[[IGNORED, 0], [1, IGNORED]]])


def test_thresholds_by_hand():
    confidences = np.array([0.5, 0.6, 0.7, 0.99, 0.95, 0.96, 0.4, 0.6])
    predicted = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    # Medians 0.65, 0.955 and 0.5; the second is cut at 0.9, the fourth class is not there.
    found = class_thresholds(confidences, predicted, 4, 0.5, 0.9)
    np.testing.assert_allclose(found, [0.65, 0.9, 0.5, 0.9], rtol=1e-6)
    lowest = class_thresholds(confidences, predicted, 4, 0.0, 0.9)
    np.testing.assert_allclose(lowest, [0.5, 0.9, 0.4, 0.9], rtol=1e-6)
    greatest = class_thresholds(confidences, predicted, 4, 1.0, 1.0)
    np.testing.assert_allclose(greatest, [0.99, 0.96, 0.6, 1.0], rtol=1e-6)


@pytest.mark.parametrize("measured", [1000, 7])
def test_thresholds_of_a_stack(manifest, monkeypatch, measured):
    monkeypatch.setattr("cmda_tf.training.pseudo_labels.MEASURED_SLICES", measured)
    stack = load_slices(manifest, "ct", "train", with_labels=False)
    chosen = stack.usable
    if measured < len(chosen):
        chosen = chosen[[int(k * (len(chosen) - 1) / (measured - 1)) for k in range(measured)]]
    probability = 1 / (1 + np.exp(-stack.images[chosen].astype(np.float64)))  # of class 1

    def predict(images):
        one = tf.sigmoid(images[..., 1:2])  # the middle slice alone
        return tf.concat([1 - one, one], axis=-1)

    found = measure_thresholds(predict, stack, 0.25, 1.0)
    expected = [
        np.quantile(1 - probability[probability < 0.5], 0.25),
        np.quantile(probability[probability > 0.5], 0.25),
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)
