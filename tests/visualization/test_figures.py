"""Figures: what is drawn, not how it looks."""

from types import SimpleNamespace

import matplotlib.colors as colors
import numpy as np
import pytest
from matplotlib.text import Text

from cmda_tf.data.structures import HEART, Structure, Structures
from cmda_tf.errors import DataError, UsageError
from cmda_tf.training.phases import AdaptPhase
from cmda_tf.training.setup import source_run
from cmda_tf.visualization.architecture import draw
from cmda_tf.visualization.canvas import save
from cmda_tf.visualization.curves import draw_curves, read_curves
from cmda_tf.visualization.palette import in_palette, paint
from cmda_tf.visualization.segmentation import Example, best_slice, figure3
from cmda_tf.visualization.shift import figure1, intensities

SAFE = in_palette(HEART, "colorblind_safe")


@pytest.fixture(scope="module")
def label():
    label = np.zeros((6, 8, 8), np.uint8)
    label[1, :, :] = 3  # the largest area, one structure
    label[4, :2], label[4, 2:4] = 1, 4  # two structures
    label[5, :1], label[5, 2:3] = 1, 4
    return label


def _texts(figure):
    return [text.get_text() for text in figure.findobj(Text)]


def test_colors_are_the_papers(label):
    hues = {s.name: colors.rgb_to_hsv(colors.to_rgb(s.color))[0] * 360 for s in HEART}
    assert 40 < hues["AA"] < 65 and 100 < hues["LV-blood"] < 160 and 200 < hues["LV-myo"] < 250
    assert hues["LA-blood"] < 15 or hues["LA-blood"] > 345
    painted = paint(label, HEART, opacity=0.5)
    assert painted.shape == (6, 8, 8, 4) and not painted[0].any()
    np.testing.assert_allclose(
        painted[4, 0, 0], colors.to_rgba(HEART["LV-myo"].color, 0.5), atol=1e-6
    )


def test_palettes_change_the_colors_alone():
    assert in_palette(HEART, "paper") is HEART
    assert [s.name for s in SAFE] == [s.name for s in HEART] and SAFE.columns == HEART.columns
    assert {s.color for s in SAFE}.isdisjoint({s.color for s in HEART})
    members = tuple(Structure(f"s{n}", n, (n,), "#010203") for n in range(1, 11))
    many = in_palette(Structures(members), "colorblind_safe")
    assert len({s.color for s in many}) == 8 and many["s1"].color == many["s9"].color
    with pytest.raises(ValueError, match="'rainbow'"):
        in_palette(HEART, "rainbow")


def test_best_slice_shows_most_structures(label):
    assert best_slice(label) == 4
    assert best_slice(np.zeros((9, 2, 2), int)) == 4


def test_figure3_has_a_panel_for_each_map(label):
    image = np.random.default_rng(0).normal(size=label.shape)
    rows = [Example(n, image, label, {"noDA": label * 0, "UDA": label}) for n in ("a", "b")]
    figure = figure3(rows, SAFE, "CT slice")
    assert len(figure.axes) == 2 * 4
    assert [axis.get_title() for axis in figure.axes[:4]] == [
        "CT slice",
        "Ground truth",
        "noDA",
        "UDA",
    ]
    overlay = figure.axes[3].images[1].get_array()
    np.testing.assert_allclose(overlay, paint(label[4], SAFE, 0.85))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), image[4].astype("f4"))
    for s in HEART:
        assert s.name in _texts(figure)


def test_figure3_refuses_what_does_not_fit(label):
    image = label.astype(float)
    with pytest.raises(ValueError, match="at least one example"):
        figure3([], HEART)
    with pytest.raises(ValueError, match="a map has shape"):
        figure3([Example("a", image, label, {"x": label[1:]})], HEART)
    with pytest.raises(ValueError, match=r"expected a slice 0\.\.5, not 6"):
        figure3([Example("a", image, label, {}, k=6)], HEART)


def test_figure1_draws_both_modalities(dataset):
    subjects = {m.upper(): dataset.test_subjects(m) for m in ("mr", "ct")}
    figure = figure1(subjects, HEART)
    mr = subjects["MR"]
    assert any("MR" in t for t in _texts(figure)) and any("CT" in t for t in _texts(figure))
    actual = intensities(mr, HEART["AA"].index)
    expected = mr[0].image[mr[0].label == HEART["AA"].index]
    np.testing.assert_array_equal(np.sort(actual), np.sort(expected))
    with pytest.raises(ValueError, match="at least one subject"):
        figure1({**subjects, "MR": []}, HEART)
    with pytest.raises(ValueError, match="of two modalities"):
        figure1({"MR": mr}, HEART)


def test_histograms_show_what_is_beside_the_cut_of_the_brightest():
    """Of 100 intensities 80 are cut at the maximum, 20 lie evenly in two bins below."""
    values = np.repeat([0.0, 0.25, 1.0], [10, 10, 80]).reshape(1, 10, 10)
    label = np.full(values.shape, HEART["AA"].index)
    one = SimpleNamespace(id="a", image=values, label=label, truth=label)
    axis = figure1({"MR": [one], "CT": [one]}, HEART).axes[2]
    width = 1 / 60  # bins over 0..1
    assert max(p.get_height() for p in axis.patches[:60]) == pytest.approx(0.8 / width)
    assert axis.get_ylim() == (0, pytest.approx(1.1 * 0.1 / width))


def test_architecture_is_that_of_the_table():
    texts = " ".join(_texts(draw(13)))
    assert "layers 10-13" in texts and "layers 14-17" in texts and "512, dilation 2" in texts
    assert texts.count("layers 10-13") == 2  # source and DAM
    assert texts.count("layers 14-17") == 1  # shared
    cut = " ".join(_texts(draw(11, taps=(33,))))
    assert "layers 10-11" in cut and "layers 12-13" in cut and "tap 13" not in cut
    with pytest.raises(UsageError, match=r"^depth: 12 does not"):
        draw(12)


def test_curves_of_a_run(tiny, tmp_path):
    run = source_run(tiny(AdaptPhase))
    curves = read_curves(run.folder)
    steps, values = curves["train/loss"]
    assert steps == [1, 2, 3] and np.isfinite(values).all()
    figure = draw_curves(curves, {"train/loss": "Loss", "train/dice": "Dice"})
    assert [axis.get_title() for axis in figure.axes] == ["Loss", "Dice"]
    five = draw_curves({n: ([0, 1], [0.0, 1.0]) for n in "abcde"}, {n: n for n in "abcde"})
    grid = [axis.get_subplotspec().get_geometry()[:2] for axis in five.axes]
    assert grid == [(2, 3)] * 5
    with pytest.raises(ValueError, match="no curve 'x'"):
        draw_curves(curves, {"x": ""})
    with pytest.raises(DataError, match="expected TensorBoard logs"):
        read_curves(tmp_path)


def test_saved_as_png_and_pdf_with_the_same_bytes(tmp_path):
    first = [path.read_bytes() for path in save(draw(13), tmp_path / "a.b")]
    assert [path.name for path in save(draw(13), tmp_path / "a.b")] == ["a.b.png", "a.b.pdf"]
    assert first == [path.read_bytes() for path in save(draw(13), tmp_path / "a.b")]
    assert first[0].startswith(b"\x89PNG") and first[1].startswith(b"%PDF")
