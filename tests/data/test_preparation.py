"""Preparation end to end: what is written, redone, removed and refused."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import heart_codes, write_subject

from cmda_tf.data.preparation import prepare
from cmda_tf.data.prepared import read_prepared
from cmda_tf.data.subjects import load_subject
from cmda_tf.errors import DataError, UsageError
from cmda_tf.prepare import PrepareSettings, main
from cmda_tf.volumes.geometry import Geometry

SMALL = {"size": 24, "spacing_mm": 6.0, "workers": 1}


def stores(prepared):
    """Name, inode and time of every file of a prepared folder but the manifest."""
    return {
        p.name: (p.stat().st_ino, p.stat().st_mtime_ns)
        for p in Path(prepared).iterdir()
        if p.name != "manifest.json"
    }


def members(path, name):
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def test_manifest_and_stores_agree(make_raw, tmp_path):
    ids = ("mr_train_1", "mr_train_2", "ct_train_1", "ct_train_2", "ct_test_9")
    raw = make_raw(*ids, unlabeled=("ct_test_9",))
    dataset = prepare(raw, tmp_path / "out", **SMALL)
    assert read_prepared(tmp_path / "out") == dataset
    assert (dataset.size, dataset.spacing_mm) == (24, 6.0)
    assert [e.id for e in dataset.entries] == list(ids)
    assert [e.split for e in dataset.entries] == ["train", "test", "train", "test", "train"]
    assert [e.labeled for e in dataset.entries] == [True] * 4 + [False]
    assert [e.centered_on for e in dataset.entries] == ["label"] * 2 + ["volume"] * 3
    for entry in dataset.entries:
        subject = load_subject(dataset.path(entry))
        assert (subject.id, subject.modality) == (entry.id, entry.modality)
        assert subject.image.shape == (24, 24, 24)
        assert entry.intensity_cut == subject.intensity_cut
        assert entry.raw_spacing_mm == pytest.approx((6.0, 6.5, 5.5))
        assert (subject.label is not None) == entry.labeled
        if entry.labeled:
            # An independent label: the heart evaluated on the prepared grid itself.
            truth = np.isin(heart_codes(subject.grid, (6, -4, 3)), (205, 420, 500, 820))
            both = np.count_nonzero(truth & (subject.label > 0))
            assert 2 * both / (truth.sum() + (subject.label > 0).sum()) > 0.85
            assert entry.label_inside > 0.95
    assert len(dataset.entries[0].sha256["image"]) == 64
    assert dataset.entries[4].sha256["label"] is None


def test_target_labels_do_not_touch_the_target_images(make_raw, tmp_path):
    ids = ("mr_train_1", "ct_train_1", "ct_train_2", "ct_train_3")
    raw = make_raw(*ids)
    labeled = prepare(raw, tmp_path / "with", **SMALL)
    for path in raw.glob("ct_train/*_label.nii.gz"):
        path.unlink()
    bare = prepare(raw, tmp_path / "without", **SMALL)
    for one, other in zip(labeled.entries, bare.entries):
        a, b = labeled.path(one), bare.path(other)
        assert members(a, "image.npy") == members(b, "image.npy")
        one_subject, other_subject = load_subject(a), load_subject(b)
        assert one_subject.grid == other_subject.grid and one_subject.raw == other_subject.raw
        assert one.intensity_cut == other.intensity_cut
    assert [e.labeled for e in bare.entries] == [True, False, False, False]


def test_a_second_run_redoes_only_what_changed(make_raw, tmp_path):
    raw, out = make_raw("mr_train_1", "mr_train_2", "ct_train_1", "ct_train_2"), tmp_path / "out"
    first = prepare(raw, out, **SMALL)
    (out / "notes.npz").touch()
    (out / f".tmp12_{first.entries[0].file}").touch()  # a killed process left it
    before = stores(out)
    assert prepare(raw, out, **SMALL) == first
    assert stores(out) == {n: s for n, s in before.items() if not n.startswith(".tmp")}

    write_subject(raw, "mr_train_2", seed=99)  # changed
    for path in (raw / "ct_train").glob("ct_train_2_*"):  # vanished
        path.unlink()
    write_subject(raw, "ct_train_3")  # new
    second = prepare(raw, out, **SMALL)
    after = stores(out)
    files = {e.id: e.file for e in first.entries}
    kept = {files["mr_train_1"], files["ct_train_1"], "notes.npz"}
    assert {n for n in after if after[n] == before.get(n)} == kept
    assert set(after) == {e.file for e in second.entries} | {"notes.npz"}
    assert [e.id for e in second.entries] == [
        "mr_train_1",
        "mr_train_2",
        "ct_train_1",
        "ct_train_3",
    ]


def test_settings_decide_what_is_redone(make_raw, tmp_path):
    raw, out = make_raw("mr_train_1", "ct_train_1"), tmp_path / "out"
    first = prepare(raw, out, **SMALL)
    both = prepare(raw, out, **SMALL, center_on_labels=("mr", "ct"))
    assert both.entries[0] == first.entries[0]
    assert both.entries[1].file != first.entries[1].file
    split = prepare(raw, out, **SMALL, center_on_labels=("mr", "ct"), test_ids=["mr_train_1"])
    assert [e.file for e in split.entries] == [e.file for e in both.entries]
    finer = prepare(raw, out, **{**SMALL, "size": 20})
    assert finer.size == 20
    assert {load_subject(finer.path(e)).image.shape for e in finer.entries} == {(20, 20, 20)}
    assert set(stores(out)) == {e.file for e in finer.entries}


def test_a_damaged_store_is_made_anew(make_raw, tmp_path):
    raw, out = make_raw("ct_train_1"), tmp_path / "out"
    path = out / prepare(raw, out, **SMALL).entries[0].file
    sound = path.read_bytes()
    path.write_bytes(sound[:-50])
    prepare(raw, out, **SMALL)
    assert path.read_bytes() == sound


def test_one_process_and_several_agree(make_raw, tmp_path):
    raw = make_raw("mr_train_1", "ct_train_1", "ct_train_2")
    one = prepare(raw, tmp_path / "one", **SMALL)
    two = prepare(raw, tmp_path / "two", **{**SMALL, "workers": 2})
    assert one.entries == two.entries
    for entry in one.entries:
        assert one.path(entry).read_bytes() == two.path(entry).read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_names_the_file_and_keeps_what_is_done(make_raw, tmp_path, workers):
    raw, out = make_raw("mr_train_1", "mr_train_2"), tmp_path / "out"
    first = prepare(raw, out, **SMALL)
    before, text = stores(out), (out / "manifest.json").read_text(encoding="utf-8")
    write_subject(raw, "ct_train_1")
    write_subject(raw, "ct_train_2")
    broken = raw / "ct_train/ct_train_2_image.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"ct_train_2_image\.nii\.gz: expected a complete gzip"):
        prepare(raw, out, **{**SMALL, "workers": workers})
    after = stores(out)
    assert before.items() <= after.items()
    assert (out / "manifest.json").read_text(encoding="utf-8") == text
    assert all(name.startswith(("mr", "ct_train_1")) for name in after)
    broken.write_bytes(whole)
    fixed = prepare(raw, out, **SMALL)
    assert after.items() <= stores(out).items()
    assert fixed.entries[:2] == tuple(first.entries)


def test_an_image_that_does_not_fit_its_label_is_refused(make_raw, tmp_path):
    raw = make_raw("mr_train_1")
    path = raw / "mr_train/mr_train_1_label.nii.gz"
    label = sitk.ReadImage(str(path))
    label.SetOrigin(tuple(np.add(label.GetOrigin(), (0, 3, 0))))
    sitk.WriteImage(label, str(path))
    with pytest.raises(DataError, match=r"1_label\.nii\.gz: not on the grid of .*1_image\.nii\.gz"):
        prepare(raw, tmp_path / "out", **SMALL)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_code_is_refused(make_raw, tmp_path):
    raw = make_raw("ct_train_1")
    path = raw / "ct_train/ct_train_1_label.nii.gz"
    label = sitk.ReadImage(str(path))
    label[3, 3, 3] = 77
    sitk.WriteImage(label, str(path))
    with pytest.raises(DataError, match=r"ct_train_1_label\.nii\.gz: label code 77 is unknown"):
        prepare(raw, tmp_path / "out", **SMALL)


def test_an_output_that_is_a_file_is_refused(make_raw, tmp_path):
    raw = make_raw("ct_train_1")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="out: cannot make this output folder"):
        prepare(raw, tmp_path / "out", **SMALL)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_bad_raw_folders_and_ids_make_no_output(make_raw, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        prepare(tmp_path / "raw", tmp_path / "out", **SMALL)
    raw = make_raw("ct_train_1")
    with pytest.raises(UsageError, match=r"^test_ids: no subject 'ct_train_5'"):
        prepare(raw, tmp_path / "out", **SMALL, test_ids=["ct_train_5"])
    assert not (tmp_path / "out").exists()


def test_main_counts_subjects_and_warns_of_cut_structures(make_raw, tmp_path, capsys):
    raw = make_raw("mr_train_1", "mr_train_2", "ct_train_1", unlabeled=("ct_train_1",))
    options = {"raw": str(raw), "prepared": str(tmp_path / "out"), "workers": 1}
    small = PrepareSettings.of(**options, size=16, spacing_mm=3.0)
    main(small)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mr: 1 for training (1 labeled), 1 for testing"
    assert lines[1] == "ct: 1 for training (0 labeled), 0 for testing"
    assert lines[2].startswith("warning: mr_train_1: ") and "48 mm" in lines[2]
    with pytest.raises(UsageError, match=r"^prepared: a folder"):
        main(PrepareSettings(str(raw)))


def test_the_command(make_raw, tmp_path):
    raw, out = make_raw("mr_train_1", "ct_train_1"), tmp_path / "out"
    command = [sys.executable, "-m", "cmda_tf.prepare", f"--raw={raw}", f"--prepared={out}"]
    command += ["--size=16", "--spacing_mm=8", "--center_on_labels=", "--test_ids=ct_train_1"]
    root = Path(__file__).parents[2]
    run = {"capture_output": True, "text": True, "cwd": root}
    run["env"] = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, **run)
    assert (done.returncode, done.stderr) == (0, "")
    values = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert [e["centered_on"] for e in values["entries"]] == ["volume", "volume"]
    assert [e["split"] for e in values["entries"]] == ["test", "test"]
    shutil.rmtree(raw / "ct_train")
    (raw / "ct_train").mkdir()
    failed = subprocess.run(command, **run)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.startswith(f"error: {raw}/ct_train: no volumes")
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8")) == values


def test_importing_preparation_loads_no_tensorflow():
    code = "import sys, cmda_tf.prepare; sys.exit('tensorflow' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_raw_geometry_is_exact(make_raw, tmp_path):
    raw = make_raw("ct_train_1")
    dataset = prepare(raw, tmp_path / "out", **SMALL)
    image = sitk.ReadImage(str(raw / "ct_train/ct_train_1_image.nii.gz"))
    assert load_subject(dataset.path(dataset.entries[0])).raw == Geometry.of(image)
