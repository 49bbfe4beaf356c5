"""Prepared data: what its manifest says, of this format and of the one before."""

import dataclasses
import json

import pytest

from cmda_tf.data.dataset import Entry
from cmda_tf.data.prepared import PreparedDataset, read_prepared, write_manifest
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
    return PreparedDataset(tmp_path, 256, 1.0, HEART, entries)


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


def test_a_missing_manifest_says_what_makes_it(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json: no such file") as caught:
        read_prepared(tmp_path)
    assert caught.value.made_by == "prepare"


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
        lambda v: v["entries"][0].update(raw_spacing_mm="wide"),
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
    with pytest.raises(DataError, match=r"manifest\.json: not a readable manifest"):
        read_prepared(dataset.folder)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json"):
        read_prepared(tmp_path)


def test_a_manifest_is_of_format_3(dataset):
    write_manifest(dataset)
    values = json.loads((dataset.folder / "manifest.json").read_text(encoding="utf-8"))
    assert (values["format"], values["size"], values["spacing_mm"]) == (3, 256, 1.0)
    assert all("color" in structure for structure in values["structures"])
    first = values["entries"][0]
    assert set(first) == {field.name for field in dataclasses.fields(Entry)}
    assert (first["modality"], first["labeled"], first["centered_on"]) == ("mr", True, "volume")


def test_what_is_unknown_is_none(dataset):
    """As of what was converted from the release."""
    bare = dataclasses.replace(dataset, entries=(Entry("ct_1", "ct", "train", "ct_1.npz", True),))
    write_manifest(bare)
    assert read_prepared(dataset.folder) == bare
    assert '"raw_spacing_mm": null' in (dataset.folder / "manifest.json").read_text("utf-8")


def test_a_manifest_of_0_1_is_read_as_it_is(dataset):
    """Format 2 had other words, and each entry the spacing that all share."""
    write_manifest(dataset)
    path = dataset.folder / "manifest.json"
    text = path.read_text(encoding="utf-8").replace('"color"', '"colour"')
    for new, old in (("modality", "domain"), ("labeled", "labelled"), ("centered", "centred")):
        text = text.replace(f'"{new}', f'"{old}')
    values = {**json.loads(text), "format": 2}
    for entry in values["entries"]:
        entry["spacing_mm"] = 1.0
    path.write_text(json.dumps(values), encoding="utf-8")
    assert read_prepared(dataset.folder) == dataset
    values["entries"][0]["centred_on"] = "unknown"  # of what was converted from the release
    path.write_text(json.dumps(values), encoding="utf-8")
    assert read_prepared(dataset.folder).entries[0].centered_on is None


def test_crop_of_a_modality(dataset):
    assert dataset.crop("mr") == dataset.crop("ct") == "volume"
    first, *others = dataset.entries
    for centered_on in ("label", None):
        one = dataclasses.replace(first, centered_on=centered_on)
        changed = dataclasses.replace(dataset, entries=(one, *others))
        assert changed.crop("mr") == centered_on and changed.crop("ct") == "volume"
