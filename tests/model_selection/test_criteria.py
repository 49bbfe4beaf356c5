"""The criteria, by values worked by hand and SciPy's entropy."""

import math

import numpy as np
import pytest
import scipy.stats

from cmda_tf.model_selection import criteria

LOG2 = math.log(2)


@pytest.fixture
def predictions():
    """Random predictions of 5 classes, `[3, 4, 6, 5]`."""
    return np.random.default_rng(0).dirichlet(np.ones(5), size=(3, 4, 6)).astype(np.float32)


def _pixels(*vectors):
    """One slice whose pixels have these predictions."""
    return np.array(vectors, np.float32)[np.newaxis, np.newaxis]


def test_entropy_is_that_of_scipy(predictions):
    expected = -scipy.stats.entropy(predictions, axis=-1).mean()
    assert criteria.negative_entropy(predictions) == pytest.approx(expected, rel=1e-5)


def test_entropy_of_sure_and_unsure_pixels():
    assert criteria.negative_entropy(_pixels([1, 0, 0, 0], [0, 0, 1, 0])) == 0
    unsure = _pixels([0.25] * 4, [0, 0.5, 0.5, 0])  # log 4 and log 2
    assert criteria.negative_entropy(unsure) == pytest.approx(-1.5 * LOG2)


def test_mutual_information_wants_sure_pixels_of_all_classes(predictions):
    assert criteria.mutual_information(_pixels([1, 0], [0, 1])) == pytest.approx(LOG2)
    assert criteria.mutual_information(_pixels([1, 0], [1, 0])) == 0
    assert criteria.mutual_information(_pixels([0.5, 0.5], [0.5, 0.5])) == pytest.approx(
        0, abs=1e-6
    )
    # The Jensen-Shannon divergence of two predictions is their mutual information.
    p, q = predictions[0, 0, 0], predictions[1, 0, 0]
    middle = (p + q) / 2
    divergence = (scipy.stats.entropy(p, middle) + scipy.stats.entropy(q, middle)) / 2
    assert criteria.mutual_information(_pixels(p, q)) == pytest.approx(divergence, rel=1e-4)


def test_neighborhood_density():
    """Two equal pixels and an orthogonal one; lengths do not matter."""
    vectors = np.array([[1, 0], [3, 0], [0, 0.5]])
    near = math.e / (math.e + 1)  # softmax of similarities 1 and 0
    pair = scipy.stats.entropy([near, 1 - near])
    expected = (2 * pair + LOG2) / 3  # the third pixel is equally far from both others
    assert criteria.neighborhood_density(vectors, temperature=1.0) == pytest.approx(expected)
    assert criteria.neighborhood_density(np.ones((6, 3))) == pytest.approx(math.log(5))
    sharp = -scipy.stats.entropy([1, math.exp(-20)])  # the default temperature, 1 / 20
    actual = criteria.neighborhood_density(vectors.astype(np.float32))
    assert actual == pytest.approx((LOG2 - 2 * sharp) / 3, rel=1e-5)


def test_agreement_is_the_mean_over_subjects_and_structures():
    first = np.array([[[1, 1, 0], [2, 0, 0]], [[1, 0, 0], [0, 0, 0]]])
    other = np.array([[[0, 1, 1], [0, 0, 0]], [[1, 0, 0], [0, 0, 0]]])
    subjects = np.array([0, 7])
    # Subject 0: structure 1 has 1 of 2 and 2 in common, 2 is in one only; subject 7: all equal.
    actual = criteria.agreement(first, other, subjects, 3)
    assert actual == pytest.approx((0.5 + 0 + 1) / 3)
    assert actual == criteria.agreement(other, first, subjects, 3)
    assert math.isnan(criteria.agreement(first * 0, first * 0, subjects, 3))


def test_best_is_the_highest_and_of_equal_ones_the_latest():
    assert criteria.best({0: -3.0, 5: -1.0, 10: -2.0}) == 5
    assert criteria.best({0: 1.0, 5: 1.0, 10: 0.0}) == 5
    assert criteria.best({0: None, 5: -2.0}) == 5
    assert criteria.best({0: None}) is None


def test_every_criterion_has_a_sentence():
    assert next(iter(criteria.CRITERIA)) == "last"
    assert all(text.endswith(".") and len(text) > 30 for text in criteria.CRITERIA.values())
