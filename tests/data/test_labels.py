"""Label codes become class indices; codes that no table knows are refused in one line."""

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique, write

from cmda_tf.data.preprocess import to_classes
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import Geometry
from cmda_tf.volumes.reading import read_label

GEOMETRY = centered_geometry((7, 6, 5), (0.7, 0.9, 1.6), oblique(12, -7, 30), (40.0, -30.0, 90.0))


def codes_file(path, dtype, *values):
    codes = np.zeros(GEOMETRY.shape_kji, dtype)
    codes.flat[: len(values)] = values
    return write(path, GEOMETRY, codes)


def assert_refused(path, words, capfd):
    label = read_label(path)
    with pytest.raises(DataError) as caught:
        to_classes(label, path, HEART)
    message = str(caught.value)
    assert str(path) in message and words in message
    assert "\n" not in message and len(message) < 300
    assert capfd.readouterr().err == ""  # nothing from the C libraries below


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_codes_become_classes(tmp_path, dtype):
    values = (205, 420, 421, 500, 820, 600, 550, 850, 0)
    path = codes_file(tmp_path / "a.nii.gz", dtype, *values)
    label = read_label(path)
    assert label.GetPixelID() == sitk.sitkInt32
    classes = to_classes(label, path, HEART)
    assert classes.GetPixelID() == sitk.sitkUInt8
    assert Geometry.of(classes) == Geometry.of(label)
    actual = sitk.GetArrayFromImage(classes).ravel()
    assert actual[: len(values)].tolist() == [1, 2, 2, 3, 4, 0, 0, 0, 0]
    assert actual.sum() == 12


@pytest.mark.parametrize("code", [1, 4, 255, 421 + 1, 851, 32767, -205])
def test_unknown_codes_are_named_with_their_file(tmp_path, code, capfd):
    path = codes_file(tmp_path / "a.nii.gz", np.int16, 205, code)
    assert_refused(path, f"label code {code} is", capfd)


def test_labels_without_any_structure_are_refused(tmp_path, capfd):
    path = codes_file(tmp_path / "b.nii.gz", np.int16, 600, 850)
    assert_refused(path, "none of the structures", capfd)
