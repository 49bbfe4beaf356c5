"""Weights by name, run folders and their settings."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from cmda_tf.errors import DataError
from cmda_tf.files import read_json
from cmda_tf.models.segmenter import build_dam, build_router, build_segmenter
from cmda_tf.runs.run import open_run
from cmda_tf.runs.weights import digest, get_weights, load_weights, save_weights, set_weights
from cmda_tf.training.phases import AdaptPhase
from cmda_tf.training.setup import source_run


def test_names_are_those_of_layers_and_variables(config):
    segmenter = build_segmenter(config)
    names = set(get_weights(segmenter))
    assert {"conv1_conv/kernel", "rm3_block2_1_norm/moving_variance", "conv9_norm/gamma"} <= names
    assert len(names) == len(segmenter.weights)
    router = build_router(config, 13, segmenter, build_dam(config, 13, segmenter))
    both = set(get_weights(router))
    assert names < both and "dam_conv1_conv/kernel" in both


def test_saved_weights_come_back(config, tmp_path):
    one, two = (build_segmenter(replace(config, seed=seed)) for seed in (0, 1))
    save_weights(tmp_path / "w.npz", one)
    assert digest(get_weights(one)) != digest(get_weights(two))
    set_weights(two, load_weights(tmp_path / "w.npz"), "w.npz")
    assert digest(get_weights(one)) == digest(get_weights(two))


def test_what_does_not_fit_is_named(config):
    segmenter = build_segmenter(config)
    weights = get_weights(segmenter)
    kernel = weights.pop("conv8_conv/kernel")
    with pytest.raises(DataError, match="here: expected a weight 'conv8_conv/kernel', found none"):
        set_weights(segmenter, weights, "here")
    weights["conv8_conv/kernel"] = kernel[..., 1:]
    with pytest.raises(DataError, match=r"here: expected 'conv8_conv/kernel' of shape .*, found"):
        set_weights(segmenter, weights, "here")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"weights\.npz: expected a weights file"):
        load_weights(path)


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(DataError, match="expected a weights file"):
        load_weights(tmp_path / "w.npz")


def header(shape):
    """An array's file that holds nothing but its header."""
    stream = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header((10**12,)), "claims 4000000000000 bytes"),
        (header((-1,)), "claims -4 bytes"),
        (header((3,)) + b"1234", "does not hold 12 bytes"),
        (b"\x93NUMPY\x01\x00\x04\x00((((", "expected a weights file"),
    ],
)
def test_what_a_header_claims_is_not_allocated(tmp_path, data, words):
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("a.npy", data)
    with pytest.raises(DataError, match=rf"w\.npz: .*{words}"):
        load_weights(tmp_path / "w.npz")


def test_a_packed_bomb_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(10**7, np.float32))
    with pytest.raises(DataError, match="it claims 40000128 bytes of weights, and holds"):
        load_weights(tmp_path / "w.npz")


def test_run_folder(tiny):
    run = source_run(tiny(AdaptPhase))
    assert run.finished and run.phase == "source"
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"settings.json", "checkpoints", "logs", "model.keras", "weights.npz"}
    record = read_json(run.folder / "settings.json")
    assert record["settings"]["schedule"] == {"steps": 3, "learning_rate": 1e-3}
    assert record["inputs"]["modality"] == "mr" and len(record["inputs"]["prepared_sha256"]) == 64
    assert open_run(run.folder).config == run.config


def test_folder_that_is_no_run(tmp_path):
    with pytest.raises(DataError, match=r"settings\.json: cannot be read"):
        open_run(tmp_path)
    (tmp_path / "settings.json").write_text('{"phase": "source"}')
    with pytest.raises(DataError, match="not the settings of a run"):
        open_run(tmp_path)
