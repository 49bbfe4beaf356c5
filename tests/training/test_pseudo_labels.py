"""Which pixels teach, worked by hand."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cmda_tf.training import pseudo_labels as module
from cmda_tf.training.pseudo_labels import (
    IGNORED,
    Rule,
    aligned,
    class_factors,
    class_shares,
    class_thresholds,
    predictions,
    pseudo_labels,
)


def test_pixels_reach_the_threshold_of_their_class():
    p = [[[0.7, 0.2, 0.1], [0.8, 0.1, 0.1]], [[0.3, 0.5, 0.2], [0.1, 0.45, 0.45]]]
    actual = pseudo_labels(tf.constant([p]), tf.constant([0.75, 0.5, 0.0]))
    assert actual.dtype == tf.uint8
    # 0.7 of class 0 is below 0.75; 0.5 of class 1 just suffices; 0.45 of class 1 does not.
    np.testing.assert_array_equal(actual, [[[IGNORED, 0], [1, IGNORED]]])


def test_thresholds_by_hand():
    confidences = np.array([0.5, 0.6, 0.7, 0.99, 0.95, 0.96, 0.4, 0.6])
    predicted = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    # Medians 0.65, 0.955 and 0.5; the second is cut at 0.9, the fourth class is not there.
    actual = class_thresholds(confidences, predicted, 4, 0.5, 0.9)
    np.testing.assert_allclose(actual, [0.65, 0.9, 0.5, 0.9], rtol=1e-6)
    lowest = class_thresholds(confidences, predicted, 4, 0.0, 0.9)
    np.testing.assert_allclose(lowest, [0.5, 0.9, 0.4, 0.9], rtol=1e-6)
    greatest = class_thresholds(confidences, predicted, 4, 1.0, 1.0)
    np.testing.assert_allclose(greatest, [0.99, 0.96, 0.6, 1.0], rtol=1e-6)


class OneOfTwo:
    """Class 1 by the middle slice alone, as a `Predictor` gives probabilities."""

    def on_slices(self, stack, index):
        for part in np.array_split(index, 3):
            one = tf.sigmoid(stack.inputs(part)[..., 1:2])
            yield tf.concat([1 - one, one], axis=-1).numpy()


one_of_two = OneOfTwo()


@pytest.mark.parametrize("measured", [1000, 7])
def test_thresholds_of_a_stack(dataset, monkeypatch, measured):
    monkeypatch.setattr("cmda_tf.training.pseudo_labels.MEASURED_SLICES", measured)
    stack = dataset.slices("ct", "train", with_labels=False)
    chosen = stack.usable
    if measured < len(chosen):
        chosen = chosen[[int(k * (len(chosen) - 1) / (measured - 1)) for k in range(measured)]]
    probability = 1 / (1 + np.exp(-stack.images[chosen].astype(np.float64)))  # of class 1
    rule = Rule(2, 0.25, 1.0, None)
    rule.measure(one_of_two, stack)
    expected = [
        np.quantile(1 - probability[probability < 0.5], 0.25),
        np.quantile(probability[probability > 0.5], 0.25),
    ]
    np.testing.assert_allclose(rule.thresholds, expected, atol=1e-5)
    np.testing.assert_array_equal(rule.factors, [1, 1])


def test_nothing_teaches_before_the_first_measurement():
    p = tf.constant([[[[0.999, 0.001]]]])
    assert Rule(2, 0.5, 0.9, None).labels(p).numpy().item() == IGNORED


def test_shares_and_alignment_by_hand():
    np.testing.assert_allclose(class_shares(np.array([[[0, 0], [0, 2]]]), 3), [0.75, 0, 0.25])
    # 0.5 * 4 against 0.5: 0.8; 0.2 * 4 against 0.8: 0.5. Both kinds of array.
    p, expected = np.array([[0.5, 0.5], [0.8, 0.2]], np.float32), [[0.2, 0.8], [0.5, 0.5]]
    factors = np.array([1, 4], np.float32)
    np.testing.assert_allclose(aligned(p, factors), expected, rtol=1e-6)
    np.testing.assert_allclose(aligned(tf.constant(p), factors), expected, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_factors_give_the_labels_the_wanted_shares(seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([1, 1, 1], 2000).astype(np.float32)
    shares = rng.dirichlet([5, 5, 5])
    factors = class_factors(p, shares)
    assert factors[0] == 1 and factors.dtype == np.float32
    labels = aligned(p, factors).argmax(axis=1)
    np.testing.assert_allclose(np.bincount(labels, minlength=3) / len(p), shares, atol=0.01)


def test_factor_by_hand():
    """Two of four pixels are to be of class 1: it must lead at 0.3, but not at 0.2."""
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]], np.float32)
    factor = class_factors(p, np.array([0.5, 0.5]))[1]
    assert 0.7 / 0.3 < factor < 0.8 / 0.2


def test_factors_of_shares_out_of_reach_stay_bounded():
    sure = np.array([[1, 0, 0], [0, 1, 0]], np.float32)  # class 2 is never predicted
    factors = class_factors(sure, np.array([0.2, 0.3, 0.5]))
    assert np.isfinite(factors).all() and factors.max() <= 1e3 and factors.min() >= 1e-3


def test_of_large_slices_pixels_at_equal_distances_are_measured(dataset, monkeypatch):
    stack = dataset.slices("ct", "train", with_labels=False)
    everything = predictions(one_of_two, stack)
    monkeypatch.setattr(module, "MEASURED_PIXELS", len(everything) // 4)
    fourth = predictions(one_of_two, stack)
    np.testing.assert_array_equal(fourth, everything[::4])


def test_aligned_labels_and_thresholds_of_a_stack(dataset):
    stack = dataset.slices("ct", "train", with_labels=False)
    one = 1 / (1 + np.exp(-stack.images[stack.usable].astype(np.float64)))
    share = (one > 0.7).mean()  # one that is to be had: all padding is alike
    rule = Rule(2, 0.25, 1.0, np.array([1 - share, share]))
    rule.measure(one_of_two, stack)
    factor = rule.factors.numpy()[1]
    one = one * factor / (1 - one + one * factor)
    assert (one > 0.5).mean() == pytest.approx(share, abs=2e-3)
    expected = [np.quantile(1 - one[one < 0.5], 0.25), np.quantile(one[one > 0.5], 0.25)]
    np.testing.assert_allclose(rule.thresholds, expected, atol=1e-4)
    # Between 1/2 and 1 / (1 + factor) the alignment changes which class leads.
    p = (0.5 + 1 / (1 + factor)) / 2
    rule.thresholds.assign([0, 0])
    label = rule.labels(tf.constant([[[[1 - p, p]]]], tf.float32)).numpy().item()
    assert label == int(factor > 1) != int(p > 0.5)
