"""DICOM: series are read as they were written, refused where they cannot be right."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique, write_series
from hypothesis import given, settings
from hypothesis import strategies as st

from cmda_tf.errors import DataError
from cmda_tf.volumes.formats import stem, volume_files
from cmda_tf.volumes.geometry import Geometry
from cmda_tf.volumes.reading import read_volume

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
def test_a_dicom_series_is_a_volume(tmp_path, noise, compress):
    folder = write_series(tmp_path / "scan.1", GEOMETRY, noise, compress=compress)
    (folder / "notes.txt").write_text("no slice")
    (folder / ".hidden").write_bytes(b"\0" * 128 + b"DICM")
    assert_same(read_volume(folder), GEOMETRY, noise)
    assert len(volume_files(folder)) == 5 and stem(folder) == "scan.1"


def test_folders_that_are_no_single_sound_series_are_refused(tmp_path, noise):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert_refused(folder, "found none in it")

    folder = write_series(tmp_path / "two", GEOMETRY, noise, "1.2.3")
    write_series(folder, GEOMETRY, noise[:3], "1.2.4")
    assert_refused(folder, "1.2.3 (5 slices), 1.2.4 (3 slices)")

    folder = write_series(tmp_path / "gap", GEOMETRY, noise)
    (folder / "004_1.2.3.dcm").unlink()  # 7 * 2 % 5: the middle slice
    assert_refused(folder, "missing slices")

    folder = write_series(tmp_path / "twice", GEOMETRY, noise)
    (folder / "copy.dcm").write_bytes((folder / "004_1.2.3.dcm").read_bytes())
    assert_refused(folder, "004_1.2.3.dcm and copy.dcm lie at the same place")

    folder = write_series(tmp_path / "single", GEOMETRY, noise[:1])
    assert_refused(folder, "expected a 3-D volume")

    turned = centered_geometry((7, 6, 5), (0.7, 0.9, 1.6), oblique(10, -20, 35))
    folder = write_series(tmp_path / "turned", GEOMETRY, noise)
    write_series(tmp_path / "other", turned, noise)
    (folder / "x.dcm").write_bytes((tmp_path / "other/000_1.2.3.dcm").read_bytes())
    assert_refused(folder, "differs from 000_1.2.3.dcm")

    tilted = tmp_path / "tilted"
    one = centered_geometry((7, 6, 1), GEOMETRY.spacing_mm)
    for k in range(3):
        write_series(tilted, one, noise[:1], **{"0020_0032": f"0\\{0.4 * k}\\{2 * k}"})
        (tilted / "000_1.2.3.dcm").rename(tilted / f"{k}.dcm")
    assert_refused(tilted, "tilted gantry")


def dicom_edit(path, tag, value):
    """Replaces the value of a tag that is an unsigned short (little-endian)."""
    data = bytearray(path.read_bytes())
    place = data.index(tag) + 8  # behind tag and length, or tag, type and short length
    data[place : place + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)


def test_dicom_sizes_are_checked_before_anything_is_decoded(tmp_path, noise):
    rows, bits, samples = b"\x28\x00\x10\x00", b"\x28\x00\x00\x01", b"\x28\x00\x02\x00"
    for name, tag, value, words in (
        ("rows", rows, 65535, "claims 65535x7 pixels"),
        ("none", rows, 0, "has no Rows"),
        ("bits", bits, 64, "found 64"),
        ("color", samples, 3, "3 sample(s)"),
    ):
        folder = write_series(tmp_path / name, GEOMETRY, noise)
        dicom_edit(folder / "000_1.2.3.dcm", tag, value)
        with pytest.raises(DataError, match=r"000_1\.2\.3\.dcm") as caught:
            read_volume(folder)
        assert words in str(caught.value)
    packed = write_series(tmp_path / "packed", GEOMETRY, noise, compress=True)
    for tag in (rows, b"\x28\x00\x11\x00"):
        dicom_edit(packed / "000_1.2.3.dcm", tag, 60000)
    with pytest.raises(DataError, match="claims 60000x60000 pixels"):
        read_volume(packed)


def test_truncated_and_lying_dicom_files_are_refused(tmp_path, noise):
    folder = write_series(tmp_path / "scan", GEOMETRY, noise)
    path = folder / "000_1.2.3.dcm"
    whole = path.read_bytes()
    for stop in (140, len(whole) // 2, len(whole) - 8):
        path.write_bytes(whole[:stop])
        with pytest.raises(DataError):
            read_volume(folder)
    # An element that claims 4 GB.
    place = whole.index(b"\x08\x00\x60\x00\x02\x00\x00\x00") + 4
    path.write_bytes(whole[:place] + b"\xf0\xff\xff\xff" + whole[place + 4 :])
    with pytest.raises(DataError, match=r"0008,0060 claims 4294967280 bytes"):
        read_volume(folder)


def test_of_a_tag_that_is_there_twice_the_first_one_decides(tmp_path, noise):
    """As for GDCM, which would allocate 60000 rows."""
    folder = write_series(tmp_path / "scan", GEOMETRY, noise)
    path = folder / "000_1.2.3.dcm"
    whole = path.read_bytes()
    place = whole.index(struct.pack("<HHI", 0x28, 0x10, 2))
    rows = struct.pack("<HHIH", 0x28, 0x10, 2, 60000)
    path.write_bytes(whole[:place] + rows + whole[place:])
    with pytest.raises(DataError, match=r"000_1\.2\.3\.dcm: claims 60000x7 pixels"):
        read_volume(folder)
    path.write_bytes(whole + rows)
    assert_same(read_volume(folder), GEOMETRY, noise)


def test_what_follows_the_pixels_is_looked_at_too(tmp_path, noise):
    """GDCM reads it: frames without end, an element of 1 GB."""
    folder = write_series(tmp_path / "scan", GEOMETRY, noise)
    path = folder / "000_1.2.3.dcm"
    whole = path.read_bytes()
    for more, words in (
        (struct.pack("<HHI6s", 0x28, 0x08, 6, b"99999 "), r"found 99999 frame\(s\)"),
        (struct.pack("<HHI", 0xFFFC, 0xFFFC, 1 << 30), "fffc,fffc claims 1073741824 bytes"),
    ):
        path.write_bytes(whole + more)
        with pytest.raises(DataError, match=rf"000_1\.2\.3\.dcm: .*{words}"):
            read_volume(folder)
    for padding in (struct.pack("<HHI4s", 0xFFFC, 0xFFFC, 4, b""), bytes(1), bytes(1000)):
        path.write_bytes(whole + padding)
        assert_same(read_volume(folder), GEOMETRY, noise)


def test_an_unknown_type_is_refused(tmp_path, noise):
    """GDCM would take it for a part of a length, and allocate that."""
    folder = write_series(tmp_path / "scan", GEOMETRY, noise)
    path = folder / "000_1.2.3.dcm"
    data = path.read_bytes()
    assert b"\x02\x00\x12\x00UI" in data
    path.write_bytes(data.replace(b"\x02\x00\x12\x00UI", b"\x02\x00\x12\x00WI"))
    with pytest.raises(DataError, match=r"000_1\.2\.3\.dcm: .*element 0002,0012 has no type"):
        read_volume(folder)


ITEM, ITEM_END, ITEMS_END = [struct.pack("<HH", 0xFFFE, e) for e in (0xE000, 0xE00D, 0xE0DD)]
UNDEFINED = b"\xff" * 4


def insert(path, elements):
    """Puts elements before SamplesPerPixel of a file that states types."""
    whole = path.read_bytes()
    place = whole.index(b"\x28\x00\x02\x00US")
    path.write_bytes(whole[:place] + elements + whole[place:])


def test_private_sequences_without_length_are_passed_over(tmp_path, noise):
    """As Philips writes them: of unknown type, their items without types."""
    folder = write_series(tmp_path / "scan", GEOMETRY, noise, compress=True)
    inner = struct.pack("<HHI26s", 8, 0x16, 26, b"1.2.840.10008.5.1.4.1.1.4")
    inner += struct.pack("<HHIH", 0x28, 0x10, 2, 60000)  # no rows of this image
    sequence = struct.pack("<HH2sH", 0x2005, 0x140F, b"UN", 0) + UNDEFINED + ITEM + UNDEFINED
    sequence += inner + ITEM_END + bytes(4) + ITEMS_END + bytes(4)
    for path in folder.iterdir():
        insert(path, sequence)
    assert_same(read_volume(folder), GEOMETRY, noise)


@pytest.mark.parametrize("known_length", [False, True])
def test_sequences_nested_thousands_deep_are_refused(tmp_path, noise, known_length):
    """GDCM's stack would overflow, which ends the process."""
    folder = write_series(tmp_path / "scan", GEOMETRY, noise, compress=True)
    nested, tag = b"", struct.pack("<HH2sH", 0x40, 0x275, b"SQ", 0)
    if known_length:
        for _ in range(20000):
            nested = ITEM + struct.pack("<I", len(nested)) + nested
            nested = tag + struct.pack("<I", len(nested)) + nested
    else:
        nested = (tag + UNDEFINED + ITEM + UNDEFINED) * 20000
        nested += (ITEM_END + bytes(4) + ITEMS_END + bytes(4)) * 20000
    insert(folder / "000_1.2.3.dcm", nested)
    with pytest.raises(DataError, match=r"000_1\.2\.3\.dcm: expected a sound DICOM file"):
        read_volume(folder)


@pytest.mark.parametrize("known_length", [False, True])
@pytest.mark.parametrize(
    "element, words",
    [
        (struct.pack("<HH2sHI", 8, 0x60, b"UT", 0, 1 << 24), "(claims 16777216 bytes|No tag)"),
        (struct.pack("<HH2sHI", 8, 0x60, b"UT", 0, 1 << 31), "claims too much"),
        (struct.pack("<HH2sH", 8, 0x60, b"WI", 2) + b"ab", "0008,0060 has no type"),
    ],
)
def test_nested_elements_are_checked_too(tmp_path, noise, element, words, known_length):
    folder = write_series(tmp_path / "scan", GEOMETRY, noise, compress=True)
    item = ITEM + struct.pack("<I", len(element)) + element
    length = struct.pack("<I", len(item)) if known_length else UNDEFINED
    item += b"" if known_length else ITEMS_END + bytes(4)
    insert(folder / "000_1.2.3.dcm", struct.pack("<HH2sH", 0x40, 0x275, b"SQ", 0) + length + item)
    with pytest.raises(DataError, match=rf"000_1\.2\.3\.dcm: .*{words}"):
        read_volume(folder)


def test_packed_pixels_that_claim_more_than_the_file_are_refused(tmp_path, noise):
    folder = write_series(tmp_path / "scan", GEOMETRY, noise, compress=True)
    path = folder / "000_1.2.3.dcm"
    whole = bytearray(path.read_bytes())
    place = whole.index(ITEM, whole.index(b"\xe0\x7f\x10\x00OB") + 20) + 4  # behind the table
    whole[place : place + 4] = struct.pack("<I", 1 << 30)
    path.write_bytes(whole)
    with pytest.raises(DataError, match=r"000_1\.2\.3\.dcm: .*7fe0,0010 holds a damaged item"):
        read_volume(folder)


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A sound series, and the bytes of one of its slices."""
    noise = np.random.default_rng(0).normal(0, 300, GEOMETRY.shape_kji).astype(np.int16)
    folder = write_series(tmp_path_factory.mktemp("series") / "scan", GEOMETRY, noise)
    return folder, (folder / "002_1.2.3.dcm").read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_of_a_slice_raises_anything_else(series, data):
    folder, sound = series
    path, whole = folder / "002_1.2.3.dcm", bytearray(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(132, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(whole)
    try:
        read_volume(folder)
    except DataError as error:
        assert "\n" not in str(error)
