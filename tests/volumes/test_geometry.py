"""The prepared grid and the geometry type, against values worked by hand."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique, points_mm
from hypothesis import given, settings
from hypothesis import strategies as st

from cmda_tf.volumes.geometry import Geometry, box_center_mm, prepared_grid

ANGLE = st.integers(-180_000, 180_000).map(lambda a: a / 1000)
SPACING = st.floats(0.3, 4.0)
OFFSET = st.floats(-300, 300)


def test_prepared_grid_runs_left_inferior_posterior():
    image = prepared_grid((10, 20, 30), size=3, spacing_mm=2).blank()
    assert image.TransformIndexToPhysicalPoint((1, 1, 1)) == (10, 20, 30)
    assert image.TransformIndexToPhysicalPoint((0, 0, 0)) == (8, 18, 32)
    assert image.TransformIndexToPhysicalPoint((2, 0, 0)) == (12, 18, 32)  # left is +x
    assert image.TransformIndexToPhysicalPoint((0, 2, 0)) == (8, 18, 28)  # inferior is -z
    assert image.TransformIndexToPhysicalPoint((0, 0, 2)) == (8, 22, 32)  # posterior is +y


def test_prepared_grid_is_what_itk_calls_lip():
    direction = prepared_grid((0, 0, 0), 4, 1).direction
    name = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction)
    assert name == "LIP"


def test_which_points_a_grid_holds():
    # The first axis runs along -y, 3 voxels of 2 mm from y = 10: voxels from y = 11 down to y = 5.
    grid = Geometry((3, 1, 1), (2.0, 1.0, 4.0), (0, 10, 0), (0, 1, 0, -1, 0, 0, 0, 0, 1))
    for point, held in {(0, 10.9, 0): True, (0, 11.1, 0): False, (0, 5.1, 0): True}.items():
        assert grid.holds(point) == held
    assert not grid.holds((0, 4.9, 0)) and not grid.holds((0.6, 8, 0))
    assert grid.holds((-0.4, 8, 1.9)) and not grid.holds((0, 8, -2.1))


def test_the_center_of_a_box_is_that_of_its_first_and_last_voxels():
    # As above, the first axis runs along -y.
    grid = Geometry((5, 4, 3), (2.0, 1.0, 4.0), (0, 10, 0), (0, 1, 0, -1, 0, 0, 0, 0, 1))
    mask = np.zeros(grid.shape_kji, np.uint8)
    mask[0, 1, 2] = mask[1, 3, 4] = 3
    assert box_center_mm(grid.apply(mask)) == pytest.approx((2, 4, 2))


@settings(max_examples=30, deadline=None)
@given(st.tuples(SPACING, SPACING, SPACING), st.tuples(OFFSET, OFFSET, OFFSET), ANGLE, ANGLE)
def test_geometry_survives_images_and_json(spacing_mm, center_mm, a, b):
    geometry = centered_geometry((5, 4, 3), spacing_mm, oblique(a, b, 10), center_mm)
    assert Geometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry
    image = geometry.apply(np.zeros((3, 4, 5), np.uint8))
    assert Geometry.of(image) == geometry
    corner = image.TransformIndexToPhysicalPoint((4, 0, 2))
    np.testing.assert_allclose(corner, points_mm(geometry)[2, 0, 4], atol=1e-6)


def test_apply_refuses_a_transposed_array():
    with pytest.raises(ValueError, match=r"\(3, 4, 5\)"):
        centered_geometry((5, 4, 3), (1, 1, 1)).apply(np.zeros((5, 4, 3)))


@pytest.mark.parametrize(
    "change",
    [
        {"size_ijk": (5, 0, 3)},
        {"size_ijk": (100_000, 100_000, 100_000)},
        {"size_ijk": (5, 4)},
        {"spacing_mm": (1.0, 0.0, 1.0)},
        {"origin_mm": (0.0, float("nan"), 0.0)},
        {"direction": (1.0, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)},
        {"direction": (1.0, 0.0, 0.0)},
    ],
)
def test_impossible_geometries_are_refused(change):
    values = centered_geometry((5, 4, 3), (1.0, 1.0, 1.0)).to_dict()
    with pytest.raises(ValueError):
        Geometry.from_dict({**values, **change})
