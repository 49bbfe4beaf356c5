"""Eq. 1 against values worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.losses.hybrid import hybrid_loss, soft_dice, weighted_cross_entropy
from cmda_tf.losses.settings import SegmentationLoss

TERMS = SegmentationLoss()


def test_by_hand():
    # Four pixels, two classes, three of class 0: w = (1/4, 3/4).
    labels = np.array([[[0, 0], [0, 1]]], np.uint8)
    p = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.5, 0.5], [0.4, 0.6]]])
    logits = tf.constant(np.log(p)[np.newaxis], tf.float32)
    # -(1/4 (ln 0.9 + ln 0.8 + ln 0.5) + 3/4 ln 0.6) / 4
    cross_entropy = -(0.25 * np.log([0.9, 0.8, 0.5]).sum() + 0.75 * np.log(0.6)) / 4
    # class 0: 2 (0.9 + 0.8 + 0.5) / (0.81 + 0.64 + 0.25 + 0.16 + 3); class 1: 2 * 0.6 / (0.01 +
    # 0.04 + 0.25 + 0.36 + 1)
    dice = (4.4 / 4.86 + 1.2 / 1.66) / 2
    result = hybrid_loss(logits, labels, SegmentationLoss(dice_weight=0.5))
    assert float(result["cross_entropy"]) == pytest.approx(cross_entropy, rel=1e-5)
    assert float(result["dice"]) == pytest.approx(dice, rel=1e-5)
    assert float(result["loss"]) == pytest.approx(cross_entropy - 0.5 * dice, rel=1e-5)


def test_equal_weights_by_hand():
    labels = np.array([[[0, 0], [0, 1]]], np.uint8)
    p = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.5, 0.5], [0.4, 0.6]]])
    logits = tf.constant(np.log(p)[np.newaxis], tf.float32)
    actual = hybrid_loss(logits, labels, SegmentationLoss(class_weights=False))
    expected = -np.log([0.9, 0.8, 0.5, 0.6]).mean()
    assert float(actual["cross_entropy"]) == pytest.approx(expected, rel=1e-5)
    assert float(actual["dice"]) == pytest.approx(float(hybrid_loss(logits, labels, TERMS)["dice"]))


def test_perfect_prediction():
    labels = np.random.default_rng(0).integers(0, 5, (2, 8, 8))
    logits = tf.one_hot(labels, 5) * 100.0
    result = hybrid_loss(logits, labels, TERMS)
    assert float(result["dice"]) == pytest.approx(1, abs=1e-5)
    assert float(result["cross_entropy"]) == pytest.approx(0, abs=1e-5)


def test_absent_class_counts_as_missed_only_where_predicted():
    truth = tf.one_hot(np.zeros((1, 4, 4), int), 2)
    assert float(soft_dice(truth, truth)) == pytest.approx(0.5, abs=1e-6)  # (1 + 0) / 2
    assert float(weighted_cross_entropy(truth * 100.0, truth, None, True)) == pytest.approx(
        0, abs=1e-6
    )


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 3, 3, 3))
    labels = rng.integers(0, 3, (1, 3, 3))
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = hybrid_loss(x, labels, TERMS)["loss"]
    gradient = tape.gradient(loss, x).numpy()
    for at in [(0, 0, 0, 0), (0, 1, 2, 1), (0, 2, 2, 2)]:
        nudge = np.zeros_like(logits)
        nudge[at] = 1e-5
        up, down = (
            float(hybrid_loss(tf.constant(logits + s * nudge), labels, TERMS)["loss"])
            for s in (1, -1)
        )
        assert gradient[at] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-8)


def test_mask_by_hand():
    # Of the four pixels of test_by_hand the one of 0.5 does not count, whatever its label:
    # two of class 0 and one of class 1, so w = (1/3, 2/3).
    labels = np.array([[[0, 0], [255, 1]]], np.uint8)
    mask = np.array([[[True, True], [False, True]]])
    p = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.5, 0.5], [0.4, 0.6]]])
    logits = tf.constant(np.log(p)[np.newaxis], tf.float32)
    cross_entropy = -(np.log([0.9, 0.8]).sum() / 3 + 2 / 3 * np.log(0.6)) / 3
    # class 0: 2 (0.9 + 0.8) / (0.81 + 0.64 + 0.16 + 2); class 1: 2 * 0.6 / (0.01 + 0.04 + 0.36 + 1)
    dice = (3.4 / 3.61 + 1.2 / 1.41) / 2
    for label in (0, 1, 255):
        labels[0, 1, 0] = label
        result = hybrid_loss(logits, labels, SegmentationLoss(dice_weight=0.5), mask)
        assert float(result["cross_entropy"]) == pytest.approx(cross_entropy, rel=1e-5)
        assert float(result["dice"]) == pytest.approx(dice, rel=1e-5)
        assert float(result["loss"]) == pytest.approx(cross_entropy - 0.5 * dice, rel=1e-5)


def test_full_mask_is_no_mask_and_an_empty_one_teaches_nothing():
    rng = np.random.default_rng(1)
    logits = tf.constant(rng.normal(size=(2, 4, 4, 5)), tf.float32)
    labels = rng.integers(0, 5, (2, 4, 4))
    full = hybrid_loss(logits, labels, TERMS, mask=np.ones((2, 4, 4), bool))
    for name, value in hybrid_loss(logits, labels, TERMS).items():
        assert float(full[name]) == pytest.approx(float(value), rel=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        empty = hybrid_loss(logits, labels, TERMS, mask=np.zeros((2, 4, 4), bool))
    assert {float(value) for value in empty.values()} == {0.0}
    assert not tape.gradient(empty["loss"], logits).numpy().any()


def test_pixels_outside_the_mask_get_no_gradient():
    rng = np.random.default_rng(2)
    logits = tf.constant(rng.normal(size=(1, 4, 4, 3)), tf.float32)
    mask = rng.random((1, 4, 4)) < 0.5
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = hybrid_loss(logits, rng.integers(0, 3, (1, 4, 4)), TERMS, mask)["loss"]
    gradient = tape.gradient(loss, logits).numpy()
    assert not gradient[~mask].any() and gradient[mask].any(axis=-1).all()
