"""What is seen of volumes: grids, intensities, label codes, and which of them are labels."""

import csv
import io

import numpy as np
import pytest
from builders.volumes import centered_geometry, oblique, write

from cmda_tf.survey import volumes
from cmda_tf.survey.volumes import Volume, classify, find_volumes, to_csv, to_text

GRID = centered_geometry((8, 6, 5), (2.0, 2.5, 3.0))
RAMP = np.arange(GRID.size_ijk[0] * 30, dtype=np.int16).reshape(GRID.shape_kji) - 100  # -100..139
BLOCK = np.zeros(GRID.shape_kji, np.uint8)
BLOCK[:2], BLOCK[2, 0, 0] = 7, 205  # 96 voxels; 1 voxel; 143 remain


def look(raw):
    return {v.name: v for v in classify(list(volumes.survey(raw, find_volumes(raw))))}


def test_images_and_labels_are_described(tmp_path):
    write(tmp_path / "ct/a.nii.gz", GRID, RAMP)
    write(tmp_path / "ct/a_seg.nii", GRID, BLOCK)
    tilted = centered_geometry((6, 6, 6), (1.0, 1.0, 1.0), oblique(180, 0, 4))
    write(tmp_path / "b.nii", tilted, np.random.default_rng(0).normal(0, 1, (6, 6, 6)))
    actual = look(tmp_path)
    assert [(v.name, v.kind) for v in actual.values()] == [
        ("b.nii", "image"), ("ct/a.nii.gz", "image"), ("ct/a_seg.nii", "label"),
    ]  # fmt: skip
    assert actual["ct/a_seg.nii"].codes == {0: 143, 7: 96, 205: 1}
    assert actual["ct/a.nii.gz"].codes is None and actual["ct/a.nii.gz"].grid.size_ijk == (8, 6, 5)
    # 240 equally spaced values: percentiles lie at -100 + 239 q.
    assert actual["ct/a.nii.gz"].intensities == pytest.approx((-100, -97.61, 19.5, 136.61, 139))
    assert actual["ct/a.nii.gz"].orientation == "LPS" and actual["b.nii"].orientation == "LAI"


def test_labels_are_known_by_name_and_values_or_by_values_and_grid(tmp_path):
    write(tmp_path / "a.nii", GRID, RAMP)
    write(tmp_path / "plain.nii", GRID, BLOCK)  # on the image's grid
    shifted = centered_geometry((8, 6, 5), (2.0, 2.5, 3.0), center_mm=(9, 0, 0))
    write(tmp_path / "elsewhere.nii", shifted, BLOCK)  # on no image's grid
    write(tmp_path / "mask.nii", shifted, BLOCK)
    write(tmp_path / "empty_label.nii", GRID, np.zeros_like(BLOCK))
    write(tmp_path / "seg/image.nii", GRID, RAMP)  # a label's name, an image's values
    write(tmp_path / "halves.nii", GRID, BLOCK / 2)
    kinds = {name: v.kind for name, v in look(tmp_path).items()}
    assert kinds == {
        "a.nii": "image",
        "elsewhere.nii": "image",
        "empty_label.nii": "label",
        "halves.nii": "image",
        "mask.nii": "label",
        "plain.nii": "label",
        "seg/image.nii": "image",
    }


def test_too_many_or_impossible_values_are_no_codes():
    planes = np.arange(40, dtype=np.float32).reshape(2, 4, 5)
    assert volumes._count_codes(planes, 40) == dict.fromkeys(range(40), 1)
    assert volumes._count_codes(planes, 39) is None
    for value in (-1, 65536, 0.5):
        assert volumes._count_codes(np.where(planes == 7, value, 0), 40) is None


def test_of_large_volumes_a_part_decides_the_percentiles(tmp_path, monkeypatch):
    monkeypatch.setattr(volumes, "MAX_SAMPLE", 100)
    write(tmp_path / "a.nii", GRID, RAMP)
    minimum, low, middle, high, maximum = look(tmp_path)["a.nii"].intensities
    assert (minimum, maximum) == (-100, 139)
    # Every third of 240 values: -100, -97, ... 137.
    assert (low, middle, high) == pytest.approx((-97.63, 18.5, 134.63))


def test_what_cannot_be_read_stops_nothing(tmp_path):
    write(tmp_path / "b.nii", GRID, RAMP)
    (tmp_path / "a.nii.gz").write_bytes(b"no gzip")
    (tmp_path / "c.nii").write_bytes((tmp_path / "b.nii").read_bytes()[:500])
    write(tmp_path / "d.nii", GRID, np.ones_like(RAMP))  # constant, and no label by its name
    actual = look(tmp_path)
    assert {n: v.kind for n, v in actual.items()} == {
        "a.nii.gz": "unreadable", "b.nii": "image", "c.nii": "unreadable", "d.nii": "unreadable",
    }  # fmt: skip
    assert actual["c.nii"].error.startswith("truncated") and "gzip" in actual["a.nii.gz"].error
    assert "constant" in actual["d.nii"].error


def test_volumes_are_files_by_ending_and_folders_of_slices(tmp_path):
    def touch(*names, data=b""):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)

    touch("a.NII", "b.nrrd", "c.mha", "d.mhd", "d.raw", "notes.txt", ".e.nii", "f.nii.gz.part")
    touch("one/1.dcm", "one/2.DCM", "one/.DS_Store", "mixed/1.dcm", "mixed/a.txt")
    touch("bare/0001", "bare/1.2.840.77", data=bytes(128) + b"DICM")
    touch("deep/er/1.dcm", "text/LICENSE")
    assert find_volumes(tmp_path) == [
        *("a.NII", "b.nrrd", "bare/", "c.mha", "d.mhd", "deep/er/", "one/"),
    ]


def test_report_as_csv_and_as_text():
    many = dict.fromkeys(range(12), 2)
    volumes = [
        Volume("a.nii", "image", GRID, (-1.0, 0.0, 12345.678, 2.0, 3.0)),
        Volume("a_seg.nii", "label", GRID, codes=many),
        Volume("c.nii", "unreadable", error="truncated, it is"),
    ]
    image, label, broken = csv.DictReader(io.StringIO(to_csv(volumes)))
    assert (image["size"], image["spacing_mm"], image["median"]) == (
        "8x6x5",
        "2x2.5x3",
        "1.235e+04",
    )
    assert label["labels"].split() == [f"{c}:2" for c in many] and label["median"] == ""
    assert (broken["error"], broken["size"]) == ("truncated, it is", "")
    text = to_text(volumes).splitlines()
    assert len(text) == 3 and text[0].startswith("file       kind   size")
    assert text[2].endswith("7:2  and 4 more")
