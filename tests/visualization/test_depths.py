"""Depth against Dice."""

import pytest

from cmda_tf.visualization.depths import draw_depths


def test_means_are_joined_and_seeds_shown():
    figure = draw_depths({"UDA": {21: [60.0, 64.0], 13: [50.0, 58.0]}}, {"noDA": 40.0})
    axis = figure.axes[0]
    assert list(axis.lines[0].get_xdata()) == [13, 21]
    assert list(axis.lines[0].get_ydata()) == [54, 62]
    assert list(axis.lines[1].get_ydata()) == [50, 58]
    assert list(axis.get_xticks()) == [13, 21]
    with pytest.raises(ValueError, match="found 0"):
        draw_depths({})


def test_neighboring_depths_can_be_read():
    for depths, rotation in (((13, 21, 31), 0), ((13, 30, 31), 90)):
        axis = draw_depths({"UDA": {d: [60.0] for d in depths}}).axes[0]
        assert [t.get_text() for t in axis.get_xticklabels()] == list(map(str, depths))
        assert {t.get_rotation() for t in axis.get_xticklabels()} == {rotation}


def test_nothing_is_written_over_the_curves():
    figure = draw_depths({"UDA": {13: [50.0]}, "AdaBN": {13: [50.0]}}, {"noDA": 40.0})
    axis = figure.axes[0]
    assert axis.get_legend() is None and len(figure.legends) == 1
    marks = [line.get_marker() for line in axis.lines[:4:2]]
    assert marks[0] != marks[1]
    figure.draw_without_rendering()
    assert axis.texts[0].get_window_extent().x0 > axis.get_window_extent().x1
