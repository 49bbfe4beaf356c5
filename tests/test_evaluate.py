"""One data set per table, and which models the report's figures show."""

from types import SimpleNamespace

import numpy as np
import pytest
from builders.runs import write_run

from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError, UsageError
from cmda_tf.evaluation import evaluate as module
from cmda_tf.evaluation.evaluate import evaluate
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.files import read_json
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.phases import AdabnPhase, SourcePhase

TITLES = {
    "supervised": ["Seg-CT"],
    "finetuned": ["Seg-CT-STL"],
    "noDA": ["noDA"],
    "adabn": ["AdaBN d=13", "AdaBN d=21"],
    "adapt": ["UDA d=13", "UDA d=21", "tuned"],
    "selftrain": ["Self-training d=13"],
}


def draw(monkeypatch, tmp_path, *kinds):
    """Columns of each figure that is drawn for rows of these kinds, and the files."""
    columns, draw = [], module.figure3

    def watched(examples, structures, image_title):
        assert image_title == "CT slice"
        columns.append(list(examples[0].predictions))
        return draw(examples, structures, image_title)

    monkeypatch.setattr(module, "figure3", watched)
    label = np.arange(5 * 8 * 8).reshape(5, 8, 8) % 5
    subjects = [SimpleNamespace(id="a", image=label.astype(float), label=label, truth=label)]
    dataset = SimpleNamespace(test_subjects=lambda modality: subjects)
    rows = [SimpleNamespace(kind=k, title=t, id=t, modality="ct") for k in kinds for t in TITLES[k]]
    maps = {row.id: {"a": label} for row in rows}
    module.draw_segmentations(tmp_path, dataset, rows, maps, HEART)
    return columns, sorted(path.name for path in tmp_path.iterdir())


def test_figure3_has_one_of_each_kind_and_figure4_all_adapted(monkeypatch, tmp_path):
    columns, files = draw(monkeypatch, tmp_path, *TITLES)
    assert columns == [
        ["Seg-CT-STL", "Seg-CT", "noDA", "AdaBN d=13", "UDA d=13", "Self-training d=13"],
        ["UDA d=13", "UDA d=21", "tuned", "Self-training d=13"],
    ]
    assert files == ["figure3.pdf", "figure3.png", "figure4.pdf", "figure4.png"]


def test_one_adapted_model_needs_no_figure4(monkeypatch, tmp_path):
    columns, files = draw(monkeypatch, tmp_path, "noDA", "adabn", "selftrain")
    assert columns == [["noDA", "AdaBN d=13", "Self-training d=13"]]
    assert files == ["figure3.pdf", "figure3.png"]


def write_finished(folder, **facts):
    """Two runs of which the second was trained on other data."""
    for name, more in (("one", {}), ("other", facts)):
        run = write_run(SourcePhase.of(runs=str(folder), name=name, title=name), **more)
        (run.folder / "weights.npz").touch()


def test_runs_of_different_data_are_refused(tmp_path):
    write_finished(tmp_path, data="q", sha256="of other data")
    with pytest.raises(UsageError, match=r"one was trained on p, .*other on other data, q; exp"):
        evaluate(EvaluateSettings(runs=str(tmp_path)))


def test_data_of_another_size_or_other_structures_are_refused(tmp_path, dataset):
    write_finished(tmp_path, size=32)
    settings = EvaluateSettings(runs=str(tmp_path), prepared=str(dataset.folder))
    with pytest.raises(DataError, match="expected volumes of 32 voxels per side"):
        evaluate(settings)


def test_a_target_whose_crop_is_unknown_is_told_in_every_report(tiny, dataset, untraced, tmp_path):
    run = untraced(adapt_statistics, tiny(AdabnPhase, name="unknown_crop"), dataset)
    record = read_json(run.folder / "settings.json")
    assert record["inputs"]["crop"] == "volume"
    record["inputs"]["crop"] = None
    from cmda_tf.files import write_json

    write_json(run.folder / "settings.json", record)
    settings = EvaluateSettings(
        runs=str(run.folder.parent), only=("unknown_crop",), out=str(tmp_path)
    )
    report = untraced(evaluate, settings)
    sentence = (
        "the images of ct for training were cropped in an unknown way, perhaps by their labels"
    )
    assert sentence in report.to_text() and sentence in report.to_markdown()
    assert sentence in read_json(tmp_path / "results.json")["meta"]["warnings"][0]
    assert (tmp_path / "predictions/unknown_crop/ct_train_1004.nii.gz").is_file()
