"""Dice: values worked by hand, agreement with MedPy, the rule for empty masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from medpy.metric.binary import dc

from cmda_tf.evaluation.measures import dice_percent

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=7)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[hnp.arrays(bool, shape)] * 2))


def test_worked_by_hand():
    truth = np.array([1, 1, 1, 0, 0], bool)
    prediction = np.array([0, 1, 1, 1, 1], bool)
    assert dice_percent(prediction, truth) == pytest.approx(100 * 2 * 2 / (3 + 4))


@given(PAIRS)
def test_agrees_with_medpy(pair):
    prediction, truth = pair
    if truth.any():
        expected = 100 * dc(prediction, truth)
        assert dice_percent(prediction, truth) == pytest.approx(expected, abs=1e-6)
    else:
        assert math.isnan(dice_percent(prediction, truth))


def test_empty_masks():
    empty, full = np.zeros((2, 3), bool), np.ones((2, 3), bool)
    assert math.isnan(dice_percent(full, empty))
    assert math.isnan(dice_percent(empty, empty))
    assert dice_percent(empty, full) == 0.0
    assert dice_percent(full, full) == 100.0


def test_large_masks_do_not_overflow():
    mask = np.ones((300, 300, 300), bool)
    assert dice_percent(mask, mask) == 100.0


@pytest.mark.parametrize(
    ("prediction", "truth", "words"),
    [
        (np.ones((2, 2), bool), np.ones((2, 1), bool), "shape"),
        (np.ones((2, 2), np.uint8), np.ones((2, 2), bool), "boolean"),
    ],
)
def test_unfit_arrays_are_refused(prediction, truth, words):
    with pytest.raises(ValueError, match=words):
        dice_percent(prediction, truth)
