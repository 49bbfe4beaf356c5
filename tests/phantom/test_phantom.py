"""The phantom: files, anatomy, reproducibility."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError, UsageError
from cmda_tf.phantom import scanner
from cmda_tf.phantom.generate import write_phantom


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    return write_phantom(tmp_path_factory.mktemp("phantom"), subjects=2, seed=3, workers=1)


def _images(folder, kind="image"):
    paths = sorted(folder.glob(f"*/*_{kind}.nii.gz"))
    return {path.name: sitk.ReadImage(str(path)) for path in paths}


def test_files_are_in_the_layout_of_mm_whs(phantom):
    actual = {str(path.relative_to(phantom)) for path in phantom.rglob("*") if path.is_file()}
    volumes = {
        f"{m}_train/{m}_train_100{n}_{kind}.nii.gz"
        for m in ("mr", "ct") for n in (1, 2) for kind in ("image", "label")
    }  # fmt: skip
    assert actual == volumes | {"phantom.json", "contact_sheet.png"}
    record = json.loads((phantom / "phantom.json").read_text(encoding="utf-8"))
    assert record["settings"]["seed"] == 3 and len(record["subjects"]) == 4


def test_labels_hold_every_code_and_match_their_image(phantom):
    labels = _images(phantom, "label")
    for name, image in _images(phantom).items():
        label = labels[name.replace("image", "label")]
        codes = set(np.unique(sitk.GetArrayViewFromImage(label)).tolist())
        assert codes == {0, 205, 420, 500, 550, 600, 820, 850} and codes <= set(HEART.code_to_class)
        for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(image, get)() == getattr(label, get)()


def test_structures_have_the_volumes_of_real_ones_and_are_connected(phantom):
    # Ranges in ml that cover adults' hearts at end-diastole, atria and ascending aorta included.
    ranges = {"LV-blood": (90, 160), "LV-myo": (90, 170), "LA-blood": (55, 130), "AA": (35, 110)}
    for name, label in _images(phantom, "label").items():
        array = sitk.GetArrayViewFromImage(label)
        voxel_ml = np.prod(label.GetSpacing()) / 1000
        for structure in HEART:
            mask = array == structure.codes[0]
            low, high = ranges[structure.name]
            assert low <= mask.sum() * voxel_ml <= high, (name, structure.name)
            parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
            largest = np.bincount(parts.ravel())[1:].max()
            assert largest > 0.97 * mask.sum(), (name, structure.name, count)


def test_geometry_is_a_scanners(phantom):
    for image in _images(phantom).values():
        direction = np.reshape(image.GetDirection(), (3, 3))
        np.testing.assert_allclose(direction @ direction.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(direction) == pytest.approx(1)
        assert np.abs(image.GetOrigin()).max() > 10
        extent = np.multiply(image.GetSize(), image.GetSpacing())
        assert (extent > 180).all() and (extent < 280).all()
    spacings = {image.GetSpacing() for image in _images(phantom).values()}
    assert len(spacings) == 4 and all(len({round(x, 3) for x in s}) > 1 for s in spacings)


def test_oblique_stacks_point_where_they_say():
    scan = scanner.plan_scan("mr", "fast", np.random.default_rng(0))
    direction = np.reshape(scan.grid.direction, (3, 3))
    turned = scanner.STACKS[scan.stack].T @ direction  # what is left is the obliquity
    assert 0 < np.degrees(np.arccos((np.trace(turned) - 1) / 2)) < 45
    for axes in scanner.STACKS.values():
        assert np.linalg.det(axes) == pytest.approx(1)


def test_same_seed_same_files_whatever_the_workers(phantom, tmp_path):
    write_phantom(tmp_path / "again", subjects=2, seed=3, workers=2)
    for path in sorted(phantom.rglob("*.nii.gz")):
        again = tmp_path / "again" / path.relative_to(phantom)
        one, two = (sitk.ReadImage(str(p)) for p in (path, again))
        np.testing.assert_array_equal(
            sitk.GetArrayViewFromImage(one), sitk.GetArrayViewFromImage(two)
        )
        assert one.GetOrigin() == two.GetOrigin()


def test_subjects_and_modalities_are_different_people(phantom):
    record = json.loads((phantom / "phantom.json").read_text(encoding="utf-8"))["subjects"]
    sizes = {id: entry["anatomy"]["heart"]["size"] for id, entry in record.items()}
    assert len(set(sizes.values())) == 4  # unpaired: mr_train_1001 is not ct_train_1001


def test_finished_subjects_are_kept_and_damaged_ones_made_again(phantom):
    files = sorted(phantom.rglob("*.nii.gz"))
    before = {path: path.stat().st_mtime_ns for path in files}
    victim = files[0]
    content = victim.read_bytes()
    victim.write_bytes(b"")
    write_phantom(phantom, subjects=2, seed=3, workers=1)
    assert victim.read_bytes() == content
    pair = {victim, victim.with_name(victim.name.replace("image", "label"))}
    for path in set(files) - pair:
        assert path.stat().st_mtime_ns == before[path]


def test_another_seed_gives_other_people_and_replaces_the_files(phantom, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(phantom, out)
    extra = out / "ct_train" / "ct_train_1003_image.nii.gz"
    extra.write_bytes(b"a third subject's")
    record = json.loads((out / "phantom.json").read_text(encoding="utf-8"))
    record["subjects"]["ct_train_1003"] = {}
    (out / "phantom.json").write_text(json.dumps(record))
    write_phantom(out, subjects=2, seed=4, workers=1)
    assert not extra.exists()
    before, after = _images(phantom), _images(out)
    assert before.keys() == after.keys()
    for name in before:
        assert before[name].GetOrigin() != after[name].GetOrigin()


def test_a_failed_write_leaves_nothing_half_written(tmp_path, monkeypatch):
    def broken(image, path, *_):
        with open(path, "wb") as stream:
            stream.write(b"half")
        raise OSError(28, "No space left on device", path)

    with monkeypatch.context() as patch:
        patch.setattr(sitk, "WriteImage", broken)
        with pytest.raises(OSError, match="No space left"):
            write_phantom(tmp_path, subjects=2, workers=1)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["phantom.json"]
    record = json.loads(
        (tmp_path / "phantom.json").read_text(encoding="utf-8")
    )  # the next run goes on from here
    assert record["subjects"]["ct_train_1002"] == {}


def test_a_volume_beside_the_phantoms_own_is_never_removed(phantom):
    foreign = phantom / "mr_train" / "mr_train_2001_image.nii.gz"
    foreign.write_bytes(b"somebody's")
    try:
        with pytest.raises(DataError, match=r"mr_train_2001_image.* not this phantom's"):
            write_phantom(phantom, subjects=2, seed=4, workers=1)
        assert foreign.read_bytes() == b"somebody's"
        assert len(list(phantom.rglob("*_label.nii.gz"))) == 4
    finally:
        foreign.unlink()


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match="cannot make this output folder"):
        write_phantom(tmp_path / "out", subjects=2, workers=1)


def test_bad_arguments_and_foreign_folders(tmp_path):
    with pytest.raises(UsageError, match="subjects: expected at least 2, found 1"):
        write_phantom(tmp_path, subjects=1)
    with pytest.raises(UsageError, match="resolution: expected one of fast, full"):
        write_phantom(tmp_path, resolution="quick")
    (tmp_path / "mr_train").mkdir()
    foreign = tmp_path / "mr_train" / "mr_train_1001_image.nii.gz"
    foreign.write_bytes(b"somebody's")
    with pytest.raises(DataError, match="not this phantom's"):
        write_phantom(tmp_path, subjects=2, workers=1)
    assert foreign.read_bytes() == b"somebody's"
