"""Nothing is wired to the heart: two structures of an abdomen, modalities of other names."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from builders.volumes import centered_geometry, oblique, points_mm, write

import cmda_tf
from cmda_tf import init
from cmda_tf import prepare as cli_prepare
from cmda_tf.data.description import DatasetDescription, read_description
from cmda_tf.data.preparation import prepare
from cmda_tf.data.prepared import read_prepared
from cmda_tf.datasets import open_data
from cmda_tf.evaluation.evaluate import evaluate
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.files import read_json, write_json
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.adversarial import adapt
from cmda_tf.training.phases import AdabnPhase, AdaptPhase, SelftrainPhase, SourcePhase
from cmda_tf.training.self_training import selftrain
from cmda_tf.training.supervised import train_segmenter

DATASET = DatasetDescription.from_dict(
    {
        "structures": [
            {"name": "liver", "codes": [6], "color": "#a0522d"},
            {"name": "kidneys", "codes": [2, 3], "color": "#ffd21f"},
        ],
        "background_codes": [0, 1],
        "columns": ["kidneys", "liver"],
        "modalities": {
            "t1": {"image": "t1/{id}.nii.gz", "label": "t1/{id}_seg.nii.gz", "test": ["p4"]},
            "ct": {"image": "ct/{id}.nii.gz", "label": "ct/{id}_seg.nii.gz", "test": ["p4"]},
        },
    }
)
BRIGHTNESS = {"t1": {0: 0, 6: 120, 2: 60, 3: 60, 1: 30}, "ct": {0: 0, 6: 60, 2: 120, 3: 120, 1: 90}}


def write_abdomen(raw, modality, name, seed):
    """A liver, two kidneys and a spleen (background) in a small oblique volume."""
    grid = centered_geometry((24, 22, 20), (6.0, 6.5, 7.0), oblique(seed, 3, -5))
    points = points_mm(grid)
    codes = np.zeros(grid.shape_kji, np.int16)
    organs = {
        6: (-30, -10, 10, 32),
        2: (-25, 35, -20, 14),
        3: (30, 35, -20, 14),
        1: (40, 0, 20, 15),
    }
    for code, (*center, radius) in organs.items():
        codes[np.linalg.norm(points - center, axis=-1) < radius] = code
    noise = np.random.default_rng(seed).normal(0, 8, codes.shape)
    image = noise + np.vectorize(BRIGHTNESS[modality].get)(codes)
    write(raw / modality / f"{name}.nii.gz", grid, image.astype(np.int16))
    write(raw / modality / f"{name}_seg.nii.gz", grid, codes)


def test_description_is_guessed_then_named_then_used(tmp_path):
    """What a person does: init, names for the structures, prepare."""
    for modality in ("t1", "ct"):
        for n in range(1, 5):
            write_abdomen(tmp_path / "raw", modality, f"p{n}", n)
    path = tmp_path / "abdomen.json"
    init.main(init.InitSettings(raw=str(tmp_path / "raw"), out=str(path)))
    values = read_json(path)
    spleen, kidney, other, liver = values["structures"]
    assert [s["name"] for s in (spleen, kidney, other, liver)] == [
        "label_1", "label_2", "label_3", "label_6",
    ]  # fmt: skip
    liver["name"], kidney["name"], kidney["codes"] = "liver", "kidneys", [2, 3]
    values["structures"], values["background_codes"] = [liver, kidney], [0, 1]
    write_json(path, values)
    actual = read_description(path)
    assert {d.name: (d.image, d.label) for d in actual.modalities} == {
        d.name: (d.image, d.label) for d in DATASET.modalities
    }
    assert actual.structures.code_to_class == DATASET.structures.code_to_class
    cli_prepare.main(
        cli_prepare.PrepareSettings.of(
            raw=str(tmp_path / "raw"),
            prepared=str(tmp_path / "prepared"),
            dataset=str(path),
            size=16,
            spacing_mm=10.0,
            center_on_labels=("t1",),
            workers=1,
        )
    )
    dataset = read_prepared(tmp_path / "prepared")
    assert dataset.structures.columns == ("liver", "kidneys")
    held_out = [e.id for e in dataset.entries if e.split == "test"]
    assert len(dataset.entries) == 8 and held_out == ["ct_p4", "t1_p4"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, untraced):
    """A folder of runs: every phase, a few updates each."""
    folder = tmp_path_factory.mktemp("abdomen")
    for index, modality in enumerate(("t1", "ct")):
        for n in range(1, 5):
            write_abdomen(folder / "raw", modality, f"p{n}", 10 * index + n)
    dataset = prepare(
        folder / "raw", folder / "prepared", 16, 10.0, ("t1",), workers=1, description=DATASET
    )
    common = {"source": "t1", "target": "ct", "width": 0.0625, "batch": 2, "log_every": 1}
    common |= {"prepared": str(dataset.folder), "runs": str(folder / "runs")}
    source = SourcePhase.of(**common, steps=3)
    short = {"warmup_updates": 1, "joint_updates": 2, "critic_updates": 1, "snapshot_every": 2}
    assert open_data(source.data) == dataset
    untraced(train_segmenter, source, dataset)
    no_loop = {k: v for k, v in common.items() if k not in ("batch", "log_every")}
    untraced(adapt_statistics, AdabnPhase.of(**no_loop), dataset)
    untraced(adapt, AdaptPhase.of(**common, **short), dataset)
    last = SelftrainPhase.of(**common, selftrain_steps=2, align_classes=True)
    untraced(selftrain, last, dataset)
    return folder


@pytest.mark.slow
def test_table_has_the_structures_and_domains_of_the_data(trained):
    report = evaluate(EvaluateSettings(runs=str(trained / "runs")))
    titles = [row.title for row in report.rows.values()]
    assert titles == ["Seg-T1", "noDA", "AdaBN d=13", "UDA d=13", "Self-training d=13"]
    assert report.columns == ["kidneys", "liver"]
    head = (trained / "runs" / "table.md").read_text(encoding="utf-8").splitlines()[0]
    assert head.startswith("| Methods | kidneys Dice [%] |") and "AA" not in head
    for name in ("figure1.png", "figure3.png", "figure4.png", "results.json"):
        assert (trained / "runs" / name).is_file()
    with open(trained / "runs" / "subjects.csv", encoding="utf-8", newline="") as file:
        subjects = {(line["row"], line["subject"]) for line in csv.DictReader(file)}
    assert ("noDA", "ct_p4") in subjects and ("Seg-T1", "t1_p4") in subjects


@pytest.mark.slow
def test_prediction_has_the_codes_of_the_data(trained):
    model = cmda_tf.load_run(trained / "runs" / "selftrain_d13")
    assert model.structures == DATASET.structures
    actual = model.predict(trained / "raw" / "ct" / "p4.nii.gz")
    assert actual.probabilities.shape == (16, 16, 16, 3)
    assert list(actual.volumes_mm3()) == ["kidneys", "liver"]
    assert set(np.unique(sitk.GetArrayFromImage(actual.label))) <= {0, 2, 6}
