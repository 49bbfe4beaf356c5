"""Whole volumes: every slice, borders replicated, each path its model; rows of the table."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from cmda_tf.data.subjects import load_subject
from cmda_tf.errors import DataError
from cmda_tf.evaluation.evaluate import evaluate
from cmda_tf.evaluation.rows import find_rows
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.files import read_json
from cmda_tf.inference.networks import load_networks
from cmda_tf.inference.predictor import Predictor, classes
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.phases import AdabnPhase
from cmda_tf.training.setup import source_run


def test_every_slice_is_predicted_with_its_neighbors(config):
    tf.keras.utils.set_random_seed(0)
    model = build_segmenter(config)
    volume = np.random.default_rng(0).normal(size=(21, 16, 16)).astype(np.float32)
    # 21 slices: one full batch of 16 and a rest.
    actual = Predictor(model, classes).on_volume(volume)
    assert actual.shape == volume.shape and actual.dtype == np.uint8
    for k, neighbors in ((0, [0, 0, 1]), (10, [9, 10, 11]), (20, [19, 20, 20])):
        logits = model(np.moveaxis(volume[neighbors], 0, -1)[np.newaxis]).numpy()[0]
        top = np.sort(logits, axis=-1)
        clear = top[..., -1] - top[..., -2] > 1e-4  # a tie may fall either way
        np.testing.assert_array_equal(actual[k][clear], logits.argmax(-1)[clear])
        assert clear.mean() > 0.9


@pytest.fixture(scope="module")
def evaluated(tiny, dataset, untraced, tmp_path_factory):
    """Source and AdaBN runs in a folder of their own, evaluated."""
    out = tmp_path_factory.mktemp("report")
    source = source_run(tiny(AdabnPhase))
    runs = tmp_path_factory.mktemp("evaluated")
    (runs / "source_mr").symlink_to(source.folder)
    untraced(adapt_statistics, tiny(AdabnPhase, runs=str(runs)), dataset)
    (runs / "adapt_d13").mkdir()  # begun, not finished
    (runs / "adapt_d13" / "settings.json").write_text(
        (runs / "adabn_d13/settings.json").read_text(encoding="utf-8")
    )
    return evaluate(EvaluateSettings(runs=str(runs), out=str(out))), runs, out


def test_rows_in_the_order_of_the_table(evaluated):
    report, runs, _ = evaluated
    assert [row.title for row in report.rows.values()] == ["Seg-MRI", "noDA", "AdaBN d=13"]
    assert [(row.role, row.modality) for row in find_rows(runs)] == [
        ("source", "mr"), ("source", "ct"), ("target", "ct"),
    ]  # fmt: skip


def test_files_of_the_report(evaluated, dataset):
    report, _, out = evaluated
    results = read_json(out / "results.json")
    cells = results["rows"]["source_mr/noDA"]["structures"]
    assert set(cells) == {"AA", "LA-blood", "LV-blood", "LV-myo"}
    assert {"dice_mean", "dice_std", "asd_mean", "asd_std"} <= set(cells["AA"])
    facts = {"phase": "adabn", "run": "adabn_d13", "depth": 13, "seed": 0, "crop": "volume"}
    facts |= {"init_from": "source_mr", "subjects": ["ct_train_1004"], "precision": "float32"}
    facts |= {"title": "AdaBN d=13", "kind": "adabn", "usual": True}
    row = results["rows"]["adabn_d13"]
    assert {name: value for name, value in row.items() if name != "structures"} == facts
    for name in ("table.md", "table.csv", "figure3.png", "figure3.pdf"):
        assert (out / name).stat().st_size > 0
    lines = list(csv.DictReader((out / "subjects.csv").open()))
    assert {line["subject"] for line in lines} == {"mr_train_1004", "ct_train_1004"}
    image = sitk.ReadImage(str(out / "predictions/adabn_d13/ct_train_1004.nii.gz"))
    subject = load_subject(dataset.path(dataset.select("ct", "test")[0]))
    assert image.GetSpacing() == pytest.approx((9, 9, 9))
    assert image.GetOrigin() == pytest.approx(subject.grid.origin_mm)
    truth = subject.label == 3
    predicted = sitk.GetArrayFromImage(image) == 3
    dice = 200 * (truth & predicted).sum() / (truth.sum() + predicted.sum())
    assert report.rows["adabn_d13"].dice["LV-blood"].mean == pytest.approx(dice)


def test_paths_of_a_run_with_a_dam(evaluated):
    _, runs, _ = evaluated
    first, *_, adabn = find_rows(runs)
    images = np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32)
    paths = load_networks(adabn.run).paths()
    source, target = (paths[role](images).numpy() for role in ("source", "target"))
    assert adabn.kind == "adabn" and np.abs(source - target).max() > 1e-3
    seg = load_networks(first.run).paths()["source"](images).numpy()
    np.testing.assert_array_equal(source, seg)
    # The layers above the DAM are the same.
    assert paths["target"].layers[-1] is paths["source"].layers[-1]


def test_a_stopped_evaluation_leaves_no_results_that_look_complete(
    evaluated, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cmda_tf.evaluation.evaluate.draw_segmentations", stop)
    settings = EvaluateSettings(runs=str(evaluated[1]), only=("source_mr",), out=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        evaluate(settings)
    assert (tmp_path / "figure1.png").is_file() and not (tmp_path / "results.json").exists()
    monkeypatch.undo()
    assert list(evaluate(settings).rows) == ["source_mr", "source_mr/noDA"]
    rows = read_json(tmp_path / "results.json")["rows"]
    assert [row["title"] for row in rows.values()] == ["Seg-MRI", "noDA"]


def test_folder_without_runs_names_the_command(tmp_path):
    with pytest.raises(DataError, match="no finished run") as caught:
        find_rows(tmp_path)
    assert caught.value.made_by == "source"
