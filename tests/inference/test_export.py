"""Exported runs, loaded in a fresh process that knows nothing of this package."""

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import cmda_tf
from cmda_tf.data.structures import HEART, Structures
from cmda_tf.errors import DataError, UsageError
from cmda_tf.export import ExportSettings, main
from cmda_tf.files import read_json, write_json
from cmda_tf.inference import exported
from cmda_tf.inference.networks import load_networks
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.phases import AdabnPhase

SAVED_MODEL = """
import sys, numpy as np, tensorflow as tf
folder, images, out = sys.argv[1:]
loaded = tf.saved_model.load(folder)
images = tf.constant(np.load(images))
found = {k: f(images=images)["probabilities"].numpy() for k, f in loaded.signatures.items()}
assert "cmda_tf" not in sys.modules
np.savez(out, **found)
"""
ONNX = """
import sys, numpy as np, onnxruntime
folder, images, out = sys.argv[1:]
images = np.load(images)
found = {}
for role in ("source", "target"):
    session = onnxruntime.InferenceSession(f"{folder}/{role}.onnx")
    found[role] = session.run(["probabilities"], {"images": images})[0]
np.savez(out, **found)
"""
needs_onnx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("tf2onnx", "onnxruntime"))),
    reason="tf2onnx and onnxruntime are not installed",
)


@pytest.fixture(scope="module")
def run(tiny, dataset, untraced):
    return untraced(adapt_statistics, tiny(AdabnPhase, name="exporting"), dataset)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "program"),
    [("saved_model", SAVED_MODEL), pytest.param("onnx", ONNX, marks=needs_onnx)],
)
def test_a_fresh_process_predicts_the_same(run, tmp_path, form, program):
    main(ExportSettings(str(run.folder), str(tmp_path / "out"), form))
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 3)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "load.py").write_text(program)
    files = [str(tmp_path / name) for name in ("out", "images.npy", "found.npz")]
    subprocess.run(
        [sys.executable, "load.py", *files],
        cwd=tmp_path,
        check=True,
        timeout=300,
        capture_output=True,
    )
    with np.load(tmp_path / "found.npz") as actual:
        assert sorted(actual) == ["source", "target"]
        for role in actual:
            logits = load_networks(run).paths()[role](images).numpy()
            expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
            np.testing.assert_allclose(actual[role], expected, atol=1e-4)
        assert np.abs(actual["source"] - actual["target"]).max() > 1e-3
    about = json.loads((tmp_path / "out" / "cmda_tf.json").read_text(encoding="utf-8"))
    assert (about["size"], about["spacing_mm"], about["source"]) == (16, 9.0, "mr")
    assert Structures.from_dict(about) == HEART
    assert [p.name for p in tmp_path.glob(".tmp*")] == []


@needs_onnx
def test_a_run_in_bfloat16_becomes_onnx_in_float32(run, tmp_path):
    import onnxruntime

    shutil.copytree(run.folder, tmp_path / "run")
    record = read_json(tmp_path / "run" / "settings.json")
    for part in (record["model"], record["settings"]["network"]):
        part["precision"] = "mixed_bfloat16"
    write_json(tmp_path / "run" / "settings.json", record)
    main(ExportSettings(str(tmp_path / "run"), str(tmp_path / "out"), "onnx"))
    images = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "target.onnx"))
    actual = session.run(["probabilities"], {"images": images})[0]
    logits = load_networks(run).paths()["target"](images).numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_nothing_is_left_of_a_failed_export(run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exported, "write_json", full)
    with pytest.raises(OSError, match="No space"):
        exported.write_saved_model(cmda_tf.load_run(run.folder), tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_wrong_usage(run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"^model: a folder is required"):
        main(ExportSettings(out="x"))
    with pytest.raises(UsageError, match=r"^out: .* is there already"):
        main(ExportSettings(str(run.folder), str(tmp_path)))
    with pytest.raises(DataError, match="no finished run"):
        main(ExportSettings(str(tmp_path / "none"), str(tmp_path / "out")))
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UsageError, match=r"^format: onnx needs the package tf2onnx"):
        main(ExportSettings(str(run.folder), str(tmp_path / "out"), "onnx"))
