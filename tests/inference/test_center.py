"""Finding the structures in a volume larger than what the model sees."""

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, heart_codes, oblique

from cmda_tf.errors import DataError
from cmda_tf.inference.center import find_center_mm, window_centers
from cmda_tf.volumes.geometry import prepared_grid

SIZE, SPACING_MM = 32, 4.0  # a window of 128 mm
WINDOW_MM = SIZE * SPACING_MM


def blank(size_ijk, direction=None):
    options = {"direction": direction} if direction else {}
    return centered_geometry(size_ijk, (4.0, 4.0, 4.0), center_mm=(5, -7, 9), **options).blank()


@pytest.mark.parametrize("direction", [None, oblique(20, -10, 5)])
@pytest.mark.parametrize("size", [(20, 20, 20), (40, 33, 100), (129, 20, 64)])
def test_windows_cover_the_volume(size, direction):
    image = blank(size, direction)
    centers = np.array(window_centers(image, WINDOW_MM))
    for index in np.ndindex(2, 2, 2):
        corner = image.TransformIndexToPhysicalPoint([(n - 1) * e for n, e in zip(size, index)])
        assert (np.abs(centers - corner).max(axis=1) <= WINDOW_MM / 2 + 1e-6).any()
    for axis in np.sort(centers.T):
        assert (np.diff(np.unique(axis.round(6))) <= WINDOW_MM / 2 + 1e-6).all()


def test_a_volume_that_fits_is_one_window():
    assert np.allclose(window_centers(blank((20, 20, 20)), WINDOW_MM), [(5, -7, 9)])


def looker(image_grid, heart_mm, seen):
    """A model that sees the heart at `heart_mm` and nothing else."""
    codes = image_grid.apply((heart_codes(image_grid, heart_mm) > 0).astype(np.uint8))

    def look(center_mm):
        seen.append(tuple(center_mm))
        grid = prepared_grid(center_mm, SIZE, SPACING_MM)
        mask = sitk.GetArrayFromImage(grid.resample(codes, sitk.sitkNearestNeighbor, 0))
        return grid, np.stack([mask == 0, mask > 0], axis=-1).astype(np.float32)

    return look


@pytest.mark.parametrize("heart_mm", [(80, -60, 100), (-90, 70, -120), (5, -7, 9)])
def test_heart_is_found_wherever_it_is(heart_mm):
    grid = centered_geometry((75, 65, 90), (4.0, 4.0, 4.0), center_mm=(5, -7, 9))
    seen = []
    actual = find_center_mm(grid.blank(), looker(grid, heart_mm, seen), WINDOW_MM)
    points = np.argwhere(heart_codes(grid, heart_mm) > 0)[:, ::-1] * 4.0 + grid.origin_mm
    expected = (points.min(axis=0) + points.max(axis=0)) / 2
    assert np.abs(np.array(actual) - expected).max() <= 2 * SPACING_MM
    assert len(seen) == len(window_centers(grid.blank(), WINDOW_MM)) + 1  # and a second look


def test_windows_without_anything_are_passed_over_and_nothing_at_all_is_told():
    grid = centered_geometry((75, 20, 20), (4.0, 4.0, 4.0))
    look = looker(grid, (90, 0, 0), [])

    def partly_blind(center_mm):
        if center_mm[0] < 0:
            raise DataError("nothing to see")
        return look(center_mm)

    assert find_center_mm(grid.blank(), partly_blind, WINDOW_MM)[0] > 60
    with pytest.raises(DataError, match="finds none of its structures"):
        find_center_mm(grid.blank(), looker(grid, (900, 0, 0), []), WINDOW_MM)
