"""The store: what goes in comes out, labels stay unread, damage is refused."""

import io
import json
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, labels_to_raw, oblique

from cmda_tf.data.structures import HEART
from cmda_tf.data.subjects import Subject, load_subject, save_subject
from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import prepared_grid

GRID = prepared_grid((1, 2, 3), size=6, spacing_mm=2.5)
RAW = centered_geometry((7, 8, 9), (2.0, 2.1, 2.2), oblique(3, 4, 5), (1, 2, 3))


@pytest.fixture
def subject():
    rng = np.random.default_rng(0)
    image = rng.normal(size=GRID.shape_kji).astype(np.float32)
    label = rng.integers(0, 5, GRID.shape_kji).astype(np.uint8)
    return Subject("ct_train_1003", "ct", image, label, GRID, RAW, 123.5, 0.75)


def rewrite(path, **members):
    """Replaces or adds members (bytes) of a store, checksums made anew."""
    with zipfile.ZipFile(path) as archive:
        old = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**old, **{f"{n}.npy": d for n, d in members.items()}}.items():
            if data is not None:
                archive.writestr(name, data)


def repack(path, method):
    """The same members, compressed in another way."""
    with zipfile.ZipFile(path) as archive:
        old = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in old.items():
            archive.writestr(name, data)


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def about(path, **changes):
    with np.load(path) as archive:
        values = {**json.loads(archive["about"].tobytes()), **changes}
    return npy(np.frombuffer(json.dumps(values).encode(), np.uint8))


def test_a_subject_comes_back(tmp_path, subject):
    save_subject(tmp_path / "a.npz", subject)
    actual = load_subject(tmp_path / "a.npz")
    for name in ("id", "modality", "grid", "raw", "intensity_cut", "label_inside"):
        assert getattr(actual, name) == getattr(subject, name)
    assert actual.image.dtype == np.float32 and actual.label.dtype == np.uint8
    np.testing.assert_array_equal(actual.image, subject.image.astype(np.float16))
    np.testing.assert_array_equal(actual.label, subject.label)
    actual.image[0], actual.label[0] = 0, 0  # both are writable
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_an_unlabeled_subject_comes_back(tmp_path, subject):
    bare = Subject("mr_test_2001", "mr", subject.image, None, GRID, RAW)
    save_subject(tmp_path / "a.npz", bare)
    actual = load_subject(tmp_path / "a.npz")
    assert actual.label is None and actual.label_inside is None and actual.intensity_cut is None


def test_the_label_is_not_read_unless_asked_for(tmp_path, subject):
    path = tmp_path / "a.npz"
    save_subject(path, subject)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("label.npy")
    start = info.header_offset + 30 + len("label.npy") + 40
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    actual = load_subject(path, with_label=False)
    assert actual.label is None
    np.testing.assert_array_equal(actual.image, subject.image.astype(np.float16))
    with pytest.raises(DataError, match="not a readable prepared subject"):
        load_subject(path)


def damaged(path):
    """Ways a store can be wrong, each a function that makes it so."""
    huge = {"size_ijk": [400, 400, 400], **{k: v for k, v in GRID.to_dict().items() if k[0] != "s"}}
    huge["spacing_mm"] = [1, 1, 1]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f2", "fortran_order": False, "shape": (60000, 60000, 60000)}
    )
    return {
        "half": lambda: path.write_bytes(path.read_bytes()[:500]),
        "empty": lambda: path.write_bytes(b""),
        "no zip": lambda: path.write_bytes(b"text" * 100),
        "no image": lambda: rewrite(path, image=None),
        "no about": lambda: rewrite(path, about=None),
        "hostile shape": lambda: rewrite(path, image=header.getvalue()),
        "other shape": lambda: rewrite(path, image=npy(np.zeros((6, 6, 5), np.float16))),
        "other type": lambda: rewrite(path, image=npy(np.zeros((6, 6, 6), np.float64))),
        "short data": lambda: rewrite(path, image=npy(np.zeros((6, 6, 6), np.float16))[:-9]),
        "pickle": lambda: rewrite(path, label=npy(np.array([print], object), allow_pickle=True)),
        "NaN image": lambda: rewrite(path, image=npy(np.full((6, 6, 6), np.nan, np.float16))),
        "infinite size": lambda: rewrite(
            path, about=about(path, grid={**GRID.to_dict(), "size_ijk": [6, 6, float("inf")]})
        ),
        "brackets": lambda: rewrite(path, about=npy(np.frombuffer(b"[" * 60000, np.uint8))),
        "long about": lambda: rewrite(path, about=npy(np.zeros(1 << 17, np.uint8))),
        "LZMA": lambda: repack(path, zipfile.ZIP_LZMA),
        "class 255": lambda: rewrite(path, label=npy(np.full((6, 6, 6), 255, np.uint8))),
        "no JSON": lambda: rewrite(path, about=npy(np.zeros(9, np.uint8))),
        "JSON list": lambda: rewrite(path, about=npy(np.frombuffer(b"[1]", np.uint8))),
        "other format": lambda: rewrite(path, about=about(path, format=99)),
        "no geometry": lambda: rewrite(path, about=about(path, raw=None)),
        "huge grid": lambda: rewrite(path, about=about(path, grid=huge)),
        "NaN spacing": lambda: rewrite(
            path, about=about(path, grid={**GRID.to_dict(), "spacing_mm": [1, 1, float("nan")]})
        ),
    }


@pytest.mark.parametrize("way", damaged(None))
def test_damaged_stores_are_refused(tmp_path, subject, way):
    path = tmp_path / "a.npz"
    save_subject(path, subject)
    damaged(path)[way]()
    with pytest.raises(DataError) as caught:
        load_subject(path)
    assert str(path) in str(caught.value) and caught.value.made_by == "prepare"


def test_a_missing_store_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.npz: .*No such file"):
        load_subject(tmp_path / "none.npz")


def test_a_failed_write_leaves_the_old_store(tmp_path, subject, monkeypatch):
    path = tmp_path / "a.npz"
    save_subject(path, subject)
    before = path.read_bytes()

    def full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(DataError, match="No space left on device"):
        save_subject(path, subject)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_label_of_more_classes_is_refused(subject, tmp_path):
    path = tmp_path / "a.npz"
    save_subject(path, subject)
    load_subject(path, classes=5)
    with pytest.raises(DataError, match=r"label \d is no class index below 2"):
        load_subject(path, classes=2)


def test_labels_go_back_to_the_raw_grid(subject):
    label = np.zeros(GRID.shape_kji, np.uint8)
    label[:, :, 3:] = 4  # the patient's left half
    classes = labels_to_raw(label, subject)
    codes = labels_to_raw(label, subject, HEART)
    assert classes.GetPixelID() == sitk.sitkUInt8 and codes.GetPixelID() == sitk.sitkUInt16
    for image in (classes, codes):
        assert image.GetSize() == RAW.size_ijk and image.GetSpacing() == RAW.spacing_mm
        assert image.GetOrigin() == RAW.origin_mm and image.GetDirection() == RAW.direction
    actual = sitk.GetArrayFromImage(classes)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(codes), np.where(actual == 4, 820, 0))
    left = RAW.blank().TransformPhysicalPointToIndex((1 + 3, 2, 3))
    right = RAW.blank().TransformPhysicalPointToIndex((1 - 3, 2, 3))
    assert classes[left] == 4 and classes[right] == 0
