"""NRRD and MetaImage: read as SimpleITK wrote them, refused where they cannot be right."""

import re
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique, write, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmda_tf.data.description import DatasetDescription
from cmda_tf.data.preparation import prepare
from cmda_tf.errors import DataError
from cmda_tf.volumes import formats
from cmda_tf.volumes.formats import ENDINGS, check_files, exact_ending, stem, volume_files
from cmda_tf.volumes.geometry import Geometry
from cmda_tf.volumes.reading import read_label, read_volume

GEOMETRY = centered_geometry((7, 6, 5), (0.7, 0.9, 1.6), oblique(10, -20, 30), (5, -300, 12))


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(0, 300, GEOMETRY.shape_kji).astype(np.int16)


def assert_same(image, geometry, array_kji):
    actual = Geometry.of(image)
    assert actual.size_ijk == geometry.size_ijk
    np.testing.assert_allclose(actual.spacing_mm, geometry.spacing_mm, rtol=1e-5)
    np.testing.assert_allclose(actual.corners_mm, geometry.corners_mm, atol=1e-3)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array_kji)


def assert_refused(path, words, reader=read_volume):
    with pytest.raises(DataError) as caught:
        reader(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("compress", [False, True], ids=["raw", "packed"])
@pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".mha", ".mhd", ".NRRD"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
def test_files_come_back_as_they_were_written(tmp_path, noise, ending, dtype, compress):
    array = noise.astype(dtype)
    path = tmp_path / f"a.b{ending}"
    lower = path.with_suffix(ending.lower())
    sitk.WriteImage(GEOMETRY.apply(array), str(lower), compress)
    lower.rename(path)
    assert_same(read_volume(path), GEOMETRY, array)
    assert stem(path) == "a.b"
    detached = ending in (".nhdr", ".mhd")
    assert len(check_files(path).files) == len(volume_files(path)) == 1 + detached


def test_names_of_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stem(".") == stem("x/..") == tmp_path.name and stem("a/scan/") == "scan"
    endings = {"a.NII": ".nii.gz", "a.nii.gz": ".nii.gz", "a.mha": ".nrrd", "scan/": ".nrrd"}
    assert {path: exact_ending(path) for path in endings} == endings


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_notes_of_other_programs_do_not_matter(tmp_path, noise, ending):
    image = GEOMETRY.apply(noise)
    for key in ("dim[1]", "ITK_original_spacing", "Patient's Name", "0008|0060"):
        image.SetMetaData(key, "3 = 4: 5")
    path = tmp_path / f"noted{ending}"
    sitk.WriteImage(image, str(path))
    assert path.read_bytes().count(b"3 = 4: 5") == 4
    assert_same(read_volume(path), GEOMETRY, noise)


def test_labels_are_read_from_all_formats(tmp_path):
    codes = np.zeros(GEOMETRY.shape_kji, np.uint16)
    codes[1:3, 2:4, 3:5] = 500
    for ending in (".nrrd", ".mha"):
        path = write(tmp_path / f"label{ending}", GEOMETRY, codes)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read_label(path)), codes)
    folder = write_series(tmp_path / "label", GEOMETRY, codes.astype(np.int16))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_label(folder)), codes)


def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.png").touch()
    for ending in ENDINGS:
        assert_refused(tmp_path / "a.png", ending)
    assert_refused(tmp_path / "none.png", "no such file")
    for ending in ENDINGS:
        assert_refused(tmp_path / f"none{ending}", "No such file")


NRRD_EDITS = {
    "hostile size": (b"sizes: 7 6 5", b"sizes: 100000 100000 100000", "1000000000000000 voxels"),
    "larger than the file": (b"sizes: 7 6 5", b"sizes: 1000 1000 1000", "truncated"),
    "negative": (b"sizes: 7 6 5", b"sizes: -7 6 -5", "expected a 3-D volume"),
    "zero": (b"sizes: 7 6 5", b"sizes: 7 6 0", "expected a 3-D volume"),
    "words": (b"sizes: 7 6 5", b"sizes: a b c", "expected numbers as sizes"),
    "2-D": (b"sizes: 7 6 5", b"sizes: 42 5", "found 2-D data"),
    "dimension": (b"dimension: 3", b"dimension: 4", "found dimension [4]"),
    "twice": (b"sizes: 7 6 5", b"sizes: 7 6 5\nsizes: 9999 9999 9", "two fields 'sizes'"),
    "type": (b"type: short", b"type: block", "NRRD type 'block'"),
    "endian": (b"endian: little", b"endian: middle", "little or big"),
    "encoding": (b"encoding: raw", b"encoding: bzip2", "raw or gzip"),
    "skip": (b"encoding: raw", b"encoding: raw\nbyte skip: -1", "found a byte skip"),
    "NaN": (b"space directions: (", b"space directions: (nan,0,0) (", "three 3-D vectors"),
    "no space": (b"space: ", b"xspace: ", "states no orientation"),
    "elsewhere": (b"encoding: raw", b"encoding: raw\ndata file: /etc/passwd", "same folder"),
    "up": (b"encoding: raw", b"encoding: raw\ndata file: ../a.raw", "same folder"),
    "pattern": (b"encoding: raw", b"encoding: raw\ndata file: a%03d.raw 1 5 1", "same folder"),
    "null": (b"encoding: raw", b"encoding: raw\ndata file: a\0.raw", "same folder"),
    "list": (b"encoding: raw", b"encoding: raw\ndata file: LIST", "No such file"),
    "magic": (b"NRRD000", b"NOPE000", "expected an NRRD file"),
    "endless": (b"\n\n", b"\n# " + b"x" * 70000, "does not end"),
}  # fmt: skip


@pytest.mark.parametrize("old, new, words", NRRD_EDITS.values(), ids=NRRD_EDITS)
def test_unsuitable_nrrd_headers_are_refused(tmp_path, noise, old, new, words):
    path = write(tmp_path / "a.nrrd", GEOMETRY, noise)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    if words == "No such file":
        with pytest.raises(DataError, match=words):
            read_volume(path)
    else:
        assert_refused(path, words)


META_EDITS = {
    "hostile size": (b"DimSize = 7 6 5", b"DimSize = 99999 99999 99999", "999970000299999 voxels"),
    "larger than the file": (b"DimSize = 7 6 5", b"DimSize = 1000 1000 1000", "truncated"),
    "negative": (b"DimSize = 7 6 5", b"DimSize = -7 6 -5", "expected a 3-D volume"),
    "words": (b"DimSize = 7 6 5", b"DimSize = a b c", "expected numbers as DimSize"),
    "axes": (b"NDims = 3", b"NDims = 4", "found 4 axes"),
    "twice": (b"NDims = 3", b"NDims = 3\nNDims = 2", "two fields 'NDims'"),
    "color": (b"ElementType", b"ElementNumberOfChannels = 3\nElementType", "3 channel(s)"),
    "type": (b"MET_SHORT", b"MET_STRING", "'MET_STRING'"),
    "text": (b"BinaryData = True", b"BinaryData = False", "written as text"),
    "skip": (b"BinaryData = True", b"BinaryData = True\nHeaderSize = -1", "header of their own"),
    "NaN": (b"ElementSpacing", b"ElementSpacing = nan 1 1\nOther", "positive voxel spacings"),
    "zero": (b"ElementSpacing", b"ElementSpacing = 0 1 1\nOther", "positive voxel spacings"),
    "no matrix": (b"TransformMatrix", b"OtherMatrix", "states no orientation"),
    "elsewhere": (b"= LOCAL", b"= /etc/passwd", "same folder"),
    "list": (b"= LOCAL", b"= LIST", "a list of files"),
    "pattern": (b"= LOCAL", b"= a%03d.raw 1 5 1", "same folder"),
    "null": (b"= LOCAL", b"= a\0.raw", "same folder"),
    "colon": (b"NDims = 3", b"NDims = 3\nDimSize : 900 900 900 = x", "two fields 'DimSize'"),
    "file behind a colon": (b"NDims", b"ElementDataFile : a.raw\nNDims", "no field 'DimSize'"),
    "endless": (b"ElementDataFile", b"Comment = " + b"x" * 70000, "something else"),
}  # fmt: skip


@pytest.mark.parametrize("old, new, words", META_EDITS.values(), ids=META_EDITS)
def test_unsuitable_metaimage_headers_are_refused(tmp_path, noise, old, new, words):
    path = write(tmp_path / "a.mha", GEOMETRY, noise)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    assert_refused(path, words)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_damaged_voxels_are_refused(tmp_path, noise, ending):
    path = tmp_path / f"a{ending}"
    packed = {".nrrd": "complete gzip", ".mha": "holds 340"}[ending]
    for compress, words in ((False, "truncated"), (True, packed)):
        sitk.WriteImage(GEOMETRY.apply(noise), str(path), compress)
        path.write_bytes(path.read_bytes()[:-40])
        assert_refused(path, words)
    broken = noise.astype(np.float32)
    broken[-1, -1, -1] = np.nan
    assert_refused(write(path, GEOMETRY, broken), "NaN or infinite")


def test_a_compression_bomb_is_left_before_its_end(tmp_path, noise):
    path = tmp_path / "a.mha"
    sitk.WriteImage(GEOMETRY.apply(noise), str(path), False)
    header = path.read_bytes().split(b"ElementDataFile")[0].replace(b"Data = False", b"Data = True")
    bomb = zlib.compress(b"\0" * (1 << 26))
    size = b"CompressedDataSize = %d\nElementDataFile = LOCAL\n" % len(bomb)
    path.write_bytes(header + size + bomb)
    assert_refused(path, "but more come")


@pytest.mark.parametrize(
    "size, words",
    [
        (b"CompressedDataSize = 5000000000\n", "claims 5000000000 compressed bytes"),
        (b"CompressedDataSize = -1\n", "claims -1 compressed bytes"),
        (b"CompressedDataSize = 12\n", "end before that of the compressed voxels"),
        (b"", "claims 0 compressed bytes"),
    ],
)
def test_sizes_of_packed_voxels_that_itk_would_believe_are_refused(tmp_path, noise, size, words):
    path = tmp_path / "a.mha"
    sitk.WriteImage(GEOMETRY.apply(noise), str(path), True)
    data = re.sub(rb"CompressedDataSize = \d+\n", size, path.read_bytes())
    path.write_bytes(data)
    assert_refused(path, words)
    path.write_bytes(data.replace(b"CompressedData = True", b"CompressedData = T"))
    assert_refused(path, words)


def test_packed_voxels_in_a_file_of_their_own_need_no_size(tmp_path, noise):
    path = tmp_path / "a.mhd"
    sitk.WriteImage(GEOMETRY.apply(noise), str(path), True)
    path.write_bytes(re.sub(rb"CompressedDataSize = \d+\n", b"", path.read_bytes()))
    assert_same(read_volume(path), GEOMETRY, noise)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packed_voxels_of_more_than_one_piece_come_back(tmp_path, dtype):
    """A piece may end within a voxel."""
    geometry = centered_geometry((90, 80, 70), (1, 1, 1))
    array = np.random.default_rng(0).normal(0, 300, geometry.shape_kji).astype(dtype)
    path = tmp_path / "a.mha"
    sitk.WriteImage(geometry.apply(array), str(path), True)
    assert path.stat().st_size > 1 << 20
    assert_same(read_volume(path), geometry, array.astype(np.float32))


@pytest.mark.parametrize("ending", [".nhdr", ".mhd"])
def test_a_data_file_may_be_named_with_its_folder(tmp_path, noise, ending):
    path = write(tmp_path / f"a{ending}", GEOMETRY, noise)
    path.write_bytes(re.sub(rb"(data file: |ElementDataFile = )", rb"\1./", path.read_bytes()))
    assert_same(read_volume(path), GEOMETRY, noise)


@pytest.mark.parametrize(
    "old, new, words",
    [
        (rb"Offset = .*", b"Offset = nan 0 0", "expected 3 finite numbers as Offset"),
        (rb"TransformMatrix = .*", b"TransformMatrix = 1 0 0", "expected 9 finite numbers as"),
        (rb"TransformMatrix = .*", b"TransformMatrix = a b c", "expected numbers as Transform"),
    ],
)
def test_what_itk_would_take_for_zero_is_refused(tmp_path, noise, old, new, words):
    path = write(tmp_path / "a.mha", GEOMETRY, noise)
    path.write_bytes(re.sub(old, new, path.read_bytes()))
    assert_refused(path, words)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ending=st.sampled_from([".nrrd", ".nhdr", ".mha", ".mhd"]), data=st.data())
def test_no_damage_raises_anything_else(tmp_path, noise, ending, data):
    path = write(tmp_path / f"a{ending}", GEOMETRY, noise)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(whole)
    try:
        read_volume(path)
    except DataError as error:
        assert "\n" not in str(error)


def test_a_header_in_which_itk_sees_another_volume_is_refused(tmp_path, noise):
    path = write(tmp_path / "a.nrrd", GEOMETRY, noise)
    formats._check_header(path, "NrrdImageIO", 7 * 6 * 5)
    with pytest.raises(DataError, match=r"a\.nrrd: .*expected 42 voxels, found 7x6x5 with 1 comp"):
        formats._check_header(path, "NrrdImageIO", 7 * 6)


def test_all_formats_are_prepared_and_prepared_again_when_any_file_changes(tmp_path):
    geometry = centered_geometry((20, 20, 20), (6, 6, 6))
    rng = np.random.default_rng(1)
    raw = tmp_path / "raw"
    image = rng.normal(0, 300, geometry.shape_kji).astype(np.int16)
    codes = np.zeros(geometry.shape_kji, np.int16)
    codes[5:12, 6:13, 7:14] = 3
    write(raw / "mr/a.mhd", geometry, image)
    write(raw / "mr/a_label.nrrd", geometry, codes)
    write_series(raw / "ct/a/DICOM", geometry, image)
    write(raw / "ct/a/label.mha", geometry, codes)
    modalities = {
        "mr": {"image": "mr/{id}.mhd", "label": "mr/{id}_label.nrrd"},
        "ct": {"image": "ct/{id}/DICOM/", "label": "ct/{id}/label.mha"},
    }
    structures = [{"name": "x", "codes": [3], "color": "#ff0000"}]
    description = DatasetDescription.from_dict({"structures": structures, "modalities": modalities})
    options = {"size": 16, "spacing_mm": 9.0, "description": description, "workers": 1}
    options["test_ids"] = ("mr_a",)
    before = {e.id: e for e in prepare(raw, tmp_path / "out", **options).entries}
    assert set(before) == {"mr_a", "ct_a"}
    write(raw / "mr/other.mhd", geometry, image + 1)
    (raw / "mr/other.raw").rename(raw / "mr/a.raw")
    (raw / "mr/other.mhd").unlink()
    write_series(raw / "ct/a/DICOM", geometry, image + 1)
    after = {e.id: e for e in prepare(raw, tmp_path / "out", **options).entries}
    for id in before:
        assert before[id].sha256["image"] != after[id].sha256["image"]
        assert before[id].sha256["label"] == after[id].sha256["label"]
