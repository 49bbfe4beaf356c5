"""Which models the report's figures show."""

from types import SimpleNamespace

import numpy as np

from cmda_tf import evaluate
from cmda_tf.data.structures import HEART
from cmda_tf.visualization import segmentation

TITLES = {
    "supervised": ["Seg-CT"],
    "finetuned": ["Seg-CT-STL"],
    "noDA": ["noDA"],
    "AdaBN": ["AdaBN d=13", "AdaBN d=21"],
    "UDA": ["UDA d=13", "UDA d=21", "tuned"],
    "Self-training": ["Self-training d=13"],
}


def shown(monkeypatch, tmp_path, *kinds):
    """Columns of each figure that is drawn for experiments of these kinds."""
    columns, draw = [], segmentation.figure3

    def watched(examples, structures, image_title):
        assert image_title == "CT slice"
        columns.append(list(examples[0].predictions))
        return draw(examples, structures, image_title)

    monkeypatch.setattr(segmentation, "figure3", watched)
    label = np.arange(5 * 8 * 8).reshape(5, 8, 8) % 5
    subjects = [SimpleNamespace(id="a", image=label.astype(float), label=label)]
    experiments = [
        SimpleNamespace(kind=k, title=t, modality="ct") for k in kinds for t in TITLES[k]
    ]
    maps = {e.title: {"a": label} for e in experiments}
    evaluate._draw_figures(tmp_path, subjects, experiments, maps, HEART)
    return columns, sorted(path.name for path in tmp_path.iterdir())


def test_figure3_has_one_of_each_kind_and_figure4_all_adapted(monkeypatch, tmp_path):
    columns, files = shown(monkeypatch, tmp_path, *TITLES)
    assert columns == [
        ["Seg-CT-STL", "Seg-CT", "noDA", "AdaBN d=13", "UDA d=13", "Self-training d=13"],
        ["UDA d=13", "UDA d=21", "tuned", "Self-training d=13"],
    ]
    assert files == ["figure3.pdf", "figure3.png", "figure4.pdf", "figure4.png"]


def test_one_adapted_model_needs_no_figure4(monkeypatch, tmp_path):
    columns, files = shown(monkeypatch, tmp_path, "noDA", "AdaBN", "Self-training")
    assert columns == [["noDA", "AdaBN d=13", "Self-training d=13"]]
    assert files == ["figure3.pdf", "figure3.png"]
