"""What a reader must be able to see: colors told apart, outlines and structures in view."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import same_color, to_rgb
from matplotlib.contour import ContourSet

from cmda_tf.data.structures import HEART
from cmda_tf.visualization.palette import in_palette
from cmda_tf.visualization.segmentation import best_slice
from cmda_tf.visualization.shift import figure1

# Linear RGB as seen without long- and without medium-wave cones (Vienot, Brettel and Mollon,
# "Digital video colormaps for checking the legibility of displays by dichromats", 1999).
SAFE = in_palette(HEART, "colorblind_safe")
DICHROMATS = {
    "protanope": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranope": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


def lab(linear_rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB under D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear_rgb / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("viewer", DICHROMATS)
def test_structures_are_told_apart_without_one_kind_of_cone(viewer):
    seen = {}
    for item in SAFE:
        name, rgb = item.name, np.array(to_rgb(item.color))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen[name] = lab(np.clip(np.array(DICHROMATS[viewer]) @ linear, 0, 1))
    for one, other in combinations(seen, 2):
        # Ten times the difference that is just noticeable side by side (2.3).
        assert np.linalg.norm(seen[one] - seen[other]) > 23, (one, other)


def test_a_slice_where_all_structures_can_be_seen_is_preferred_to_specks():
    label_kji = np.zeros((3, 20, 20), np.uint8)
    label_kji[0, :18], label_kji[0, 19, 0] = 3, 4  # 360 and 1 voxels
    label_kji[1, :5], label_kji[1, 6:9] = 3, 4  # 100 and 60
    label_kji[2, :] = 3  # 400
    assert best_slice(label_kji) == 1


def test_neighboring_structures_both_keep_their_outline():
    label_kji = np.zeros((3, 24, 24), np.uint8)
    label_kji[1, 4:20, 4:20], label_kji[1, 8:16, 8:16] = 1, 3  # blood inside myocardium
    image = np.random.default_rng(0).normal(size=label_kji.shape)
    subject = SimpleNamespace(id="x", image=image, label=label_kji, truth=label_kji)
    figure = figure1({"A": [subject], "B": [subject]}, SAFE)
    outlines = figure.axes[0].findobj(ContourSet)
    last = outlines[-1]
    assert len(outlines) == 2
    assert same_color(last.get_edgecolor()[0], SAFE["LV-blood"].color)
    corners = last.get_paths()[0].get_extents()
    assert corners.x0 > 7.5 and corners.x1 < 15.5  # inside the voxels' edges
