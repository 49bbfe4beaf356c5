"""Reading volumes: what is read, and that everything unsuitable is refused in one line."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique, write

from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import Geometry
from cmda_tf.volumes.reading import check_image, check_same_geometry, read_label, read_volume

GEOMETRY = centered_geometry((7, 6, 5), (0.7, 0.9, 1.6), oblique(12, -7, 30), (40.0, -30.0, 90.0))


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(100, 20, GEOMETRY.shape_kji).astype(np.float32)


@pytest.fixture
def nifti(tmp_path, noise):
    """Bytes of a sound, uncompressed NIfTI file."""
    return bytearray(write(tmp_path / "sound.nii", GEOMETRY, noise).read_bytes())


def edited(nifti, *edits):
    """The file with header fields (offset, struct format, values) overwritten."""
    for offset, form, *values in edits:
        struct.pack_into("<" + form, nifti, offset, *values)
    return bytes(nifti)


def assert_refused(read, path, words, capfd):
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and words in message
    assert "\n" not in message and len(message) < 300
    assert capfd.readouterr().err == ""  # nothing from the C libraries below


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_reads_every_scalar_type_with_its_geometry(tmp_path, noise, name, dtype):
    image = read_volume(write(tmp_path / name, GEOMETRY, noise.astype(dtype)))
    assert image.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), noise.astype(dtype))
    for actual, expected in zip(Geometry.of(image).to_dict().values(), GEOMETRY.to_dict().values()):
        np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (sitk.Image([8, 8], sitk.sitkInt16), "expected a 3-D image, found 2-D"),
        (sitk.Image([4, 4, 4, 4], sitk.sitkFloat32), "expected a 3-D image, found 4-D"),
        (sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3), "expected scalar voxels, found vector"),
        (sitk.Image([4, 4, 4], sitk.sitkComplexFloat32), "expected scalar voxels, found complex"),
        (sitk.Image([4, 4, 4], sitk.sitkInt16), "found the constant 0"),
    ],
)
def test_images_of_other_programs_are_checked(image, words):
    with pytest.raises(DataError, match=f"mine: .*{words}"):
        check_image(image, "mine")


def test_images_of_other_programs_become_float32(noise):
    image = check_image(GEOMETRY.apply(noise.astype(np.int16)), "mine")
    assert image.GetPixelID() == sitk.sitkFloat32 and Geometry.of(image) == GEOMETRY


def test_reads_big_endian_files_and_a_trailing_axis_of_length_one(tmp_path, nifti):
    path = tmp_path / "a.nii"
    path.write_bytes(edited(nifti, (40, "8h", 4, 7, 6, 5, 1, 1, 1, 1)))
    little = sitk.GetArrayFromImage(read_volume(path))
    fields = [(0, 4, 1), (40, 2, 8), (70, 2, 2), (76, 4, 8), (108, 4, 3), (252, 2, 2), (256, 4, 18)]
    swapped = bytearray(nifti)
    for offset, width, count in fields:
        part = np.frombuffer(bytes(nifti[offset : offset + width * count]), f"<i{width}")
        swapped[offset : offset + width * count] = part.astype(f">i{width}").tobytes()
    swapped[352:] = np.frombuffer(bytes(nifti[352:]), "<f4").astype(">f4").tobytes()
    path.write_bytes(swapped)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(path)), little)


HEADERS = {
    "hostile size": ([(40, "8h", 3, 32767, 32767, 32767, 1, 1, 1, 1)], "35181150961663 voxels"),
    "larger than the file": ([(40, "8h", 3, 1200, 1200, 1000, 1, 1, 1, 1)], "truncated"),
    "2-D": ([(40, "8h", 2, 42, 5, 1, 1, 1, 1, 1)], "found 2-D data (42 x 5)"),
    "one slice": ([(40, "8h", 3, 42, 5, 1, 1, 1, 1, 1)], "expected a 3-D volume"),
    "4-D": ([(40, "8h", 4, 7, 3, 5, 2, 1, 1, 1)], "found 4-D data (7 x 3 x 5 x 2)"),
    "negative size": ([(40, "8h", 3, -7, 6, 5, 1, 1, 1, 1)], "expected a 3-D volume"),
    "dimension 99": ([(40, "8h", 99, 7, 6, 5, 1, 1, 1, 1)], "expected a 3-D volume"),
    "RGB": ([(70, "2h", 128, 24)], "NIfTI data type 128"),
    "complex": ([(70, "2h", 32, 64)], "NIfTI data type 32"),
    "zero spacing": ([(80, "f", 0.0)], "positive voxel spacings"),
    "NaN spacing": ([(80, "f", float("nan"))], "positive voxel spacings"),
    "negative spacing": ([(80, "f", -0.7)], "positive voxel spacings"),
    "pixdim against sform": ([(80, "f", 1.4)], "contradicts itself"),
    "no orientation": ([(252, "2h", 0, 0)], "no orientation"),
    "sheared": ([(252, "2h", 0, 1), (280, "3f", -0.5, 0.636, 0.0)], "contradicts itself"),
    "meters": (
        [(252, "2h", 1, 0), (80, "3f", 7e-4, 9e-4, 1.6e-3), (123, "B", 2)],
        "voxel spacings of 0.01 to 100 mm",
    ),
    "wrong magic": ([(344, "4s", b"abc\0")], "NIfTI-1"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["nii", "nii.gz"])
@pytest.mark.parametrize("edits, words", HEADERS.values(), ids=HEADERS)
def test_unsuitable_headers_are_refused(tmp_path, nifti, edits, words, packed, capfd):
    data = edited(nifti, *edits)
    path = tmp_path / ("a.nii.gz" if packed else "a.nii")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert_refused(read_volume, path, words, capfd)


def test_a_sheared_sform_is_refused(tmp_path, nifti, capfd):
    edits = [(252, "2h", 0, 1)]
    rows = [(0.7, 0.45, 0, 0), (0, 0.9**2 / 1.0062, 0, 0), (0, 0, 1.6, 0)]
    edits += [(280 + 16 * r, "4f", *row) for r, row in enumerate(rows)]
    edits += [(84, "f", float(np.hypot(0.45, rows[1][1])))]
    path = tmp_path / "a.nii"
    path.write_bytes(edited(nifti, *edits))
    assert_refused(read_volume, path, "orthonormal", capfd)


def test_damaged_files_are_refused(tmp_path, nifti, capfd):
    whole = gzip.compress(bytes(nifti))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    cases = {
        "half.nii.gz": (whole[: len(whole) // 2], "complete gzip"),
        "tail.nii.gz": (whole[:-9], "complete gzip"),
        "flipped.nii.gz": (bytes(flipped), "complete gzip"),
        "inner.nii.gz": (gzip.compress(bytes(nifti[:-4])), "truncated"),
        "half.nii": (bytes(nifti[: len(nifti) // 2]), "truncated"),
        "header.nii": (bytes(nifti[:200]), "NIfTI-1"),
        "empty.nii.gz": (b"", "NIfTI-1"),
        "empty.nii": (b"", "NIfTI-1"),
        "text.nii": (b"These are not voxels. " * 99, "NIfTI-1"),
        "text.nii.gz": (b"These are not voxels.", "complete gzip"),
    }
    for name, (data, words) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert_refused(read_volume, path, words, capfd)


def test_missing_file_and_folder_are_refused(tmp_path, capfd):
    assert_refused(read_volume, tmp_path / "none.nii.gz", "No such file", capfd)
    (tmp_path / "folder.nii").mkdir()
    assert_refused(read_volume, tmp_path / "folder.nii", "found none in it", capfd)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_voxels_are_refused(tmp_path, noise, value, dtype, capfd):
    noise[-1, -1, -1] = value
    path = write(tmp_path / "a.nii.gz", GEOMETRY, noise.astype(dtype))
    assert_refused(read_volume, path, "NaN or infinite", capfd)


def test_voxels_beyond_float32_are_refused(tmp_path, noise, capfd):
    path = write(tmp_path / "a.nii.gz", GEOMETRY, noise.astype(np.float64) * 1e300)
    assert_refused(read_volume, path, "beyond float32", capfd)


def test_a_constant_volume_is_refused(tmp_path, noise, capfd):
    path = write(tmp_path / "a.nii.gz", GEOMETRY, np.full_like(noise, 7))
    assert_refused(read_volume, path, "the constant 7", capfd)


def codes_file(path, dtype, *values):
    codes = np.zeros(GEOMETRY.shape_kji, dtype)
    codes.flat[: len(values)] = values
    return write(path, GEOMETRY, codes)


def test_fractional_labels_are_refused(tmp_path, capfd):
    path = codes_file(tmp_path / "a.nii.gz", np.float32, 205, 420.5)
    assert_refused(read_label, path, "found 420.5", capfd)


def shifted(**changes):
    image = GEOMETRY.blank()
    for name, value in changes.items():
        getattr(image, name)(value)
    return image


def test_same_geometry_tolerates_rounding_only():
    image, smallest_mm = GEOMETRY.blank(), 0.7
    x, y, z = GEOMETRY.origin_mm
    check_same_geometry(image, shifted(SetOrigin=(x + 0.09 * smallest_mm, y, z)), "i", "l")
    for label in (
        shifted(SetOrigin=(x + 0.11 * smallest_mm, y, z)),
        shifted(SetSpacing=(0.7, 0.9, 1.7)),
        shifted(SetDirection=oblique(12, -7, 33)),
        centered_geometry((7, 5, 6), GEOMETRY.spacing_mm, GEOMETRY.direction).blank(),
    ):
        with pytest.raises(DataError, match=r"l\.nii: not on the grid of i\.nii"):
            check_same_geometry(image, label, "i.nii", "l.nii")
