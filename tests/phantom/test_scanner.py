"""Voxel grids: geometry as SimpleITK sees it, the heart within the field of view."""

import numpy as np
import pytest

from cmda_tf.phantom import anatomy, scanner


def _grid(seed, modality="mr", resolution="fast"):
    return scanner.position(modality, resolution, np.random.default_rng(seed))


@pytest.mark.parametrize("modality", ("mr", "ct"))
def test_points_and_indices_agree_with_simpleitk(modality):
    grid, place = _grid(4, modality)
    image = grid.to_image(np.zeros(grid.size[::-1], np.uint8))
    points, to_index = grid.points(place), grid.to_index(place)
    for index in ((0, 0, 0), (5, 17, 30), tuple(n - 1 for n in grid.size)):
        expected = np.array(image.TransformIndexToPhysicalPoint(index)) - place
        found = points[(slice(None), *index[::-1])]
        np.testing.assert_allclose(found, expected, atol=1e-3)
        np.testing.assert_allclose(to_index[:, :3] @ expected + to_index[:, 3], index, atol=1e-6)


@pytest.mark.parametrize("modality", ("mr", "ct"))
def test_field_of_view_is_off_center_and_holds_the_heart(modality):
    offsets = []
    for seed in range(50):
        grid, place = _grid(seed, modality)
        extent = np.multiply(grid.size, grid.spacing_mm)
        assert (extent >= 190).all() and (extent <= 260).all()
        image_middle = (np.array(grid.size) - 1) / 2
        middle = grid.origin_mm + grid.direction @ (image_middle * grid.spacing_mm)
        offsets.append(place - middle)
    assert np.abs(offsets).max() <= scanner.MAX_OFFSET_MM
    assert (np.std(offsets, axis=0) > 5).all()


def test_no_structure_is_cut_by_the_field_of_view():
    for modality in ("mr", "ct"):
        for seed in range(3):
            rng = np.random.default_rng([seed, 9])
            grid, place = scanner.position(modality, "fast", rng)
            label = anatomy.draw(anatomy.Person.sample(rng), grid, place).label
            for code in (205, 420, 500, 820):
                where = np.array(np.nonzero(label == code))
                room = np.minimum(where.min(1), np.array(label.shape) - 1 - where.max(1))
                assert (room >= 2).all(), (modality, seed, code)


def test_both_resolutions_see_the_same_patient_in_the_same_place():
    fast, place_fast = _grid(7)
    full, place_full = _grid(7, resolution="full")
    np.testing.assert_array_equal(place_fast, place_full)
    np.testing.assert_array_equal(fast.direction, full.direction)
    assert np.prod(full.size) > 5 * np.prod(fast.size)
