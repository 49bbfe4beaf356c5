"""The manifest file."""

import json

import pytest

from cmda_tf.data.manifest import Entry, Manifest, read_manifest, write_manifest
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError


def entry(id, domain, split, **changes):
    values = {
        "id": id,
        "domain": domain,
        "split": split,
        "file": f"{id}.0123.npz",
        "labelled": True,
        "raw_spacing_mm": (0.7, 0.9, 1.6),
        "spacing_mm": 1.0,
        "centred_on": "volume",
        "intensity_cut": 310.25,
        "label_inside": 0.998,
        "sha256": {"image": "ab", "label": None},
    }
    return Entry(**{**values, **changes})


@pytest.fixture
def manifest(tmp_path):
    entries = (
        entry("mr_train_1", "mr", "train"),
        entry("mr_train_2", "mr", "test"),
        entry("ct_train_1", "ct", "train", labelled=False, label_inside=None),
        entry("ct_train_2", "ct", "train"),
    )
    return Manifest(tmp_path, 256, 1.0, HEART, entries)


def test_a_manifest_comes_back(manifest):
    write_manifest(manifest)
    assert read_manifest(manifest.folder) == manifest
    assert read_manifest(str(manifest.folder)) == manifest


def test_a_prepared_folder_may_be_moved(manifest, tmp_path):
    write_manifest(manifest)
    text = (tmp_path / "manifest.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    (tmp_path / "moved").mkdir()
    (tmp_path / "manifest.json").rename(tmp_path / "moved/manifest.json")
    moved = read_manifest(tmp_path / "moved")
    assert moved.path(moved.entries[0]) == tmp_path / "moved/mr_train_1.0123.npz"


def test_selection(manifest):
    assert manifest.domains == ("mr", "ct")
    assert [e.id for e in manifest.select("ct", "train")] == ["ct_train_1", "ct_train_2"]
    assert [e.id for e in manifest.select("mr", "test")] == ["mr_train_2"]
    assert manifest.select("ct", "test") == []


def test_a_missing_manifest_says_which_command_makes_it(tmp_path):
    with pytest.raises(
        DataError, match=f"cmda_tf.prepare --raw=DIR --prepared={tmp_path} makes it"
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(format=1),
        lambda v: v.pop("structures"),
        lambda v: v["structures"][0].update(colour="red"),
        lambda v: v.pop("size"),
        lambda v: v.update(entries=None),
        lambda v: v["entries"][0].pop("sha256"),
        lambda v: v["entries"][0].update(colour="red"),
        lambda v: v["entries"][0].update(split="validation"),
        lambda v: v["entries"][0].update(domain="../pet"),
        lambda v: v["entries"][0].update(file="../../secret.npz"),
        lambda v: v["entries"][0].update(raw_spacing_mm=None),
        lambda v: v["entries"][0].update(id="../../elsewhere"),
        lambda v: v["entries"][0].update(id=7),
        lambda v: v["entries"][0].update(labelled="no"),
        lambda v: v.update(size=float("inf")),
        lambda v: v.update(size=513),
        lambda v: v.update(size=64.5),
        lambda v: v.update(spacing_mm=float("nan")),
        lambda v: v["structures"][0].update(codes=[float("inf")]),
    ],
)
def test_damaged_manifests_are_refused(manifest, change):
    write_manifest(manifest)
    path = manifest.folder / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"manifest\.json: not a readable manifest"):
        read_manifest(manifest.folder)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json"):
        read_manifest(tmp_path)
