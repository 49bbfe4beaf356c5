"""Scores of a subject and rows of means, against values worked by hand and MedPy."""

import math

import numpy as np
import pytest
from medpy.metric.binary import assd, dc

from cmda_tf.data.structures import HEART
from cmda_tf.evaluation.paper import TABLE_1
from cmda_tf.evaluation.scores import Scores, score_subject, summarize

NAN = float("nan")


def label_map(*boxes: tuple[str, slice], shape=(8, 8, 8)) -> np.ndarray:
    """A class map with boxes along the first axis."""
    label_kji = np.zeros(shape, np.uint8)
    for name, where in boxes:
        label_kji[where, 2:6, 2:6] = HEART[name].index
    return label_kji


def test_each_structure_is_scored_as_medpy_does():
    rng = np.random.default_rng(0)
    prediction, truth = rng.integers(0, 5, (2, 6, 7, 8)).astype(np.uint8)
    scores = score_subject(prediction, truth, HEART)
    assert tuple(scores) == HEART.columns
    for name, score in scores.items():
        masks = prediction == HEART[name].index, truth == HEART[name].index
        assert score.dice_percent == pytest.approx(100 * dc(*masks), abs=1e-6)
        assert score.asd_voxel == pytest.approx(assd(*masks), abs=1e-6)


def test_structures_do_not_mix():
    truth = label_map(("AA", slice(0, 4)), ("LV-myo", slice(4, 8)))
    prediction = label_map(("AA", slice(0, 4)), ("LV-blood", slice(4, 8)))
    scores = score_subject(prediction, truth, HEART)
    assert scores["AA"] == Scores(100.0, 0.0)
    assert scores["LV-myo"].dice_percent == 0.0
    assert math.isnan(scores["LV-myo"].asd_voxel)
    for absent in ("LV-blood", "LA-blood"):
        assert math.isnan(scores[absent].dice_percent)
        assert math.isnan(scores[absent].asd_voxel)


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        (np.zeros((2, 2, 2), np.float32), "integer"),
        (np.full((2, 2, 2), 5, np.uint8), "classes 0..4"),
        (np.zeros((2, 2, 1), np.uint8), "shape"),
    ],
)
def test_unfit_maps_are_refused(prediction, words):
    with pytest.raises(ValueError, match=words):
        score_subject(prediction, np.zeros((2, 2, 2), np.uint8), HEART)


def row_of(*dice_and_asd: tuple[float, float]):
    """A row in which all structures have the same scores."""
    return summarize([{name: Scores(*pair) for name in HEART.columns} for pair in dice_and_asd])


def test_means_worked_by_hand():
    row = row_of((80.0, 1.0), (90.0, 3.0))
    assert row.dice["AA"].mean == pytest.approx(85.0)
    assert row.dice["AA"].std == pytest.approx(5.0)  # population, not sample
    assert row.asd["LV-myo"].mean == pytest.approx(2.0)
    assert row.asd["LV-myo"].std == pytest.approx(1.0)
    assert (row.asd["AA"].count, row.asd["AA"].total) == (2, 2)
    assert row.mean_dice == pytest.approx(85.0)
    assert list(row.subjects) == ["1", "2"]


def test_a_failed_subject_counts_for_dice_and_not_for_asd():
    row = row_of((60.0, 2.0), (0.0, NAN), (30.0, 4.0))
    assert row.dice["AA"].mean == pytest.approx(30.0)
    assert row.asd["AA"].mean == pytest.approx(3.0)
    assert (row.asd["AA"].count, row.asd["AA"].total) == (2, 3)


def test_what_is_never_predicted_is_not_available():
    row = row_of((0.0, NAN), (0.0, NAN))
    assert row.dice["AA"].mean == 0.0
    assert row.asd["AA"] is None
    assert row_of((NAN, NAN)).mean_dice is None


def test_mean_dice_is_over_structures():
    scores = {name: Scores(value, 1.0) for name, value in zip(HEART.columns, (10, 20, 30, 60))}
    assert summarize([scores]).mean_dice == pytest.approx(30.0)
    # The text of the paper gives these two: 14.3 without adaptation, 43.4 more at d = 21.
    assert TABLE_1["source_mr/noDA"].mean_dice == pytest.approx(14.3, abs=0.05)
    gain = TABLE_1["adapt_d21"].mean_dice - TABLE_1["source_mr/noDA"].mean_dice
    assert gain == pytest.approx(43.4, abs=0.05)


@pytest.mark.parametrize("ids", [["a"], ["a", "a"]])
def test_every_subject_needs_its_own_id(ids):
    scores = {name: Scores(1.0, 1.0) for name in HEART.columns}
    with pytest.raises(ValueError, match="distinct id"):
        summarize([scores, scores], ids)
    with pytest.raises(ValueError, match="distinct id"):
        summarize([])
