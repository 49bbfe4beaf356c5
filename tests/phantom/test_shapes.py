"""Solids, fields and warps against volumes and moments worked by hand."""

import itertools
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cmda_tf.phantom.anatomy import Warp
from cmda_tf.phantom.fields import smooth_field
from cmda_tf.phantom.heart import Heart, Solids
from cmda_tf.phantom.painting import TISSUE_ID, Layer, VoxelPainting
from cmda_tf.phantom.shapes import Capsule, Cut, Ellipsoid, tube

CENTER = np.array([3.0, -2.0, 5.0])
TURNED = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()


def _points(half_mm=40.0, step_mm=1.0):
    axis = np.arange(-half_mm, half_mm + step_mm / 2, step_mm, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))


SOLIDS = {
    "ellipsoid": (Ellipsoid(CENTER, np.array([20.0, 12, 9]), TURNED), 4 / 3 * math.pi * 2160),
    # A superellipsoid of power 4 holds 8 abc G(5/4)^3 / G(7/4).
    "rounded box": (
        Ellipsoid(CENTER, np.array([20.0, 12, 9]), TURNED, 4.0),
        8 * 2160 * math.gamma(1.25) ** 3 / math.gamma(1.75),
    ),
    "capsule": (
        Capsule(np.array([-15.2, 0.3, -4.1]), np.array([14.8, 10.3, 3.4]), 8, 8),
        math.pi * 64 * math.hypot(30, 10, 7.5) + 4 / 3 * math.pi * 512,
    ),
    "half an ellipsoid": (
        Cut(Ellipsoid(CENTER, np.array([20.0, 12, 9])), [(CENTER, np.array([0.6, 0, 0.8]))]),
        2 / 3 * math.pi * 2160,
    ),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_volume_and_bounds(name):
    solid, expected_mm3 = SOLIDS[name]
    points = _points()
    inside = solid.inside(points)
    assert inside.sum() == pytest.approx(expected_mm3, rel=0.01)
    low, high = solid.bounds()
    assert (points[:, inside].min(1) >= low - 1e-3).all()
    assert (points[:, inside].max(1) <= high + 1e-3).all()


def test_a_plane_removes_the_side_its_normal_points_to():
    half = Cut(Ellipsoid(np.zeros(3), np.full(3, 10.0)), [(np.zeros(3), np.array([0, 0, 1.0]))])
    assert half.inside(np.float32([[0], [0], [-5]])).all()
    assert not half.inside(np.float32([[0], [0], [5]])).any()


def test_a_tube_passes_through_its_points_with_their_radii():
    path, radii = [(-20, 0, 0), (0, 12, 0), (20, 0, 5)], [6.0, 3.0, 4.0]
    capsules = tube(path, radii, margin_mm=1.0, step_mm=4.0)
    np.testing.assert_allclose(capsules[0].start, path[0])
    np.testing.assert_allclose(capsules[-1].end, path[2], atol=1e-9)
    assert (capsules[0].start_radius, capsules[-1].end_radius) == (7.0, 5.0)
    ends = np.array([c.end for c in capsules])
    assert np.linalg.norm(ends - path[1], axis=1).min() < 2.0
    for one, two in itertools.pairwise(capsules):
        np.testing.assert_array_equal(one.end, two.start)


@pytest.mark.parametrize("correlation_mm", (4.0, 10.0, 40.0))
def test_smooth_field_has_unit_deviation_at_every_voxel(correlation_mm):
    rng = np.random.default_rng(0)
    fields = [smooth_field((12, 9, 10), (2.0, 1.5, 1.0), correlation_mm, rng) for _ in range(400)]
    fields = np.stack(fields)
    # The standard error of a deviation from 400 draws is 1 / sqrt(800) = 0.035.
    assert fields.shape == (400, 12, 9, 10) and fields.dtype == np.float32
    assert abs(fields.std(0) - 1).max() < 5 * 0.036
    assert abs(fields.mean(0)).max() < 5 / math.sqrt(400)


def test_smooth_field_steps_less_along_finer_axes():
    field = smooth_field((40, 40, 40), (4.0, 2.0, 1.0), 10.0, np.random.default_rng(1))
    steps = [np.abs(np.diff(field, axis=axis)).mean() for axis in range(3)]
    assert steps[0] > 1.7 * steps[1] > 2.8 * steps[2]


def test_a_warp_stays_within_its_reach_and_does_not_fold():
    points = _points(60, 4.0)
    for seed in range(10):
        warp = Warp.sample(np.random.default_rng(seed))
        moved = warp.apply(points) - points
        assert 0.3 < np.abs(moved).max() <= warp.reach_mm
        gradient = np.stack([np.stack(np.gradient(m, 4.0)) for m in moved])
        jacobian = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
        assert np.linalg.det(jacobian).min() > 0.3


def test_a_painting_has_what_the_solid_holds_and_nothing_under_protection():
    points = _points(30, 2.0).transpose(0, 3, 2, 1)  # [3, k, j, i]
    to_index = np.column_stack([np.eye(3) / 2, np.full(3, 15)])
    painting = VoxelPainting(points, to_index, 0.0)
    ball = Ellipsoid(CENTER, np.full(3, 11.0))
    painting.paint([Layer([ball], "lung", 7), Layer([ball.grown(4)], "fat", None, ("air",))])
    np.testing.assert_array_equal(painting.label == 7, ball.inside(points))
    np.testing.assert_array_equal(painting.tissue == TISSUE_ID["lung"], ball.inside(points))
    shell = ball.grown(4).inside(points) & ~ball.inside(points)
    np.testing.assert_array_equal(painting.tissue == TISSUE_ID["fat"], shell)
    painting.paint([Layer([Ellipsoid(np.full(3, 500.0), np.full(3, 9.0))], "liver", 9)])
    assert not (painting.label == 9).any()  # outside the grid


def test_the_ventricles_wall_is_as_thick_as_asked_for():
    for seed in range(10):
        h = Heart.sample(np.random.default_rng(seed))
        solids = Solids(h)
        thickness = solids.lv_outer.radii - solids.lv.radii
        np.testing.assert_allclose(thickness / h.size, [0.8 * h.wall, h.wall, h.wall])
        np.testing.assert_allclose(solids.lv.axes @ solids.lv.axes.T, np.eye(3), atol=1e-12)
        assert 8 < h.wall < 12 and 90 < 2 * h.size * h.lv_length < 130
