"""The dataset file."""

import json

import pytest

from cmda_tf.data.prepared import Dataset, Entry, read_prepared, write_manifest
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError


def entry(id, modality, split, **changes):
    values = {
        "id": id,
        "modality": modality,
        "split": split,
        "file": f"{id}.0123.npz",
        "labeled": True,
        "raw_spacing_mm": (0.7, 0.9, 1.6),
        "spacing_mm": 1.0,
        "centered_on": "volume",
        "intensity_cut": 310.25,
        "label_inside": 0.998,
        "sha256": {"image": "ab", "label": None},
    }
    return Entry(**{**values, **changes})


@pytest.fixture
def dataset(tmp_path):
    entries = (
        entry("mr_train_1", "mr", "train"),
        entry("mr_train_2", "mr", "test"),
        entry("ct_train_1", "ct", "train", labeled=False, label_inside=None),
        entry("ct_train_2", "ct", "train"),
    )
    return Dataset(tmp_path, 256, 1.0, HEART, entries)


def test_a_manifest_comes_back(dataset):
    write_manifest(dataset)
    assert read_prepared(dataset.folder) == dataset
    assert read_prepared(str(dataset.folder)) == dataset


def test_a_prepared_folder_may_be_moved(dataset, tmp_path):
    write_manifest(dataset)
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    (tmp_path / "moved").mkdir()
    (tmp_path / "manifest.json").rename(tmp_path / "moved/manifest.json")
    moved = read_prepared(tmp_path / "moved")
    assert moved.path(moved.entries[0]) == tmp_path / "moved/mr_train_1.0123.npz"


def test_selection(dataset):
    assert dataset.modalities == ("mr", "ct")
    assert [e.id for e in dataset.select("ct", "train")] == ["ct_train_1", "ct_train_2"]
    assert [e.id for e in dataset.select("mr", "test")] == ["mr_train_2"]
    assert dataset.select("ct", "test") == []


def test_a_missing_manifest_says_which_command_makes_it(tmp_path):
    with pytest.raises(
        DataError, match=f"cmda_tf.prepare --raw=DIR --prepared={tmp_path} makes it"
    ):
        read_prepared(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(format=1),
        lambda v: v.pop("structures"),
        lambda v: v["structures"][0].update(color="red"),
        lambda v: v.pop("size"),
        lambda v: v.update(entries=None),
        lambda v: v["entries"][0].pop("sha256"),
        lambda v: v["entries"][0].update(color="red"),
        lambda v: v["entries"][0].update(split="validation"),
        lambda v: v["entries"][0].update(modality="../pet"),
        lambda v: v["entries"][0].update(file="../../secret.npz"),
        lambda v: v["entries"][0].update(raw_spacing_mm=None),
        lambda v: v["entries"][0].update(id="../../elsewhere"),
        lambda v: v["entries"][0].update(id=7),
        lambda v: v["entries"][0].update(labeled="no"),
        lambda v: v.update(size=float("inf")),
        lambda v: v.update(size=513),
        lambda v: v.update(size=64.5),
        lambda v: v.update(spacing_mm=float("nan")),
        lambda v: v["structures"][0].update(codes=[float("inf")]),
    ],
)
def test_damaged_manifests_are_refused(dataset, change):
    write_manifest(dataset)
    path = dataset.folder / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"dataset\.json: not a readable dataset"):
        read_prepared(dataset.folder)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json"):
        read_prepared(tmp_path)
