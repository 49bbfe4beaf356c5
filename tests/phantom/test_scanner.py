"""Voxel grids: geometry as SimpleITK sees it, the heart within the field of view."""

import numpy as np
import pytest

from cmda_tf.phantom import anatomy, scanner


def _scan(seed, modality="mr", resolution="fast"):
    return scanner.plan_scan(modality, resolution, np.random.default_rng(seed))


@pytest.mark.parametrize("modality", ("mr", "ct"))
def test_points_and_indices_agree_with_simpleitk(modality):
    scan = _scan(4, modality)
    grid, place = scan.grid, scan.heart_mm
    image = grid.apply(np.zeros(grid.shape_kji, np.uint8))
    points, to_index = scanner.points_from(place, grid), scanner.to_index_from(place, grid)
    for index in ((0, 0, 0), (5, 17, 30), tuple(n - 1 for n in grid.size_ijk)):
        expected = np.array(image.TransformIndexToPhysicalPoint(index)) - place
        actual = points[(slice(None), *index[::-1])]
        np.testing.assert_allclose(actual, expected, atol=1e-3)
        np.testing.assert_allclose(to_index[:, :3] @ expected + to_index[:, 3], index, atol=1e-6)


@pytest.mark.parametrize("modality", ("mr", "ct"))
def test_field_of_view_is_off_center_and_holds_the_heart(modality):
    offsets = []
    for seed in range(50):
        scan = _scan(seed, modality)
        grid = scan.grid
        extent = np.multiply(grid.size_ijk, grid.spacing_mm)
        assert (extent >= 190).all() and (extent <= 260).all()
        image_middle = (np.array(grid.size_ijk) - 1) / 2
        direction = np.reshape(grid.direction, (3, 3))
        middle = grid.origin_mm + direction @ (image_middle * grid.spacing_mm)
        offsets.append(scan.heart_mm - middle)
    assert np.abs(offsets).max() <= scanner.MAX_OFFSET_MM
    assert (np.std(offsets, axis=0) > 5).all()


def test_no_structure_is_cut_by_the_field_of_view():
    for modality in ("mr", "ct"):
        for seed in range(3):
            rng = np.random.default_rng([seed, 9])
            scan = scanner.plan_scan(modality, "fast", rng)
            label = anatomy.draw(anatomy.Person.sample(rng), scan).label
            for code in (205, 420, 500, 820):
                where = np.array(np.nonzero(label == code))
                room = np.minimum(where.min(1), np.array(label.shape) - 1 - where.max(1))
                assert (room >= 2).all(), (modality, seed, code)


def test_both_resolutions_see_the_same_patient_in_the_same_place():
    fast, full = _scan(7), _scan(7, resolution="full")
    np.testing.assert_array_equal(fast.heart_mm, full.heart_mm)
    np.testing.assert_array_equal(fast.grid.direction, full.grid.direction)
    assert np.prod(full.grid.size_ijk) > 5 * np.prod(fast.grid.size_ijk)
