"""The files beside a label map, worked by hand."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique

from cmda_tf.data.structures import Structure, Structures
from cmda_tf.errors import DataError
from cmda_tf.inference.outputs import write_colors, write_overlay, write_segmentation
from cmda_tf.inference.segmentation import to_segmentation
from cmda_tf.visualization import segmentation as drawing

SEEN = centered_geometry((4, 4, 4), (2.0, 2.0, 2.0))
RAW = centered_geometry((5, 4, 3), (0.7, 0.9, 1.6), oblique(12, -7, 30), (-150.248857, 3.1, 0.01))


def table(*names):
    members = [Structure(name, n, (n * 10,), "#0a0b0c") for n, name in enumerate(names, 1)]
    return Structures(tuple(members))


def segmentation(structures, raw=SEEN):
    p = np.random.default_rng(0).dirichlet([1] * structures.classes, (4, 4, 4))
    return to_segmentation(p.astype(np.float32), SEEN, raw, structures)


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (("left lung", "LV-myo"), ("left_lung", "LV-myo")),
        (("left lung", "left_lung"), ("left_lung_10", "left_lung_20")),
        (("A", "a"), ("A_10", "a_20")),  # one file where capitals do not count
        (("a b", "a_b", "a_b_10"), ("a_b_10", "a_b_20", "a_b_10_30")),
        (("../x", "é"), ("___x", "é")),
    ],
)
def test_each_structure_has_a_map_of_its_own(tmp_path, names, called):
    actual = segmentation(table(*names))
    write_segmentation(actual, tmp_path / "x", probabilities=True, entropy=False, ending=".nrrd")
    files = {f"x_probability_{name}.nrrd": plain for name, plain in zip(called, names)}
    assert {p.name for p in tmp_path.iterdir()} == {"x_label.nrrd", *files}
    for file, name in files.items():
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / file)))
        np.testing.assert_array_equal(image, sitk.GetArrayFromImage(actual.probability(name)))


def test_nrrd_keeps_every_digit_of_the_grid(tmp_path):
    image = RAW.apply(np.ones(RAW.shape_kji, np.float32))
    path = write_segmentation(segmentation(table("x"), RAW), tmp_path / "x", False, False, ".nrrd")
    sitk.Mask(image, sitk.ReadImage(str(path), sitk.sitkUInt8))  # ITK: the same physical space


def test_colors_of_names_that_would_break_a_line(tmp_path):
    write_colors(tmp_path, table('the "left"\n lung', "LV-myo"))
    assert (tmp_path / "labels.ctbl").read_text(encoding="utf-8").splitlines() == [
        "# code name r g b a",
        "0 background 0 0 0 0",
        "10 the_'left'_lung 10 11 12 255",
        "20 LV-myo 10 11 12 255",
    ]
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8").splitlines() == [
        "# idx r g b a vis mesh name",
        '0 0 0 0 0 0 0 "Clear Label"',
        "10 10 11 12 1 1 1 \"the 'left' lung\"",
        '20 10 11 12 1 1 1 "LV-myo"',
    ]


def test_what_cannot_be_written_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    def full(image, path, *_):
        with open(path, "wb") as file:
            file.write(b"half")
        raise RuntimeError("sitk::ERROR:\nITK ERROR: no space left")

    monkeypatch.setattr(sitk, "WriteImage", full)
    with pytest.raises(DataError, match=r"x_label\.nii\.gz: cannot be written: no space left"):
        write_segmentation(segmentation(table("x")), tmp_path / "x", False, False)
    assert not any(tmp_path.iterdir())


def test_overlay_is_drawn_upright_of_an_oblique_image(tmp_path, monkeypatch):
    # A bright voxel half the way to the patient's left, head and front of an oblique image.
    raw = centered_geometry((41, 41, 41), (2.0, 2.0, 2.0), oblique(20, -15, 30), (100, -50, 20))
    drawn, draw_planes = [], drawing.draw_planes

    def draw(volume_kji, label_kji, structures):
        drawn.append((volume_kji, label_kji))
        return draw_planes(volume_kji, label_kji, structures)

    monkeypatch.setattr(drawing, "draw_planes", draw)
    image = raw.blank(sitk.sitkFloat32)
    index = image.TransformPhysicalPointToIndex((120, -70, 40))
    image[index] = 100
    actual = dataclasses.replace(segmentation(table("x"), raw), classes=image > 50)
    write_overlay(tmp_path / "x.png", image, actual)
    ((volume_kji, label_kji),) = drawn
    middle = (np.array(volume_kji.shape) - 1) / 2
    np.testing.assert_allclose(np.argwhere(label_kji).mean(axis=0) - middle, (-10, -10, 10), atol=1)
    assert label_kji[np.unravel_index(volume_kji.argmax(), volume_kji.shape)] == 1
