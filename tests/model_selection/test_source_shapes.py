"""Statistics of shapes and their distance, worked by hand."""

import numpy as np
import pytest

from cmda_tf.model_selection import criteria
from cmda_tf.model_selection.scoring import spread


def test_volumes_and_contacts():
    """Neighbors: 0|1 and 2|1 across, 0|2 and 1|1 down."""
    classes = np.array([[[0, 1], [2, 1]]], np.uint8)
    expected = [np.log(0.5 + 1e-4), np.log(0.25 + 1e-4), 1 / 3, 1 / 3, 1 / 3]
    np.testing.assert_allclose(criteria.shape_statistics(classes, 3), expected)


def test_slices_do_not_touch_each_other():
    classes = np.array([[[0, 0]], [[1, 1]]], np.uint8)
    np.testing.assert_allclose(criteria.shape_statistics(classes, 2), [np.log(0.5 + 1e-4), 0])


def test_each_subject_has_its_own_statistics():
    classes = np.array([[[0, 1]], [[1, 1]], [[0, 0]]], np.uint8)
    actual = criteria.shapes_by_subject(classes, np.array([0, 0, 2]), 2)
    np.testing.assert_allclose(actual, [[np.log(0.75 + 1e-4), 1], [np.log(1e-4), 0]])


def test_distance_in_standard_deviations():
    source = np.array([[0.0, 5.0], [2.0, 5.0]])  # deviations 1 and 0, the latter counts as 0.01
    assert criteria.shape_plausibility(np.array([[3.0, 5.02]]), source) == pytest.approx(-2)
    both = np.array([[3.0, 5.02], [1.0, 5.0]])  # the second is the mean itself
    assert criteria.shape_plausibility(both, source) == pytest.approx(-1)
    assert criteria.shape_plausibility(source, source) == pytest.approx(-np.sqrt(0.5))


def test_true_shapes_of_the_target_are_more_plausible_than_spoilt_ones(dataset):
    mr, ct = (dataset.slices(modality, "test", with_labels=True) for modality in ("mr", "ct"))
    source, target = (criteria.shapes_by_subject(s.labels, s.first, s.classes) for s in (mr, ct))
    true = criteria.shape_plausibility(target, source)
    swapped = np.array([0, 3, 2, 1, 4], np.uint8)[ct.labels]  # myocardium and blood
    missing = np.where(ct.labels == 4, 0, ct.labels)
    for spoilt in (swapped, missing, np.zeros_like(ct.labels)):
        actual = criteria.shape_plausibility(
            criteria.shapes_by_subject(spoilt, ct.first, ct.classes), source
        )
        assert actual < 2 * true < 0


def test_slices_are_spread_over_each_subject(dataset):
    stack = dataset.slices("ct", "train", with_labels=False)
    index, subjects = spread(stack)
    np.testing.assert_array_equal(index, np.arange(48))  # 3 subjects of 16 slices: all
    np.testing.assert_array_equal(subjects, np.repeat([0, 1, 2], 16))


def test_of_long_subjects_sixteen_slices_are_taken():
    class Stack:
        subject = np.repeat([0, 1], [64, 5])

    index, subjects = spread(Stack)
    np.testing.assert_array_equal(index, [*range(2, 64, 4), *range(64, 69)])
    np.testing.assert_array_equal(subjects, [0] * 16 + [1] * 5)
