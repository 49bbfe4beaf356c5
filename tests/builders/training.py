"""What several tests of the phases ask."""

import numpy as np

from cmda_tf.data import prepared
from cmda_tf.training.loop import Loop


def assert_equal(weights, expected):
    """Weights by name, equal to the bit."""
    assert weights.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(weights[name], expected[name], err_msg=name)


def trainable(model):
    """Copies of the trainable weights."""
    return [np.array(v) for v in model.trainable_variables]


def moved(before, model):
    """Which of the trainable weights differ from `trainable` before."""
    return [bool((a != np.array(b)).any()) for a, b in zip(before, model.trainable_variables)]


def watch_labels(monkeypatch):
    """Refuses test subjects; returns the list that gets the name of each file of a label read."""
    load, labels = prepared.load_subject, []

    def watched(path, with_label=True, classes=255):
        assert "_train_" in path.name, f"{path}: a test subject was read"
        if with_label:
            labels.append(path.name)
        return load(path, with_label, classes)

    monkeypatch.setattr(prepared, "load_subject", watched)
    return labels


def stop_at(monkeypatch, press_ctrl_c, *stops):
    """Presses Ctrl-C once within each of these updates, (stage, number)."""
    log, left = Loop.log, list(stops)

    def stopping(self, counter, number, result):
        if (counter, number) in left:
            left.remove((counter, number))
            press_ctrl_c()
        return log(self, counter, number, result)

    monkeypatch.setattr(Loop, "log", stopping)
