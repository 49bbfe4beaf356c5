"""Depth against Dice."""

import pytest

from cmda_tf.figures.depths import draw_depths


def test_means_are_joined_and_seeds_shown():
    figure = draw_depths({"UDA": {21: [60.0, 64.0], 13: [50.0, 58.0]}}, {"noDA": 40.0})
    axis = figure.axes[0]
    assert list(axis.lines[0].get_xdata()) == [13, 21]
    assert list(axis.lines[0].get_ydata()) == [54, 62]
    assert list(axis.lines[1].get_ydata()) == [50, 58]
    assert list(axis.get_xticks()) == [13, 21]
    with pytest.raises(ValueError, match="found 0"):
        draw_depths({})
