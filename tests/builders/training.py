"""What several tests of the phases ask of weights."""

import numpy as np


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def trainable(model):
    return [np.array(v) for v in model.trainable_variables]


def moved(before, model):
    return [bool((a != np.array(b)).any()) for a, b in zip(before, model.trainable_variables)]
