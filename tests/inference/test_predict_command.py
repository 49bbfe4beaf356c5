"""`cmda_tf.predict` and `cmda_tf.load_run` on a tiny run."""

import csv
import shutil
from unittest import mock

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, heart_image, oblique, write, write_series
from PIL import Image

import cmda_tf
from cmda_tf.data.structures import HEART
from cmda_tf.data.subjects import load_subject
from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import read_json, write_json
from cmda_tf.predict import PredictSettings, main
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.phases import AdabnPhase
from cmda_tf.volumes.formats import stem
from cmda_tf.volumes.geometry import Geometry
from cmda_tf.volumes.reading import read_volume

LIVER = {"structures": [{"name": "liver", "codes": [6], "color": "#aa0000"}]}
RAW = centered_geometry((30, 28, 26), (5.0, 5.5, 6.0), oblique(5, -10, 8), (20, -30, 40))


@pytest.fixture(scope="module")
def run(tiny, dataset, untraced):
    """A run with a path of its own for each role."""
    return untraced(adapt_statistics, tiny(AdabnPhase, name="predicting"), dataset)


@pytest.fixture
def image(tmp_path):
    return write(tmp_path / "in" / "patient.nii.gz", RAW, heart_image(RAW, (20, -30, 40)))


def label(folder, name="patient", ending=".nii.gz"):
    return sitk.ReadImage(str(folder / f"{name}_label{ending}"))


def test_outputs_lie_on_the_grid_of_the_image(run, image, tmp_path, capsys):
    out = tmp_path / "out"
    options = {"probabilities": True, "entropy": True}
    main([str(image)], PredictSettings(str(run.folder), out=str(out), **options))
    names = {p.name.removeprefix("patient_") for p in out.iterdir()}
    maps = {f"probability_{s.name}.nii.gz" for s in HEART} | {"entropy.nii.gz", "label.nii.gz"}
    assert names == maps | {"overlay.png", "volumes.csv", "labels.ctbl", "labels.txt"}
    original = sitk.ReadImage(str(image))
    for name in maps:
        actual = sitk.ReadImage(str(out / f"patient_{name}"))
        assert actual.GetSize() == original.GetSize()
        for get in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(actual, get)(), getattr(original, get)(), atol=1e-4)
    codes = sitk.GetArrayFromImage(label(out))
    assert set(np.unique(codes)) <= {0, 205, 420, 500, 820}
    with open(out / "volumes.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["structure"] for line in lines] == list(HEART.columns)
    voxel_mm3 = np.prod(original.GetSpacing())
    for line in lines:
        expected = (codes == HEART[line["structure"]].codes[0]).sum() * voxel_mm3
        assert float(line["volume_mm3"]) == pytest.approx(expected, abs=0.1)
    assert "820 AA 255 210 31 255" in (out / "labels.ctbl").read_text(encoding="utf-8")
    assert '420 232 48 42 1 1 1 "LA-blood"' in (out / "labels.txt").read_text(encoding="utf-8")
    assert Image.open(out / "patient_overlay.png").size[0] > 500
    assert "patient_label.nii.gz (AA " in capsys.readouterr().out


def test_every_format_gives_the_same_label_map(run, image, tmp_path):
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(image)))
    paths = [str(image), str(write_series(tmp_path / "in" / "scan", RAW, array))]
    for ending in (".nii", ".nrrd", ".mha", ".mhd"):
        paths.append(str(write(tmp_path / "in" / f"as{ending[1:]}{ending}", RAW, array)))
    main(paths, PredictSettings(str(run.folder), out=str(tmp_path / "out"), overlay=False))
    expected = label(tmp_path / "out")
    for path in paths:
        nifti = ".nii" in path
        actual = label(tmp_path / "out", stem(path), ".nii.gz" if nifti else ".nrrd")
        for key, value in Geometry.of(read_volume(path)).to_dict().items():
            # NIfTI has single precision; cosines that ITK makes of it differ in the last digits.
            np.testing.assert_allclose(
                Geometry.of(actual).to_dict()[key], value, atol=1e-13 + nifti * 1e-7
            )
        same = sitk.GetArrayFromImage(actual) == sitk.GetArrayFromImage(expected)
        assert same.mean() > 0.999  # headers round the geometry


def test_on_prepared_data_it_agrees_with_the_evaluation(run, dataset):
    """The same voxels, when the image already is the prepared volume's raw file."""
    entry = dataset.select("ct", "test")[0]
    subject = load_subject(dataset.path(entry))
    raw = dataset.folder.parent / "raw" / "ct_train" / f"{entry.id}_image.nii.gz"
    model = cmda_tf.load_run(run.folder)
    actual = model.predict(raw)
    assert actual.seen == subject.grid and actual.raw == subject.raw
    evaluated = model.on_prepared(subject.image)
    agree = actual.probabilities.argmax(axis=-1) == evaluated
    assert agree.mean() > 0.99  # the store rounds intensities to float16


def test_domains_and_centers(run, image):
    model = cmda_tf.load_run(run.folder)
    target, source = model.predict(image), model.predict(image, "source")
    assert (target.probabilities != source.probabilities).any()
    with pytest.raises(DataError, match=r"patient\.nii\.gz: the center .* lies outside it"):
        model.predict(image, center=(-20, 30, 400))
    moved = model.predict(sitk.ReadImage(str(image)), center=(30, -30, 40))
    step = np.subtract(moved.seen.origin_mm, target.seen.origin_mm)
    np.testing.assert_allclose(step, (10, 0, 0), atol=1e-3)
    with pytest.raises(UsageError, match="role: expected one of target, source; found 'ct'"):
        model.predict(image, "ct")
    for center in ("heart", (1, 2), (1, 2, float("nan"))):
        with pytest.raises(UsageError, match="center: expected"):
            model.predict(image, center=center)


def test_given_images_are_checked_as_files_are(run):
    model = cmda_tf.load_run(run.folder)
    with pytest.raises(DataError, match="image: expected an image, found the constant 0"):
        model.predict(RAW.blank())
    with pytest.raises(DataError, match="3-D"):
        model.predict(sitk.Image([8, 8], sitk.sitkFloat32))


def test_an_image_with_nothing_in_it_is_named(run, tmp_path, capsys):
    array = np.zeros(RAW.shape_kji, np.int16)
    array[0, 0, 0] = 1
    path = write(tmp_path / "in" / "dark.nrrd", RAW, array)
    with pytest.raises(DataError, match="1 of 1 images"):
        main([str(path)], PredictSettings(str(run.folder), out=str(tmp_path / "out")))
    assert f"error: {path}: nothing to see in the prepared grid" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_model_may_look_for_the_structures_itself(run, image, monkeypatch):
    monkeypatch.setattr("cmda_tf.inference.trained.find_center_mm", lambda *_: (21.0, -30.0, 40.0))
    actual = cmda_tf.load_run(run.folder).predict(image, center="model")
    middle = actual.seen.corners_mm.mean(axis=0)
    np.testing.assert_allclose(middle, (21, -30, 40), atol=1e-6)


def test_labels_beside_the_image_are_safe(run, image, monkeypatch):
    for out in (image.parent, image.parent / ".." / "in"):
        with pytest.raises(UsageError, match=r"^out: .* where its label may lie"):
            main([str(image)], PredictSettings(str(run.folder), out=str(out)))
    scan = write_series(image.parent / "scan", RAW, heart_image(RAW))
    monkeypatch.chdir(scan)
    for out in (".", ".."):
        with pytest.raises(UsageError, match=r"^out: \. lies in"):
            main(["."], PredictSettings(str(run.folder), out=out))


def test_output_folder_is_tried_before_anything_is_computed(run, image, tmp_path, monkeypatch):
    monkeypatch.setattr("cmda_tf.predict._predict", None)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file: cannot make this output folder"):
        main([str(image)], PredictSettings(str(run.folder), out=str(tmp_path / "file")))
    monkeypatch.setattr("fcntl.lockf", mock.Mock(side_effect=BlockingIOError))
    with pytest.raises(UsageError, match="another process is working in this folder"):
        main([str(image)], PredictSettings(str(run.folder), out=str(tmp_path / "out")))


def test_one_bad_image_does_not_keep_the_others(run, image, tmp_path, capsys):
    bad = tmp_path / "in" / "bad.nii"
    bad.write_bytes(b"no image")
    settings = PredictSettings(str(run.folder), out=str(tmp_path / "out"), overlay=False)
    with pytest.raises(DataError, match="1 of 2 images could not be segmented"):
        main([str(bad), str(image)], settings)
    assert f"error: {bad}: " in capsys.readouterr().err
    assert Geometry.of(label(tmp_path / "out")).size_ijk == RAW.size_ijk
    assert not list((tmp_path / "out").glob("*overlay*"))


@pytest.mark.parametrize(
    ("images", "changes", "message"),
    [
        ([], {}, "at least one IMAGE"),
        (["a/x.nii", "b/x.nii.gz"], {}, r"b/x\.nii\.gz: its output would replace that of a/x"),
        (["a/x.nii", "a/x.nii"], {}, r"a/x\.nii: its output would replace that of a/x"),
        (["x.nii"], {"model": None}, "model: expected the folder"),
        (["x.nii"], {"center": "1,2"}, "center: expected image, model or x,y,z"),
        (["x.nii"], {"center": "a,b,c"}, "center: "),
    ],
)
def test_wrong_usage(images, changes, message):
    with pytest.raises(UsageError, match=message):
        main(images, PredictSettings(**{"model": "none", **changes}))


def test_no_run_or_one_without_structures(run, tmp_path):
    with pytest.raises(DataError, match="no finished run here"):
        cmda_tf.load_run(tmp_path)
    old = tmp_path / "old"
    shutil.copytree(run.folder, old)
    record = read_json(old / "settings.json")
    del record["inputs"]["structures"]
    write_json(old / "settings.json", record)
    with pytest.raises(DataError, match=r"old/settings\.json: not the settings of a run"):
        cmda_tf.load_run(old)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("inputs", {"structures": LIVER}, "expected 4 structures, found 1"),
        ("inputs", {"spacing_mm": 0}, "spacing_mm: expected a length, found 0"),
        ("inputs", {"spacing_mm": "far"}, "spacing_mm: expected float, found 'far'"),
        ("model", {"size": "16"}, "size: expected 16 to 512, found '16'"),
        ("model", {"width": 0.125}, "width: the model has another one than the settings"),
        ("settings", {"dam": {"depth": 12}}, "12 does not end a block"),
        ("settings", {"dam": {"depth": 21}}, "expected a weight 'dam_.*', found none"),
    ],
)
def test_settings_that_do_not_fit_the_weights(run, tmp_path, part, changes, message):
    shutil.copytree(run.folder, tmp_path / "run")
    record = read_json(tmp_path / "run" / "settings.json")
    record[part].update(changes)
    write_json(tmp_path / "run" / "settings.json", record)
    with pytest.raises(DataError, match=message) as caught:
        cmda_tf.load_run(tmp_path / "run")
    assert str(tmp_path / "run") in str(caught.value)


def test_truncated_weights_end_the_work_before_any_image(run, tmp_path, capsys):
    shutil.copytree(run.folder, tmp_path / "run")
    weights = tmp_path / "run" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"weights\.npz: expected a weights file of cmda_tf"):
        main(["x.nii"], PredictSettings(str(tmp_path / "run"), out=str(tmp_path / "out")))
    assert capsys.readouterr().err == "" and not (tmp_path / "out").exists()
